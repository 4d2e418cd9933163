"""The page on audits from end to end: its commands, in its order, against the stand-in suspect on this machine."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clonewatch.audit.ledger import Ledger

pytest.importorskip("httpx", reason="httpx is not installed: nobody can be asked")

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "using" / "audit.md"
KEY = "demonstration"
COMMANDS = [
    line
    for block in re.findall(r"^```\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    for line in re.findall(r"^\$ (.+)$", block, re.M)
]


class Walk:
    """Where the commands of the page were given, and what they said."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.said: dict[str, subprocess.CompletedProcess[str]] = {}
        self.server: subprocess.Popen[bytes] | None = None
        self.environment = dict(os.environ)

    def give(self, command: str) -> None:
        """One line of the page, as a shell would run it."""
        words = shlex.split(command)
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            self.environment[name] = value
        elif words[0] == "python":
            script = [sys.executable, str(ROOT / words[1]), *words[2:-1]]
            with (self.place / "server.log").open("wb") as log:
                self.server = subprocess.Popen(script, cwd=self.place, stdout=log, stderr=log)
            wait_for(self.place / "server.log", "Serving", self.server)
        else:
            assert words[0] == "clonewatch", command
            self.said[words[2]] = self.run(*words[1:])

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command of ours."""
        program = [sys.executable, "-c", "from clonewatch.cli.main import run; run()", *words]
        return subprocess.run(
            program, cwd=self.place, env=self.environment, capture_output=True, text=True, check=False
        )


def wait_for(log: Path, word: str, server: subprocess.Popen[bytes]) -> None:
    """Until the stand-in says that it serves."""
    for _ in range(1200):
        if word in log.read_text(encoding="utf-8"):
            return
        assert server.poll() is None, log.read_text(encoding="utf-8")
        time.sleep(0.1)
    raise AssertionError("the stand-in did not start")


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """Every command of the page but the last, which is for others."""
    walked = Walk(tmp_path_factory.mktemp("audit"))
    try:
        for command in COMMANDS[:-1]:
            walked.give(command)
        yield walked
    finally:
        if walked.server is not None:
            walked.server.terminate()
            walked.server.wait()


def test_every_command_of_the_page_does_what_the_page_describes(walk: Walk) -> None:
    assert {name: (done.returncode, done.stderr) for name, done in walk.said.items() if done.returncode} == {}
    assert walk.said["verify"].stdout.startswith("Verified")


def test_the_results_name_the_case_whose_traffic_carried_the_secret_and_no_other(walk: Walk) -> None:
    audit = walk.place / "book" / "march"
    results = json.loads((audit / "results.json").read_text(encoding="utf-8"))
    tests = json.loads((audit / "plan.json").read_text(encoding="utf-8"))["tests"]
    found = {(t["test"], *t["carriers"]): row["level"] for t, row in zip(tests, results["tests"], strict=True)}
    assert found == {
        ("twin",): "strong evidence",
        ("watermark", "case-7"): "strong evidence",
        ("watermark", "case-9"): "no evidence",
        ("canary", "case-7"): "strong evidence",
    }
    assert all(row["control_log10_p_holm"] > -3 for row in results["tests"])


def test_the_api_key_is_in_no_file_and_no_message(walk: Walk) -> None:
    files = [p for p in (walk.place / "book").rglob("*") if p.is_file()]
    assert len(files) > 300
    assert [p for p in files if KEY.encode() in p.read_bytes()] == []
    assert [n for n, done in walk.said.items() if KEY in done.stdout + done.stderr] == []


def test_a_raw_answer_altered_by_one_byte_is_named(walk: Walk) -> None:
    place = walk.place / "book" / "march" / "raw" / "suspect" / "answer-00007.json"
    whole = place.read_bytes()
    at = whole.index(b"text") + 9
    place.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    done = walk.run("audit", "verify", "book/march", "--json")
    place.write_bytes(whole)
    assert done.returncode == 3
    told = json.loads(done.stdout)
    assert not told["verified"] and any(p["where"] == "raw/suspect/answer-00007.json" for p in told["problems"])


def test_a_second_look_is_refused(walk: Walk) -> None:
    done = walk.run("audit", "test", "book/march")
    assert done.returncode == 2 and "these answers were looked at already" in done.stderr


def test_others_can_verify_once_the_secrets_are_revealed_and_not_before(walk: Walk) -> None:
    book = Ledger(walk.place / "book" / "ledger.jsonl")
    hidden = book.secrets_path.rename(walk.place / "kept")
    closed = walk.run("audit", "verify", "book/march")
    assert closed.returncode == 3 and "does not reveal it" in closed.stdout
    hidden.rename(book.secrets_path)
    told = [r.body["commitment"] for r in book.records() if r.kind == "commit"]
    for commitment in told:
        walk.give(COMMANDS[-1].replace("COMMITMENT", commitment))
        assert walk.said["reveal"].returncode == 0
    book.secrets_path.rename(walk.place / "kept")
    opened = walk.run("audit", "verify", "book/march")
    assert (opened.returncode, opened.stdout.split(":")[0]) == (0, "Verified"), opened.stdout
