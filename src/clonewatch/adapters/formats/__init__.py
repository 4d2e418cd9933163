"""The log formats, one file each, ending with `ADAPTER = ...`, named as on the command line."""
