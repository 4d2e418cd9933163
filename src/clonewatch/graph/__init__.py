"""Attribute weights and bipartite clustering."""
