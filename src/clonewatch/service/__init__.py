"""The web console: people look at cases, decide, and see what was done, in a browser."""
