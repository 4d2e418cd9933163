"""The shapes that stages and shelves agree on."""
