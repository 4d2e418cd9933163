"""The cost of a run: how long each stage takes."""
