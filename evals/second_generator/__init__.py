"""A second generator of labelled logs, written apart from the laboratory and from the detector."""
