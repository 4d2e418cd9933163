"""Releases in the formats of others: STIX 2.1, MISP, lists for bouncers; written without loss, read with suspicion."""
