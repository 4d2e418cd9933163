"""From verdicts to a result: the result tables, the summary, and the folder that holds them."""
