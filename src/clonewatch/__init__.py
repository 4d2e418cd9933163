"""Clonewatch: finds covert multi-account harvesting of an LLM API in the provider's own logs.

>>> import clonewatch
>>> result = clonewatch.scan("logs/", out="result")  # doctest: +SKIP
>>> result  # doctest: +SKIP
<ScanResult: 3 campaigns flagged among 2,812 accounts, 412,000 exchanges; in result>
>>> result.campaigns.to_pandas()  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from clonewatch import errors
from clonewatch.api import detect, doctor, evaluate, ingest, load, scan, simulate
from clonewatch.model.version import __version__

if TYPE_CHECKING:
    from clonewatch.pipeline.daily.detect_window import Window
    from clonewatch.pipeline.daily.ingest import Ingested
    from clonewatch.pipeline.scan_result import ScanResult
    from clonewatch.ports.progress import Progress

__all__ = [
    "Ingested",
    "Progress",
    "ScanResult",
    "Window",
    "__version__",
    "detect",
    "doctor",
    "errors",
    "evaluate",
    "ingest",
    "load",
    "scan",
    "simulate",
]

# Types of arguments and results, by module. They need Arrow, so they are imported on first use.
_TYPES = {
    "Ingested": "clonewatch.pipeline.daily.ingest",
    "Progress": "clonewatch.ports.progress",
    "ScanResult": "clonewatch.pipeline.scan_result",
    "Window": "clonewatch.pipeline.daily.detect_window",
}


def __getattr__(name: str) -> object:
    """A type of the interface, imported on first use."""
    if name in _TYPES:
        return getattr(import_module(_TYPES[name]), name)
    raise AttributeError(f"module 'clonewatch' has no attribute {name!r}")
