"""When the machine fails half-way: the earlier result stays, nothing else is left, and the next run works."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from clonewatch.cli.main import app
from clonewatch.pipeline.reporting import result_folder

COMMAND = [sys.executable, "-c", "from clonewatch.cli.main import run; run()"]


def lines(count: int, first: int = 0) -> str:
    rows = (
        {
            "exchange_id": f"x{i}",
            "ts": f"2026-05-{1 + i // 500 % 28:02}T{i % 24:02}:{i % 60:02}:00Z",
            "account_id": f"a{i % 40}",
            "client_ip": f"192.0.2.{i % 9}",
            "cell": i % 40,
        }
        for i in range(first, first + count)
    )
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.ndjson"
    path.write_text(lines(2000))
    return path


@pytest.fixture
def out(tmp_path: Path, log: Path) -> Path:
    """A folder that holds an earlier result."""
    assert ask(log, tmp_path / "result").exit_code == 0
    return tmp_path / "result"


def ask(log: Path, out: Path) -> Any:
    return CliRunner().invoke(app, ["scan", str(log), "--out", str(out), "--quiet", "--threads", "1"])


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}


def left_behind(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name.startswith("."))


# ---- interrupted ----------------------------------------------------------------------------------------------------


@contextmanager
def reading(tmp_path: Path, out: Path, silent: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A scan in the middle of a log that never ends. silent: no more rows arrive once it reads."""
    pipe = tmp_path / "endless.ndjson"
    os.mkfifo(pipe)
    line = [*COMMAND, "scan", str(pipe), "--out", str(out), "--quiet", "--threads", "1"]
    done = threading.Event()
    block = lines(20_000)

    def feed() -> None:
        try:
            with pipe.open("w") as sink:
                while not done.wait(0.1):
                    if not silent or not left_behind(out):
                        sink.write(block)
                        sink.flush()
        except BrokenPipeError:
            return

    feeder = threading.Thread(target=feed)
    feeder.start()
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: bool(left_behind(out)))
        time.sleep(1)  # it reads
        assert process.poll() is None
        yield process
    finally:
        process.kill()
        process.communicate()
        done.set()
        feeder.join(10)


def wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


def test_an_interrupted_scan_exits_with_130_and_leaves_the_earlier_result(tmp_path: Path, out: Path) -> None:
    before = contents(out)
    with reading(tmp_path, out) as process:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 130, said
    assert "Interrupted" in said and "Traceback" not in said
    assert contents(out) == before and left_behind(out) == []


def test_an_interrupt_works_while_a_pipe_is_silent(tmp_path: Path, out: Path) -> None:
    before = contents(out)
    with reading(tmp_path, out, silent=True) as process:
        process.send_signal(signal.SIGINT)
        process.wait(4)
        assert process.returncode == 130
    assert contents(out) == before and left_behind(out) == []


def test_a_killed_scan_leaves_the_earlier_result_and_the_next_run_works(tmp_path: Path, log: Path, out: Path) -> None:
    before = contents(out)
    with reading(tmp_path, out) as process:
        process.kill()
        process.wait(10)
    assert contents(out) == before
    log.write_text(lines(3000))
    assert ask(log, out).exit_code == 0
    assert json.loads((out / "scan.json").read_text())["counts"]["kept"] == 3000


@pytest.mark.parametrize("stage", ["links", "behavioural tests", "attribution"])
def test_an_interrupt_at_any_later_stage_leaves_the_earlier_result_and_what_was_done(
    monkeypatch: pytest.MonkeyPatch, log: Path, out: Path, stage: str
) -> None:
    from clonewatch.pipeline.progress.stage_timer import StageTimer

    before, start = contents(out), StageTimer.start

    def interrupted(self: StageTimer, name: str, total: int | None, unit: str) -> None:
        if name == stage:
            raise KeyboardInterrupt
        start(self, name, total, unit)

    with monkeypatch.context() as stopping:
        stopping.setattr(StageTimer, "start", interrupted)
        found = ask(log, out)
    assert found.exit_code == 130 and "Interrupted" in found.stderr
    assert contents(out) == before and len(left_behind(out)) == 1
    assert ask(log, out).exit_code == 0
    assert left_behind(out) == []


# ---- no space --------------------------------------------------------------------------------------------------------

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
from clonewatch.cli.main import run
run()
"""


def test_a_disk_that_fills_up_while_reading_is_reported_and_leaves_the_earlier_result(
    tmp_path: Path, log: Path, out: Path
) -> None:
    """A limit on the size of a file stands in for a full disk."""
    before = contents(out)
    log.write_text(lines(60_000))
    line = [sys.executable, "-c", LIMITED, "600000", "scan", str(log), "--out", str(out), "--quiet", "--threads", "1"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    found = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert found.returncode == 2, found.stderr
    assert found.stderr.startswith("Error: the disk gave out while building table"), found.stderr
    assert "Fix:" in found.stderr and "Traceback" not in found.stderr
    assert contents(out) == before and left_behind(out) == []


def test_a_disk_that_fills_up_while_writing_results_leaves_the_earlier_ones(
    monkeypatch: pytest.MonkeyPatch, log: Path, out: Path
) -> None:
    before = contents(out)
    log.write_text(lines(3000))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(result_folder.os, "fsync", full)
    found = ask(log, out)
    assert found.exit_code == 2 and "No space left on device" in found.stderr and "Fix:" in found.stderr
    assert contents(out) == before and left_behind(out) == []


def test_a_disk_too_full_for_rejected_rows_is_reported(monkeypatch: pytest.MonkeyPatch, log: Path, out: Path) -> None:
    before = contents(out)
    log.write_text(lines(3000) + "broken\n" * 40_000)
    script = [sys.executable, "-c", LIMITED, "1000000", "scan", str(log), "--out", str(out), "--quiet"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    found = subprocess.run(script, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert found.returncode == 2 and "Fix:" in found.stderr and "Traceback" not in found.stderr, found.stderr
    assert contents(out) == before and left_behind(out) == []


# ---- no place -------------------------------------------------------------------------------------------------------


def test_a_result_folder_that_is_a_file_is_refused(tmp_path: Path, log: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    for place in (tmp_path / "taken", tmp_path / "taken" / "deeper"):
        found = ask(log, place)
        assert found.exit_code == 2 and str(place) in found.stderr and "Fix:" in found.stderr
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc, where nobody may make a folder")
def test_a_folder_that_cannot_be_created_is_refused_before_a_row_is_read(log: Path) -> None:
    found = ask(log, Path("/proc/result"))
    assert found.exit_code == 2 and "/proc/result" in found.stderr and "Fix:" in found.stderr


def test_two_scans_into_one_folder_do_not_mix(tmp_path: Path, log: Path, out: Path) -> None:
    """The last one to publish wins; each writes to its own hidden folder."""
    other = tmp_path / "other.ndjson"
    other.write_text(lines(2500, 10_000))
    with reading(tmp_path, out) as process:
        assert ask(other, out).exit_code == 0
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert json.loads((out / "scan.json").read_text())["counts"]["kept"] == 2500
    assert left_behind(out) == []
