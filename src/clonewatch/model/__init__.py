"""The words: frozen rows, table schemas, errors."""
