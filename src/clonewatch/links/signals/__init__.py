"""Linking signals, one module each, found by name."""
