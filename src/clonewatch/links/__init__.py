"""Linking signals, one file each: what accounts have in common."""
