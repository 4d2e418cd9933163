"""Engines, which store tables and run queries on them: one file each."""
