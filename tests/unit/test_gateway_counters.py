"""Counters that workers share: nothing is lost between processes, minutes slide, and old ones make room."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.unit.gateway_stand import NOW, entry, published, read

from clonewatch_gateway import Facts, decide

pytest.importorskip("fcntl", reason="this system has no fcntl")
from clonewatch_gateway import shared_counters
from clonewatch_gateway.counters import Minutes
from clonewatch_gateway.shared_counters import SharedMinutes

WORKER = (
    "import sys\nfrom pathlib import Path\nfrom clonewatch_gateway.shared_counters import SharedMinutes\n"
    "counters = SharedMinutes(Path(sys.argv[1]))\n"
    "for n in range(2000): counters.add(f'K{n % 4}', 1, float(sys.argv[2]))"
)


def test_processes_and_threads_that_count_at_once_lose_nothing(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", WORKER, str(tmp_path / "counters"), str(NOW)]
    running = [subprocess.Popen(words, env=env) for _ in range(3)]
    mine = SharedMinutes(tmp_path / "counters")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: mine.add(f"K{n % 4}", 1, NOW), range(2_000)))
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert [mine.at(NOW)[f"K{n}"] for n in range(4)] == [2_000.0] * 4


def test_minutes_slide_and_a_clock_that_jumps_loses_no_count_and_invents_none(tmp_path: Path) -> None:
    counters = SharedMinutes(tmp_path / "counters")
    assert "x" not in counters.at(NOW) and dict(counters.at(NOW)) == {} and len(counters.at(NOW)) == 0
    counters.add("x", 100, NOW)
    assert counters.at(NOW)["x"] == 100
    assert counters.at(NOW + 90)["x"] == 50 and counters.at(NOW + 121)["x"] == 0
    counters.add("x", 10, NOW - 60)
    assert counters.at(NOW)["x"] == counters.at(NOW - 60)["x"] == 110
    counters.add("x", 40, NOW + 60)
    assert counters.at(NOW + 60)["x"] == 150 and counters.at(NOW + 90)["x"] == 95
    counters.add("x", -1_000, NOW + 60)
    assert counters.at(NOW + 119.999)["x"] == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("shared", [False, True])
def test_a_clock_that_was_an_hour_ahead_refuses_nobody_for_an_hour(tmp_path: Path, shared: bool) -> None:
    counters = SharedMinutes(tmp_path / "counters") if shared else Minutes()
    counters.add("x", 900, NOW + 3_600)
    assert counters.at(NOW).get("x", 0) == 0
    counters.add("x", 10, NOW)
    assert counters.at(NOW)["x"] == 10 and counters.at(NOW + 120).get("x", 0) == 0


def test_counters_that_are_over_make_room_and_where_there_is_none_nobody_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_counters, "SLOTS", 4)
    counters = SharedMinutes(tmp_path / "counters")
    for name in "abcde":
        counters.add(name, 1, NOW)
    assert [name in counters.at(NOW) for name in "abcde"] == [True] * 4 + [False]
    counters.add("e", 1, NOW + 180)
    assert counters.at(NOW + 180)["e"] == 1


def test_workers_share_the_budget_of_a_campaign(tmp_path: Path) -> None:
    published(tmp_path, {"a": entry("budget"), "b": entry("budget")})
    watch = read(tmp_path)
    workers = [SharedMinutes(tmp_path / "counters") for _ in range(2)]
    workers[0].add("K0001", 900, NOW)
    assert decide("b", Facts(200, spent=workers[1].at(NOW)), watch, NOW).status == 429
    assert decide("b", Facts(100, spent=workers[1].at(NOW)), watch, NOW).status == 0
