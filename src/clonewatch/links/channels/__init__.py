"""The shelf of linking channels."""
