"""From a quiet period to a calibration that later scans read, from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from clonewatch.campaigns.calibration import THRESHOLD
from clonewatch.cli.main import app
from clonewatch.lab.simulate import simulate


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a log without an attack, and a log that holds a harvest."""
    made = tmp_path_factory.mktemp("calibrating")
    simulate("quiet", made / "quiet", seed=5, scale=0.05)
    simulate("s01_shared_cards", made / "attack", seed=3, scale=0.03)
    return made


def ask(*words: object) -> Any:
    return CliRunner().invoke(app, [str(w) for w in words])


def learnt(path: Path) -> list[list[Any]]:
    return list(json.loads(path.read_text())["groups"])


def test_a_quiet_period_becomes_a_file_that_a_scan_reads(home: Path, tmp_path: Path) -> None:
    done = ask("calibrate", home / "quiet", "--out", tmp_path / "own.json", "--quiet")
    assert done.exit_code == 0, done.output
    assert "linked groups in 1 windows" in done.stdout and "Wrote" in done.stdout and "Warning" not in done.stdout
    groups = learnt(tmp_path / "own.json")
    assert groups and all(threshold_ratio < THRESHOLD for _, _, threshold_ratio in groups)

    words = ("scan", home / "attack", "--out", tmp_path / "scan", "--quiet", "--threads", 1)
    assert ask(*words, "--calibration", tmp_path / "own.json").exit_code == 0
    summary = json.loads((tmp_path / "scan" / "scan.json").read_text())
    assert "own.json" in summary["calibration"]["source"]
    own = summary["calibration"]["groups"]
    campaigns = pq.read_table(tmp_path / "scan" / "campaigns.parquet").to_pylist()
    assert campaigns and all(0 < c["p_n"] <= own and c["p_value"] >= 1 / (c["p_n"] + 1) for c in campaigns)
    assert any(c["flagged"] for c in campaigns)


def test_windows_give_more_groups_and_count_no_exchange_twice(home: Path, tmp_path: Path) -> None:
    done = ask("calibrate", home / "quiet", "--out", tmp_path / "own.json", "--days", 14, "--json", "--quiet")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    held = json.loads((tmp_path / "own.json").read_text())
    assert said["logs"] == held["logs"] >= 2 and said["groups"] == len(held["groups"])
    assert said["file"] == str(tmp_path / "own.json") and said["beyond_threshold"] == 0
    assert held["about"]["days"] == 14
    assert set(said) >= {"source", "logs", "groups", "beyond_threshold", "strata", "file"}


def test_a_warning_is_shown_for_a_period_that_was_not_quiet(home: Path, tmp_path: Path) -> None:
    """Groups in the file count as honest: an attack among them would hide the next one like it."""
    done = ask("calibrate", home / "attack", "--out", tmp_path / "own.json", "--quiet")
    assert done.exit_code == 0, done.output
    assert "Warning: 1 of them lie beyond the threshold" in " ".join(done.stdout.split())
    assert sum(threshold_ratio >= THRESHOLD for _, _, threshold_ratio in learnt(tmp_path / "own.json")) == 1
    told = json.loads(ask("calibrate", home / "attack", "--out", tmp_path / "own.json", "--quiet", "--json").stdout)
    assert told["beyond_threshold"] == 1


def test_a_scan_refuses_a_file_that_is_not_a_calibration_before_reading(home: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"schema": "something else"}')
    for name in ("bad.json", "missing.json"):
        done = ask("scan", home / "attack", "--out", tmp_path / "scan", "--calibration", tmp_path / name, "--quiet")
        assert done.exit_code == 2 and name in done.stderr and "Fix:" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "scan").exists()


def test_a_calibration_that_cannot_be_written_is_reported(home: Path, tmp_path: Path) -> None:
    done = ask("calibrate", home / "quiet", "--out", tmp_path / "nowhere" / "own.json", "--quiet")
    assert done.exit_code == 2 and "cannot write the calibration" in done.stderr and "Fix:" in done.stderr


@pytest.mark.parametrize("name", ["nowhere/own.json", "."])
def test_a_file_that_cannot_be_written_is_reported_before_the_log_is_read(
    name: str, home: Path, tmp_path: Path
) -> None:
    done = ask("calibrate", home / "no such log", "--out", tmp_path / name)
    assert done.exit_code == 2 and "cannot write the calibration" in done.output
