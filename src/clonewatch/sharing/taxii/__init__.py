"""Exchange over TAXII 2.1: what collections hold, and the client of a peer."""
