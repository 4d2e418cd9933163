"""Table schemas, frozen rows and errors, which everything else uses."""
