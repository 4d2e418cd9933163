"""Defaults that the command line, the Python interface and the pipeline share."""

from __future__ import annotations

# Memory that an engine may use before it spills to disk; docs/performance.md was measured with it.
MEMORY = "700MB"
# Share of rows that merge into others above which a result should not be trusted: a log that holds every call twice is
# within it, one whose ids name sessions or workers is not.
MAX_REPEATED = 0.5
# Microseconds between two rows of one call. Two components log a call at its start and at its end, or deliver it again
# after a while; calls and retries take minutes, an hour is rare. A server that starts to count again at 999 gives one
# account the same id hours later.
APART = 3_600_000_000
