"""Defaults that the command line, the Python interface and the pipeline share."""

from __future__ import annotations

# Memory that an engine may use before it spills to disk; docs/performance.md was measured with it.
MEMORY = "700MB"
