"""Day by day: a state that takes in each day, detection over its latest days, and its maintenance."""
