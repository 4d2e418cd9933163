"""Declared ownership and anchors: who counts as one party, and who is trusted."""
