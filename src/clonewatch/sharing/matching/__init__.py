"""Matching without showing what one has: sets that are intersected blind, and campaigns that several providers saw."""
