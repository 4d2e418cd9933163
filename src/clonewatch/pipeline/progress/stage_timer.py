"""What each stage cost: seconds, CPU-seconds, rows and bytes. Passes progress on to whoever watches."""

from __future__ import annotations

import resource
import time
from typing import Any

from clonewatch.pipeline.progress import forecast
from clonewatch.ports.progress import Progress


class StageTimer:
    """Measures stages as they start and end; itself a `Progress`.

    foretells: whether the stages are those of a scan, so that it can be told how long they take.
    """

    def __init__(self, watcher: Progress, *, foretells: bool = False) -> None:
        self._watcher = watcher
        self._foretells, self._told = foretells, 0.0
        self.stages: list[dict[str, Any]] = []
        self._open: dict[str, Any] = {}
        self._total: int | None = None

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
        self._total = total
        self._foretell()

    def advance(self, done: int, rows: int = 0) -> None:
        """The stage has done this much more."""
        self._open["n"] += done
        self._open["rows"] += rows
        self._watcher.advance(done, rows)
        self._foretell()

    def expect(self, least: float, most: float) -> None:
        """The timer expects by itself."""

    def _foretell(self) -> None:
        """Say how long it still takes, once a second at most."""
        now, opened = time.monotonic(), self._open
        if not self._foretells or now - self._told < 1.0:
            return
        share = opened["n"] / self._total if self._total else None
        found = forecast.left(self.stages, opened["name"], now - opened["wall"], share, opened["rows"])
        if found:
            self._told = now
            self._watcher.expect(*found)

    def end(self, note: str = "") -> None:
        """The stage is over."""
        opened = self._open
        self.stages.append({
            "name": opened["name"],
            "seconds": round(time.monotonic() - opened["wall"], 3),
            "cpu_seconds": round(time.process_time() - opened["cpu"], 3),
            "rows": opened["rows"],
            "bytes": opened["n"] if opened["unit"] == "bytes" else None,
        })  # fmt: skip
        self._watcher.end(note)

    @staticmethod
    def peak_memory_mb() -> int:
        """Most memory this process has held so far, in MB."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
