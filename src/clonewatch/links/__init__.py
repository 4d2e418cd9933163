"""Linking signals: what accounts have in common."""
