"""Measures the cost of each stage: seconds, CPU seconds, rows and bytes. Passes progress on to a watcher."""

from __future__ import annotations

import resource
import time
from typing import Any

from clonewatch.ports.progress import Progress

# Of a scan, and of a window of a state: reading, entities, links, clusters, communities, tests, attribution.
SCAN_STAGES = 7


class StageTimer:
    """Measures stages as they start and end; itself a `Progress`.

    expected: how many stages there will be, 0 if unknown.
    """

    def __init__(self, watcher: Progress, *, expected: int = 0) -> None:
        self._watcher = watcher
        self.stages: list[dict[str, Any]] = []
        self._open: dict[str, Any] = {}
        if expected:
            watcher.expect(expected)

    def resume(self, stages: list[dict[str, Any]], note: str) -> None:
        """Take over stages that an earlier run completed, with their cost. note: shown for the last of them."""
        self.stages += stages
        self._watcher.start(stages[-1]["name"], None, "rows")
        self._watcher.end(note)

    def start(self, stage: str, total: int | None, unit: str) -> None:
        """A stage begins."""
        self._open = {
            "name": stage,
            "unit": unit,
            "wall": time.monotonic(),
            "cpu": time.process_time(),
            "n": 0,
            "rows": 0,
        }
        self._watcher.start(stage, total, unit)

    def advance(self, done: int, rows: int = 0) -> None:
        """The stage has done `done` more units and `rows` more rows."""
        self._open["n"] += done
        self._open["rows"] += rows
        self._watcher.advance(done, rows)

    def expect(self, stages: int) -> None:
        """As many stages follow."""
        self._watcher.expect(stages)

    def end(self, note: str = "") -> None:
        """The stage has ended."""
        opened = self._open
        self.stages.append(
            {
                "name": opened["name"],
                "seconds": round(time.monotonic() - opened["wall"], 3),
                "cpu_seconds": round(time.process_time() - opened["cpu"], 3),
                "rows": opened["rows"],
                "bytes": opened["n"] if opened["unit"] == "bytes" else None,
            }
        )
        self._watcher.end(note)

    @staticmethod
    def peak_memory_mb() -> int:
        """Peak memory of this process so far, in MB."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
