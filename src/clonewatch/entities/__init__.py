"""Declared ownership and trust: who counts as one entity, and which entities are trusted."""
