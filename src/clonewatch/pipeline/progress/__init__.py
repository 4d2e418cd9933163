"""What a run costs while it runs: how long each stage takes."""
