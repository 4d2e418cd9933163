"""A case as one signed bundle that a stranger can check: what was seen, what follows, what is not known."""
