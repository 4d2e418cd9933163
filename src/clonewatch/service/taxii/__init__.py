"""TAXII 2.1 over HTTP: collections of released objects for peers with keys; apart from what takes live traffic."""
