"""A result is what its manifest lists: anything else is refused by every command, and nothing of others is touched."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from clonewatch.cli.main import app
from clonewatch.lab.simulate import simulate
from clonewatch.pipeline.result_files import COMMITTED, NAME, NAMES, TABLES
from clonewatch.state.sealed import seal, unsealed


def ask(*words: object) -> Any:
    return CliRunner().invoke(app, [str(w) for w in words])


def scan(log: Path, out: Path, key: Path, *more: object) -> Any:
    return ask("scan", log, "--out", out, "--key", key, "--quiet", "--threads", 1, *more)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two logs with a campaign, their results, and a key."""
    home = tmp_path_factory.mktemp("results")
    for name, seed in (("log", 3), ("other", 4)):
        simulate("s01_shared_cards", home / name, seed=seed, scale=0.05)
        assert scan(home / name, home / f"{name}-result", home / "key").exit_code == 0
    return home


@pytest.fixture
def result(home: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(home / "log-result", tmp_path / "result"))


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def commands(home: Path, folder: Path) -> dict[str, tuple[object, ...]]:
    """Every command that reads a result."""
    return {
        "report": ("report", folder),
        "campaigns": ("campaigns", folder),
        "show": ("show", "C0001", "--scan", folder),
        "why": ("why", "acct-none", "--scan", folder),
        "answer": ("answer", "C0001", "--scan", folder, "--yes", "--question", "one_customer"),
        "evaluate": ("evaluate", folder, home / "log"),
        "track": ("track", folder, home / "other-result"),
    }


def foreign(home: Path, folder: Path, name: str) -> None:
    shutil.copy(home / "other-result" / name, folder / name)


def emptied(home: Path, folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")


def removed(home: Path, folder: Path, name: str) -> None:
    (folder / name).unlink()


def object_only(home: Path, folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"{}")


def nested(home: Path, folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"[" * 200_000)


@pytest.mark.parametrize("command", ["report", "campaigns", "show", "why", "answer", "evaluate", "track"])
@pytest.mark.parametrize(
    ("harm", "name"),
    [
        (removed, "members.parquet"),
        (removed, "attribution.parquet"),
        (removed, "scan.json"),
        (removed, NAME),
        (foreign, "members.parquet"),
        (foreign, "campaigns.parquet"),
        (emptied, "scan.json"),
        (emptied, NAME),
        (object_only, "scan.json"),
        (object_only, NAME),
        (nested, "scan.json"),
        (nested, NAME),
    ],
)
def test_a_result_that_is_not_as_it_was_written_is_refused_by_every_command(
    home: Path, result: Path, command: str, harm: Callable[[Path, Path, str], None], name: str
) -> None:
    harm(home, result, name)
    before = bytes_of(result)
    found = ask(*commands(home, result)[command])
    assert found.exit_code == 2, (found.stdout, found.stderr)
    assert name in found.stderr and "Fix:" in found.stderr and str(result) in found.stderr
    assert found.stdout == "" and bytes_of(result) == before


def test_an_untouched_result_is_read_by_every_command(home: Path, result: Path) -> None:
    for words in commands(home, result).values():
        found = ask(*words)
        assert found.exit_code == 0 or "no question" in found.stderr or "no campaign" in found.stderr, found.stderr


def test_a_manifest_cannot_name_files_of_others(home: Path, result: Path, tmp_path: Path) -> None:
    """Not even with a hash that is right: what a manifest names may be replaced."""
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    told = json.loads(unsealed((result / NAME).read_bytes()))
    told["files"].append({**told["files"][0], "name": "../mine.txt"})
    (result / NAME).write_bytes(seal(json.dumps(told, indent=1).encode()))
    found = scan(home / "log", result, home / "key")
    assert found.exit_code == 2 and NAME in found.stderr
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("name", ["texts.parquet", "inputs.ndjson", "report.html", "campaigns.parquet"])
def test_a_scan_touches_no_file_that_our_manifest_does_not_name(home: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine")
    (out / "notes.txt").write_text("mine too")
    found = scan(home / "log", out, home / "key")
    assert found.exit_code == 2 and name in found.stderr and str(out) in found.stderr and "Fix:" in found.stderr
    assert bytes_of(out) == {name: b"mine", "notes.txt": b"mine too"}


def test_foreign_files_and_folders_stay_beside_a_result_that_is_replaced(home: Path, result: Path) -> None:
    (result / "notes.txt").write_text("mine")
    for folder in (".scan-of-the-garden", ".scan-2", "work"):
        (result / folder / "deeper").mkdir(parents=True)
        (result / folder / "deeper" / "leaf").write_text("mine")
    mine = {name: held for name, held in bytes_of(result).items() if name not in {*NAMES, NAME}}
    assert scan(home / "other", result, home / "key").exit_code == 0
    assert {name: held for name, held in bytes_of(result).items() if name not in {*NAMES, NAME}} == mine
    tables = {name: (home / "other-result" / name).read_bytes() for name in TABLES}
    assert {name: (result / name).read_bytes() for name in TABLES} == tables


KILLED = """
import os, sys
from pathlib import Path
moves, left = Path.replace, [int(sys.argv.pop(1))]
def counted(self, target):
    left[0] -= not self.name.endswith(".new")  # a small file that is written whole, and moves later
    if left[0] < 0:
        os._exit(9)
    return moves(self, target)
Path.replace = counted
from clonewatch.cli.main import run
run()
"""


@pytest.mark.parametrize("moved", [0, 1, 4, 9, 10])
def test_a_scan_that_is_killed_while_it_moves_files_leaves_its_whole_result(
    home: Path, result: Path, moved: int
) -> None:
    """Once the manifest is complete the new result is the one to read: from where its files are, without writing."""
    line = [sys.executable, "-c", KILLED, str(moved), "scan", str(home / "other"), "--out", str(result)]
    line += ["--key", str(home / "key"), "--quiet", "--threads", "1"]
    assert subprocess.run(line, capture_output=True, timeout=120, check=False).returncode == 9
    assert (result / COMMITTED / NAME).exists()
    before = bytes_of(result)
    for folder in (result, home / "other-result"):
        found = ask("campaigns", folder, "--json")
        assert found.exit_code == 0, found.stderr
    assert ask("campaigns", result, "--json").stdout == ask("campaigns", home / "other-result", "--json").stdout
    assert bytes_of(result) == before
    assert ask("report", result).exit_code == 0
    assert {p.name for p in result.iterdir()} == {p.name for p in (home / "other-result").iterdir()}
    assert {n: (result / n).read_bytes() for n in TABLES} == {
        n: (home / "other-result" / n).read_bytes() for n in TABLES
    }


def test_a_result_that_changed_while_its_report_was_drawn_is_no_mixture(result: Path) -> None:
    """A report is published like a scan: with a manifest of its own."""
    assert ask("report", result).exit_code == 0
    (result / "report.html").write_text("something else")
    assert ask("campaigns", result).exit_code == 2
    assert ask("report", result).exit_code == 2
