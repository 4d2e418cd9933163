"""What peers are told of cases, and what they tell: it brings cases, results, logs and the release gate together."""
