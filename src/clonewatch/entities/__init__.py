"""Declared ownership and trusted: who counts as one entity, and who is trusted."""
