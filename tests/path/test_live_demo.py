"""What `make demo-live` runs, on less of its log: a campaign is found, throttled, and the decision is taken back.

It takes minutes, and CLONEWATCH_LONG=1 runs it. test_live_campaign.py and test_live_growth.py always run its parts.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.path.policy_stand import done

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "examples" / "live" / "demo.py"
SCENARIO = ("n06_outnumbered", "--seed", "2", "--scale", "0.1", "--text")
PATIENCE = 900
long = pytest.mark.skipif(os.environ.get("CLONEWATCH_LONG") != "1", reason="minutes; CLONEWATCH_LONG=1 runs it")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log that the demo simulates."""
    folder = tmp_path_factory.mktemp("simulated") / "log"
    done("simulate", *SCENARIO, "--out", folder)
    return folder


def begun(folder: Path, *words: object) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(ROOT / "packages" / "gateway" / "src"), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, DEMO, folder, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )


def left(folder: Path) -> list[str]:
    """Command lines of processes that work in a folder."""
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        try:
            if (one / "cwd").resolve() == folder.resolve():
                found.append((one / "cmdline").read_text())
        except OSError:  # it is gone, or somebody else's
            continue
    return found


def refused(said: str, kind: str) -> tuple[int, int]:
    """How many of how many requests of a kind were refused."""
    found = re.search(rf"([\d,]+) of +([\d,]+) refused: {kind},", said)
    assert found, said
    first, second = (int(one.replace(",", "")) for one in found.groups())
    return first, second


@long
def test_a_harvest_is_found_and_throttled_and_its_proxys_honest_customers_are_not(log: Path, tmp_path: Path) -> None:
    folder = tmp_path / "live"
    running = begun(folder, "--log", log, "--rate", 300, "--every", 0.2)
    said = running.communicate(timeout=PATIENCE)[0]
    assert running.returncode == 0, said
    count, sent = refused(said, "harvest")
    assert 0 < count < sent  # the slice, and not the accounts
    for kind in ("honest customers of the same proxy", "other honest customers"):
        count, sent = refused(said, kind)
        assert count == 0 < sent
    lifted = re.search(r"until the gateway served again: ([\d.]+) s", said)
    assert lifted
    sys.stdout.write(f"an overturn reached the gateway after {lifted[1]} seconds\n")
    page = (folder / "live.html").read_text(encoding="utf-8")
    assert f"The page with the picture is at {folder / 'live.html'}" in said
    assert "<script" not in page and page.count("var(--c2)") > 2 and "lifted at the gateway" in page
    assert left(folder) == []


@long
def test_who_stops_it_finds_nothing_running_and_what_did_not_happen_is_said(log: Path, tmp_path: Path) -> None:
    folder = tmp_path / "live"
    running = begun(folder, "--log", log, "--days", 0.25)
    said = running.communicate(timeout=PATIENCE)[0]
    assert running.returncode == 1 and "FAILED: the campaign was not found before all" in said and left(folder) == []
    running = begun(folder, "--log", log)  # what an earlier run left is replaced
    assert running.stdout
    while "2." not in running.stdout.readline():
        assert running.poll() is None
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=PATIENCE)[0]
    assert running.returncode == 130 and "Stopped" in said and left(folder) == []


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    running = begun(tmp_path)
    assert "holds something else" in running.communicate(timeout=PATIENCE)[0]
    assert running.returncode == 2 and (tmp_path / "mine").exists()
