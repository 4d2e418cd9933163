"""Defaults that the command line, the Python interface and the pipeline share."""

from __future__ import annotations

# What an engine may hold before it goes to disk; docs/performance.md was measured with it.
MEMORY = "700MB"
