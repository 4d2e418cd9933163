"""Behavioural tests, one module each, found by name."""
