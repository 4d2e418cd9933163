"""Honest groups that look like a campaign in one way or another; each has its own role in the labels."""
