"""From verdicts to what an operator reads: the result tables, the summary, and the folder that holds them."""
