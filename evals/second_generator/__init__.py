"""A second generator of labelled logs, written independently of the laboratory and the detector."""
