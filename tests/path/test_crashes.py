"""Killed at any moment, or refused at any write: repeating gives the result of an undisturbed run, and nothing is lost.

Four commands write: scan, ingest, detect and calibrate. Each is killed at ten random writes or statements of its
engine, and has five writes refused; with CLONEWATCH_LONG=1, fifty of both.
"""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from clonewatch.cli.main import app
from clonewatch.engines.duckdb import DuckDB
from clonewatch.lab.simulate import simulate
from clonewatch.pipeline.daily import maintenance
from clonewatch.pipeline.result_files import REJECTED, TABLES, opened

LONG = bool(os.environ.get("CLONEWATCH_LONG"))
KILLS, FAULTS = (50, 50) if LONG else (10, 5)  # of each command
# A process that has loaded what commands need, of which each that is killed is a copy.
_COPIES = multiprocessing.get_context("forkserver")
_COPIES.set_forkserver_preload([
    __name__, "clonewatch.pipeline.scan", "clonewatch.pipeline.calibrate", "clonewatch.pipeline.daily.ingest",
    "clonewatch.pipeline.daily.detect_window", "clonewatch.engines.duckdb",
])  # fmt: skip
# What puts something on the disk: opens a file for writing, moves, syncs or removes one.
WRITES: tuple[tuple[Any, str], ...] = (
    *((os, name) for name in ("fsync", "replace", "rename", "link")),
    *((Path, name) for name in ("write_bytes", "write_text", "rename", "replace", "unlink")),
    (pq.ParquetWriter, "write_table"),
)


class Disturbed:
    """Counts the writes of a block, and refuses the n-th one, as a full disk does.

    kill: end the process at the n-th write or statement of the engine, which writes by itself.
    """

    def __init__(self, at: int = 0, kill: bool = False) -> None:
        self.at, self.kill, self.writes, self.moments = at, kill, 0, 0
        self._plain = [(owner, name, getattr(owner, name)) for owner, name in (*WRITES, (DuckDB, "store"))]

    def __enter__(self) -> Disturbed:
        for owner, name, plain in self._plain:
            setattr(owner, name, self._counted(plain, owner is not DuckDB))
        return self

    def __exit__(self, *_: object) -> None:
        for owner, name, plain in self._plain:
            setattr(owner, name, plain)

    def _counted(self, plain: Callable[..., Any], writes: bool) -> Callable[..., Any]:
        def run(*given: Any, **more: Any) -> Any:
            self.moments += 1
            self.writes += writes
            if self.kill and self.moments == self.at:
                os._exit(9)
            if not self.kill and writes and self.writes == self.at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return plain(*given, **more)

        return run


def killed(at: int, line: list[str]) -> int | None:
    """Run a command in a process that ends at its n-th write; returns the exit code."""
    process = _COPIES.Process(target=_disturbed, args=(at, line))
    process.start()
    process.join(300)
    return process.exitcode


def _disturbed(at: int, line: list[str]) -> None:
    with Disturbed(at, kill=True):
        done = ask(line)
    os._exit(70 if done.exception is not None and not isinstance(done.exception, SystemExit) else done.exit_code)


def ask(line: list[str]) -> Any:
    return CliRunner().invoke(app, line)


class Home(NamedTuple):
    """Two logs and a key; what an undisturbed run of each command makes; a folder with what was there before it."""

    place: Path
    moments: dict[str, tuple[int, int]]


def words(command: str, home: Path, place: Path) -> list[str]:
    """The command line, writing into `place`."""
    more = ["--key", str(home / "key"), "--quiet"]
    return {
        "scan": ["scan", str(home / "two"), "--out", str(place / "result"), "--threads", "1", *more],
        "ingest": ["ingest", str(home / "two"), "--state", str(place / "state"), "--threads", "1", *more],
        "detect": ["detect", "--state", str(home / "full"), "--out", str(place / "found"), "--days", "90", *more],
        "calibrate": ["calibrate", str(home / "two"), "--out", str(place / "calibration.json"), *more],
    }[command]  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """`before` holds what the commands make of the first log, `after` what an undisturbed run makes of the second."""
    place = tmp_path_factory.mktemp("crashes")
    for name, seed in (("one", 3), ("two", 4)):
        simulate("s01_shared_cards", place / name, seed=seed, scale=0.02)
        with_a_rejected_row(place / name / "exchanges" / "part-0000.parquet")
    first = place / "before"
    first.mkdir()
    for line in (
        ["scan", str(place / "one"), "--out", str(first / "result")],
        ["ingest", str(place / "one"), "--state", str(first / "state")],
        ["ingest", str(place / "one"), "--state", str(place / "full")],
        ["detect", "--state", str(first / "state"), "--out", str(first / "found"), "--days", "90"],
        ["calibrate", str(place / "one"), "--out", str(first / "calibration.json")],
        ["ingest", str(place / "two"), "--state", str(place / "full")],
    ):
        assert ask([*line, "--key", str(place / "key"), "--quiet"]).exit_code == 0
    shutil.copytree(first, place / "after")
    moments: dict[str, tuple[int, int]] = {}
    for command in ("scan", "ingest", "detect", "calibrate"):
        with Disturbed() as counting:
            assert ask(words(command, place, place / "after")).exit_code == 0
        moments[command] = counting.writes, counting.moments
    return Home(place, moments)


def with_a_rejected_row(path: Path) -> None:
    """A row without an account: it is in nothing but the file of rejected rows."""
    table = pq.read_table(path)
    accounts = table["account_id"].to_pylist()
    place = table.schema.get_field_index("account_id")
    pq.write_table(table.set_column(place, "account_id", [["", *accounts[1:]]]), path)


def told(command: str, place: Path, key: Path) -> object:
    """What a command has made so far, without times and paths; raises where it is not whole."""
    if command == "calibrate":
        held = json.loads((place / "calibration.json").read_text(encoding="utf-8"))
        return held["groups"], held["logs"]
    if command == "ingest":
        found = maintenance.verify(place / "state", key)
        assert not found.problems
        return found.exchanges, found.days, found.accounts
    folder = place / ("result" if command == "scan" else "found/90-days")
    files = opened(folder)
    rejected = files.path(REJECTED).read_text(encoding="utf-8")
    return {name: pq.read_table(files.path(name)).to_pylist() for name in TABLES}, rejected


def moments(count: int, command: str, number: int) -> list[int]:
    """Moments to disturb: a third of them the last ones, where results are put in their place, the others at random."""
    last = range(max(1, count - number // 3), count + 1)
    drawn = random.Random(command).sample(range(1, count + 1), count)  # noqa: S311
    return sorted([*last, *(at for at in drawn if at not in last)][:number])


@pytest.mark.parametrize("command", ["scan", "ingest", "detect", "calibrate"])
@pytest.mark.parametrize(("how", "number"), [("kill", KILLS), ("fail", FAULTS)], ids=["killed", "no space"])
def test_a_command_that_is_stopped_at_any_write_is_repeated_to_the_same_result(
    home: Home, tmp_path: Path, command: str, how: str, number: int
) -> None:
    before, after, key = (home.place / name for name in ("before", "after", "key"))
    was, is_now = told(command, before, key), told(command, after, key)
    assert was != is_now
    for at in moments(home.moments[command][how == "kill"], command, number):
        place = Path(shutil.copytree(before, tmp_path / f"{how}-{at}", symlinks=True))
        line = words(command, home.place, place)
        if how == "kill":
            assert killed(at, line) in (9, 0), at
        else:
            with Disturbed(at):
                done = ask(line)
            assert done.exception is None or isinstance(done.exception, SystemExit), (at, done.exception)
            assert done.exit_code in (2, 0), (at, done.stderr)
        assert told(command, place, key) in (was, is_now), at
        again = ask(line)
        assert again.exit_code == 0, (at, again.stderr)
        assert told(command, place, key) == is_now, at
