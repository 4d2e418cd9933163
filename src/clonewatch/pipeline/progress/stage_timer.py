"""What each stage cost: seconds, CPU-seconds, rows and bytes. Passes progress on to whoever watches."""

from __future__ import annotations

import resource
import time
from typing import Any

from clonewatch.ports.progress import Progress

# Of a scan, and of a window of a state: reading, entities, links, clusters, communities, tests, attribution.
SCAN_STAGES = 7


class StageTimer:
    """Measures stages as they start and end; itself a `Progress`.

    expected: how many stages there will be, 0 where nobody knows.
    """

    def __init__(self, watcher: Progress, *, expected: int = 0) -> None:
        self._watcher = watcher
        self.stages: list[dict[str, Any]] = []
        self._open: dict[str, Any] = {}
        if expected:
            watcher.expect(expected)

    def resume(self, stages: list[dict[str, Any]], note: str) -> None:
        """Stages that an earlier run ended, at what they cost it. note: told of the last of them."""
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
        """The stage has done this much more."""
        self._open["n"] += done
        self._open["rows"] += rows
        self._watcher.advance(done, rows)

    def expect(self, stages: int) -> None:
        """So many stages come."""
        self._watcher.expect(stages)

    def end(self, note: str = "") -> None:
        """The stage is over."""
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
        """Most memory this process has held so far, in MB."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
