"""Honest groups that resemble a campaign in some way; each has its own role in the labels."""
