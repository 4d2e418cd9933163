"""A third generator of logs, written without reading the detector and used for reporting only."""
