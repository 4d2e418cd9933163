"""Daily operation: ingesting logs into a state, detection over its latest days, and its maintenance."""
