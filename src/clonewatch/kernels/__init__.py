"""Arithmetic on arrays: pure functions over numpy and Arrow."""
