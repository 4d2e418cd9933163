"""The shelf of intent channels."""
