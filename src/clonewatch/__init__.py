"""Clonewatch: finds covert multi-account harvesting of an LLM API in the operator's own logs.

>>> import clonewatch
>>> result = clonewatch.scan("logs/", out="result")  # doctest: +SKIP
>>> result  # doctest: +SKIP
<ScanResult: 3 campaigns flagged among 2,812 accounts, 412,000 exchanges; in result>
>>> result.campaigns.to_pandas()  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clonewatch import errors
from clonewatch.api import detect, doctor, evaluate, ingest, load, scan, simulate
from clonewatch.model.version import __version__

if TYPE_CHECKING:
    from clonewatch.pipeline.scan_result import ScanResult

__all__ = [
    "ScanResult",
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


def __getattr__(name: str) -> object:
    """The class of results, whose tables need Arrow: imported when somebody asks for it."""
    if name == "ScanResult":
        from clonewatch.pipeline.scan_result import ScanResult

        return ScanResult
    raise AttributeError(f"module 'clonewatch' has no attribute {name!r}")
