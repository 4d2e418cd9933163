"""Scenarios with labels, and the evaluation of a scan against them."""
