"""What an interrupted scan leaves to the next one: a digest of its question, and what it had read.

The tables are in the engine's file; steps whose tables exist are not run again (`pipeline.steps`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from clonewatch.adapters.reading import Log
from clonewatch.campaigns.answers import digest
from clonewatch.campaigns.calibration import Calibration
from clonewatch.fingerprints.keys import derive
from clonewatch.model.answers import Answer
from clonewatch.model.text_files import plain
from clonewatch.model.version import __version__
from clonewatch.pipeline.intake.staged import Intake

# Settings that change the cost of a scan and not its result.
_COST = ("out", "memory", "threads")
# Files that are settings: their content counts, not their path.
_FILES = ("key_file", "calibration", "mapping", "answers")


class Begun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was read before the scan was interrupted, and the cost of the stages until then."""

    intake: Intake
    stages: list[dict[str, Any]]

    def encode(self) -> bytes:
        """As bytes."""
        return msgspec.json.encode(self)


def read(note: bytes) -> Begun:
    """Decode the bytes that `Begun.encode` gave."""
    return msgspec.json.decode(note, type=Begun)


def question(
    settings: Mapping[str, Any], log: Log, key: bytes, calibration: Calibration, given: Sequence[Answer]
) -> str:
    """A digest of everything that the result depends on; empty where the log is a pipe, which cannot be read again.

    Files of the log are identified by path, size and time of last modification.
    """
    files = log.stamps()
    if files is None:
        return ""
    asked = {
        "versions": [__version__, *(version(p) for p in ("duckdb", "pyarrow", "numpy", "graspologic-native"))],
        "settings": {k: str(v) for k, v in settings.items() if k not in (*_COST, *_FILES)},
        "map": str(log.mapping),
        "files": files,
        "key": hashlib.sha256(derive(key, "question")).hexdigest(),
        "calibration": list(calibration.groups),
        # A ruling withholds a flag, on which the tables of attribution depend.
        "answers": digest(given),
    }
    return hashlib.sha256(msgspec.json.encode(plain(asked), order="sorted")).hexdigest()
