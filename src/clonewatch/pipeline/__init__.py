"""The order of the stages: log in, campaigns out."""
