"""Behavioural tests, one file each: what is measured on a cluster's slice."""
