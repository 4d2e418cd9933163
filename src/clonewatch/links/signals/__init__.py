"""The shelf of linking signals."""
