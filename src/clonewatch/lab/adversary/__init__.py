"""An attacker who adapts, as a source of labelled synthetic logs: assumptions, knobs, prices, search and game."""
