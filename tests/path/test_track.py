"""Groups followed over the scans of several windows, from the command line."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from clonewatch.cli.main import app
from clonewatch.lab.simulate import simulate


def ask(*words: object) -> Any:
    return CliRunner().invoke(app, [str(w) for w in words])


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Scans of three ten-day windows of one log."""
    home = tmp_path_factory.mktemp("tracking")
    simulate("s01_shared_cards", home / "log", seed=3, scale=0.1)
    first = min(pq.read_table(home / "log" / "exchanges", columns=["ts"])["ts"].to_pylist())
    found = []
    for i in range(3):
        since, until = (f"{first + timedelta(days=10 * (i + k)):%Y-%m-%dT%H:%M:%S}" for k in (0, 1))
        folder = home / f"window-{i}"
        words = ("scan", home / "log", "--out", folder, "--since", since, "--as-of", until, "--quiet", "--threads", 1)
        assert ask(*words, "--key", home / "key").exit_code == 0
        found.append(folder)
    return found


def test_a_harvest_seen_in_every_window_is_one_track_with_the_mean_of_its_e_values(scans: list[Path]) -> None:
    done = ask("track", *reversed(scans), "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["scans"] == [str(s) for s in scans], "windows are put in their own order"
    best = told["tracks"][0]
    assert len(best["seen"]) == 3
    values = [
        next(
            c["e_value"]
            for c in pq.read_table(s["scan"] + "/campaigns.parquet").to_pylist()
            if c["campaign_id"] == s["campaign_id"]
        )
        for s in best["seen"]
    ]
    assert best["e_value"] == pytest.approx(sum(values) / 3)
    flagged = sum(s["flagged"] for s in best["seen"])
    assert flagged >= 2 and best["kept"]
    assert ask("track", *scans, "--fail-on-kept").exit_code == 3


def test_the_table_says_how_often_a_group_was_seen(scans: list[Path]) -> None:
    said = ask("track", *scans)
    assert said.exit_code == 0 and "3 of 3" in said.stdout and "T0001" in said.stdout


def test_one_scan_two_equal_windows_and_no_scan_are_refused_with_the_fix(scans: list[Path], tmp_path: Path) -> None:
    for words in ((scans[0],), (scans[0], scans[0]), (scans[0], tmp_path)):
        done = ask("track", *words)
        assert done.exit_code == 2 and "Error:" in done.output and "Fix:" in done.output


def test_windows_are_told_apart_by_their_own_times(scans: list[Path]) -> None:
    windows = [json.loads((s / "scan.json").read_text())["window"] for s in scans]
    ends = [datetime.fromisoformat(w["last"]) for w in windows]
    assert ends == sorted(ends) and len(set(ends)) == 3
