"""Intent channels, one file each: tests of a cluster's slice."""
