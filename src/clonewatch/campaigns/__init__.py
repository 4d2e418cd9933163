"""Evidence fused into campaigns; membership and exchange attribution."""
