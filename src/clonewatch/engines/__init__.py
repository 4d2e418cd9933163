"""Places to compute, one file each."""
