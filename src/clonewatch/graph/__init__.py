"""Token weights and bipartite clustering."""
