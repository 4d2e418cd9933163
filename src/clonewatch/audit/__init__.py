"""Was that model trained on our outputs: secrets committed beforehand, and tests that are exact over them."""
