"""An interrupted scan resumes from its last finished step when the same scan is run again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from clonewatch.campaigns.answers import append
from clonewatch.cli.main import app
from clonewatch.lab.simulate import simulate
from clonewatch.model.answers import Answer, Ruled
from clonewatch.model.errors import OutputError
from clonewatch.pipeline.scan import ScanSettings, scan
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.engine import Step

COMMAND = [sys.executable, "-c", "from clonewatch.cli.main import run; run()"]
READ_BEFORE = "read before an earlier run was interrupted"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("stopped") / "log"
    simulate("s01_shared_cards", place, seed=5, scale=0.05)
    return place


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("key") / "key"


@pytest.fixture(scope="module")
def whole(log: Path, key: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of an uninterrupted scan."""
    out = tmp_path_factory.mktemp("whole") / "result"
    scan(ScanSettings((str(log),), out=out, key_file=key))
    return out


@pytest.fixture
def stop_before(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, BaseException], None]:
    """Makes the step of that number, counted from the start of the next scan, raise instead; -1 for none."""
    run = StepRunner.run
    left = [-1]

    def stop(self: StepRunner, step: Step) -> int:
        left[0] -= 1
        if left[0] == 0:
            raise errors[0]
        return run(self, step)

    errors: list[BaseException] = []

    def at(number: int, error: BaseException) -> None:
        left[0], errors[:] = number, [error]

    monkeypatch.setattr(StepRunner, "run", stop)
    return at


def equal(one: Path, other: Path) -> None:
    """Both hold the same tables, byte by byte, and no other files."""
    names = sorted(f.name for f in one.iterdir())
    assert names == sorted(f.name for f in other.iterdir())
    for name in names:
        if name.endswith(".parquet"):
            assert (one / name).read_bytes() == (other / name).read_bytes(), name
    kept = ("window", "inputs", "counts", "warnings", "signals", "chance")
    told = [json.loads((place / "scan.json").read_text(encoding="utf-8")) for place in (one, other)]
    assert [told[0][k] for k in kept] == [told[1][k] for k in kept]


@pytest.mark.parametrize("step", [1, 2, 15, 40, 80])
def test_a_scan_interrupted_before_any_step_resumes_to_the_same_result(
    log: Path, key: Path, whole: Path, tmp_path: Path, stop_before: Callable[..., None], step: int
) -> None:
    settings = ScanSettings((str(log),), out=tmp_path / "result", key_file=key)
    stop_before(step, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt) as stopped:
        scan(settings)
    assert "to resume from there" in stopped.value.__notes__[0].replace("\n", " ")
    said: list[str] = []
    stop_before(-1, KeyboardInterrupt())
    scan(settings, Notes(said))
    assert any(READ_BEFORE in note for note in said)
    equal(tmp_path / "result", whole)


def test_a_scan_interrupted_twice_resumes_twice(
    log: Path, key: Path, whole: Path, tmp_path: Path, stop_before: Callable[..., None]
) -> None:
    settings = ScanSettings((str(log),), out=tmp_path / "result", key_file=key)
    for step in (20, 60):
        stop_before(step, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            scan(settings)
    stop_before(-1, KeyboardInterrupt())
    scan(settings)
    equal(tmp_path / "result", whole)


def test_after_a_full_disk_a_scan_resumes_with_more_memory(
    log: Path, key: Path, whole: Path, tmp_path: Path, stop_before: Callable[..., None]
) -> None:
    """The memory that a scan may use is not part of the question."""
    stop_before(30, OutputError("the disk gave out", fix="Free some space"))
    with pytest.raises(OutputError):
        scan(ScanSettings((str(log),), out=tmp_path / "result", key_file=key, memory="300MB", threads=1))
    stop_before(-1, KeyboardInterrupt())
    said: list[str] = []
    scan(ScanSettings((str(log),), out=tmp_path / "result", key_file=key), Notes(said))
    assert any(READ_BEFORE in note for note in said)
    told = [pq.read_table(place / "campaigns.parquet") for place in (tmp_path / "result", whole)]
    assert told[0].equals(told[1])


@pytest.mark.parametrize("change", ["seed", "key", "log", "since", "answers"])
def test_another_question_starts_again_and_removes_what_was_left(
    log: Path, key: Path, tmp_path: Path, stop_before: Callable[..., None], change: str
) -> None:
    out, paths, answers = tmp_path / "result", (str(log),), tmp_path / "answers.jsonl"
    answers.touch()
    stop_before(30, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        scan(ScanSettings(paths, out=out, key_file=key, answers=answers))
    [left] = out.glob(".scan-*")
    stop_before(-1, KeyboardInterrupt())
    from datetime import UTC, datetime

    same = ScanSettings(paths, out=out, key_file=key, answers=answers)
    asked = {
        "seed": replace(same, seed=3),
        "key": replace(same, key_file=tmp_path / "another"),
        "since": replace(same, since=datetime(2000, 1, 1, tzinfo=UTC)),
    }.get(change, same)
    if change == "answers":  # a ruling takes flags away, and so changes tables that an earlier run left
        ruled = Ruled("innocent", "accounts", "2999-12-31")
        append(answers, Answer("app_users", True, frozenset({"a"}), "C0001", "", "", "", ruled))
    if change == "log":
        os.utime(next(log.glob("exchanges/*.parquet")))
    said: list[str] = []
    scan(asked, Notes(said))
    assert not any(READ_BEFORE in note for note in said)
    assert not left.exists()


def test_a_damaged_remainder_is_reported_and_the_earlier_result_stays(
    log: Path, key: Path, tmp_path: Path, stop_before: Callable[..., None]
) -> None:
    settings = ScanSettings((str(log),), out=tmp_path / "result", key_file=key)
    scan(settings)
    before = (tmp_path / "result" / "campaigns.parquet").read_bytes()
    stop_before(30, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        scan(settings)
    stop_before(-1, KeyboardInterrupt())
    [held] = (tmp_path / "result").rglob("tables.duckdb")
    held.write_bytes(b"\0" * 4096)
    with pytest.raises(OutputError, match="cannot be opened") as refused:
        scan(settings)
    assert "Delete it" in refused.value.fix
    assert (tmp_path / "result" / "campaigns.parquet").read_bytes() == before


def test_kept_text_does_not_outlive_an_interrupted_scan(
    log: Path, key: Path, tmp_path: Path, stop_before: Callable[..., None]
) -> None:
    stop_before(30, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        scan(ScanSettings((str(log),), out=tmp_path / "result", key_file=key, keep_text=True))
    assert list((tmp_path / "result").iterdir()) == []


def test_the_command_reports_what_is_kept_and_that_it_resumes(
    log: Path, key: Path, tmp_path: Path, stop_before: Callable[..., None]
) -> None:
    asked = ["scan", str(log), "--out", str(tmp_path / "result"), "--key", str(key)]
    stop_before(30, KeyboardInterrupt())
    first = CliRunner().invoke(app, asked)
    assert first.exit_code == 130
    assert "Earlier results are as they were" in first.stderr
    assert "resume from there" in first.stderr.replace("\n", " ")
    stop_before(-1, KeyboardInterrupt())
    second = CliRunner().invoke(app, asked)
    assert second.exit_code == 0, second.stderr
    assert READ_BEFORE in second.stderr


def test_a_scan_killed_at_any_moment_resumes_to_the_same_result(
    log: Path, key: Path, whole: Path, tmp_path: Path
) -> None:
    """kill -9, a little later every time, until one run completes."""
    asked = [*COMMAND, "scan", str(log), "--out", str(tmp_path / "result"), "--key", str(key)]
    errors = tmp_path / "stderr"
    resumed, moment = 0, 0.2
    while True:
        with errors.open("w", encoding="utf-8") as said:
            child = subprocess.Popen(asked, stdout=subprocess.DEVNULL, stderr=said)
            begun = time.monotonic()
            # Counted from the moment at which reading ended: what comes before leaves nothing.
            while child.poll() is None and "reading:" not in errors.read_text(encoding="utf-8"):
                assert time.monotonic() - begun < 120
                time.sleep(0.02)
            try:
                child.wait(moment)
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
                child.wait()
        resumed += READ_BEFORE in errors.read_text(encoding="utf-8")
        if child.returncode == 0:
            break
        assert child.returncode == -signal.SIGKILL, errors.read_text(encoding="utf-8")
        moment += 0.2
    assert resumed >= 2
    equal(tmp_path / "result", whole)


class Notes:
    """Progress that records what is reported of the stages."""

    def __init__(self, said: list[str]) -> None:
        self.said = said

    def start(self, stage: str, total: int | None, unit: str) -> None:
        pass

    def advance(self, done: int, rows: int = 0) -> None:
        pass

    def expect(self, stages: int) -> None:
        pass

    def end(self, note: str = "") -> None:
        self.said.append(note)
