"""What policies do to the accounts of kept results and of a case store: gathered, tried on the past, and published."""
