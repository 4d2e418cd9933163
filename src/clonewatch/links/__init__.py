"""Linking channels, one file each: what accounts have in common."""
