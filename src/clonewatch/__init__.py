"""Clonewatch: finds covert multi-account harvesting of an LLM API in the operator's own logs.

>>> from clonewatch import scan
>>> result = scan("logs/", out="results/")  # doctest: +SKIP
>>> result.tables["campaigns"].to_pylist()  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clonewatch.pipeline.examine import ScanResult

__all__ = ["__version__", "scan"]
__version__ = "0.1.0"


def scan(paths: str | Path | Sequence[str | Path], out: str | Path | None = None, **settings: Any) -> ScanResult:
    """Read a log and find campaigns; the same answer as the command line, as Arrow tables.

    paths: files, folders or globs. out: folder for the results, None to keep them in memory. settings: further fields
    of `clonewatch.pipeline.scan.ScanSettings`, such as ``mapping``, ``accounts``, ``events``, ``seed``, ``key_file``.
    Returns a ScanResult: `tables` by name, `summary` (what scan.json holds), `directory`.
    """
    # The machinery takes a second to import; asking for the version should not.
    from clonewatch.pipeline.scan import ScanSettings
    from clonewatch.pipeline.scan import scan as run

    given = [paths] if isinstance(paths, str | Path) else paths
    place = None if out is None else Path(out)
    return run(ScanSettings(paths=tuple(str(p) for p in given), out=place, **settings))
