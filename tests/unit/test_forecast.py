"""How long it still takes: a range that the measured logs stay inside, and that moves with the machine."""

import json
from pathlib import Path
from typing import Any

import pytest

from clonewatch.pipeline.progress import forecast
from clonewatch.pipeline.progress.stage_timer import StageTimer

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def kept_scans() -> list[dict[str, Any]]:
    """Every scan of the kept benchmarks, but those that waited for other programs most of the time."""
    sizes = json.loads((RESULTS / "scan.json").read_text(encoding="utf-8"))
    headline = json.loads((RESULTS / "headline.json").read_text(encoding="utf-8"))
    every = [*sizes["without_text"], sizes["with_text"], *headline.values()]
    alone = [scan for scan in every if scan["seconds"] < 1.5 * scan["cpu_seconds"]]
    assert len(alone) >= 3, "too few to say anything"
    return alone


@pytest.mark.parametrize("scan", kept_scans(), ids=lambda scan: f"{scan['rows']:,}")
def test_what_is_foretold_when_a_log_is_read_holds_for_every_kept_benchmark(scan: dict[str, Any]) -> None:
    reading, *later = scan["stages"]
    least, most = forecast.left([], "reading", reading["seconds"], 1.0, reading["rows"]) or (0.0, 0.0)
    assert least * 0.9 <= sum(stage["seconds"] for stage in later) <= most * 1.1


@pytest.mark.parametrize("speed", [0.2, 1.0, 3.0])
def test_a_slow_machine_shows_once_a_later_stage_has_ended(speed: float) -> None:
    rows = 10_000_000
    stages = [{"name": "reading", "seconds": 30.0 / speed, "rows": rows}]
    middle = {name: sum(bounds) / 2 * rows / 1e6 / speed for name, bounds in forecast.LATER.items()}
    stages += [{"name": name, "seconds": middle[name], "rows": 1} for name in ("entities", "links", "clusters")]
    rest = sum(middle[name] for name in ("honest communities", "intents", "attribution"))
    least, most = forecast.left(stages, "honest communities", 0.0, None, 0) or (0.0, 0.0)
    assert least <= rest <= most


def test_nothing_is_foretold_of_a_pipe_or_before_anything_was_read() -> None:
    assert forecast.left([], "reading", 5.0, None, 1000) is None
    assert forecast.left([], "reading", 5.0, 0.0, 0) is None


def test_the_range_never_goes_below_nothing() -> None:
    read = {"name": "reading", "seconds": 1.0, "rows": 1000}
    least, most = forecast.left([read], "attribution", 1e6, None, 0) or (-1.0, -1.0)
    assert least == 0.0 and most >= 0.0


def test_a_clock_says_it_once_a_second_and_only_of_a_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[float, float]] = []
    now = [100.0]
    monkeypatch.setattr("clonewatch.pipeline.progress.stage_timer.time.monotonic", lambda: now[0])

    class Watcher:
        def start(self, stage: str, total: int | None, unit: str) -> None: ...
        def advance(self, done: int, rows: int = 0) -> None: ...
        def end(self, note: str = "") -> None: ...

        def expect(self, least: float, most: float) -> None:
            said.append((least, most))

    for foretells, times in ((True, 3), (False, 0)):
        said.clear()
        clock = StageTimer(Watcher(), foretells=foretells)
        clock.start("reading", 100, "bytes")
        for _ in range(5):
            now[0] += 0.6
            clock.advance(10, 1_000_000)
        clock.end()
        assert len(said) == times
    assert all(least <= most for least, most in said)
