"""The shelf of behavioural tests."""
