"""What providers tell each other: indicators through a release gate, corrections of them, and blinded matching."""
