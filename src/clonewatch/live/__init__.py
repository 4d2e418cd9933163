"""Live traffic: batches that are pushed go through a spool on disk into a state, and groups are looked for in it."""
