"""Words of the command line, and a file beside a state, that nobody of good will would write."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from clonewatch.cli.main import app
from clonewatch.lab.simulate import simulate

HIDDEN = "\u202e\u2066\u200f\x1b]0;x\x07\x9b31m"


@pytest.mark.parametrize(
    "words", [["scan", "log", f"--opt{HIDDEN}"], ["cases", f"li{HIDDEN}st"], ["state", f"-{HIDDEN}"]]
)
def test_a_usage_error_spells_out_what_cannot_be_seen(words: list[str]) -> None:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2 and done.output
    assert not any(mark in done.output for mark in ("\u202e", "\u2066", "\u200f", "\x1b", "\x07", "\x9b"))


@pytest.mark.parametrize("url", ["http://]0;x", "http://[::1", f"http://{HIDDEN}", "http://localhost:99999", "nothing"])
def test_an_address_that_is_none_is_refused_before_a_console_is_opened(tmp_path: Path, url: str) -> None:
    pytest.importorskip("starlette", reason="the extra console is not installed")
    words = ["console", "--store", str(tmp_path / "cases.db"), "--url", url, "--port", "0"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit), done.output
    assert "is no address" in done.output and "The console is at" not in done.output


def test_every_bit_of_the_list_of_logs_of_a_state_is_verified_and_repair_removes_it(tmp_path: Path) -> None:
    simulate("s01_shared_cards", tmp_path / "log", seed=3, scale=0.02)
    key = ["--key", str(tmp_path / "key")]
    taken = ["ingest", str(tmp_path / "log"), "--state", str(tmp_path / "state"), "--quiet", *key]
    assert CliRunner().invoke(app, taken).exit_code == 0
    verify = ["state", "verify", str(tmp_path / "state"), *key]
    assert CliRunner().invoke(app, verify).exit_code == 0
    path = tmp_path / "state" / "state.json.logs"
    whole = path.read_bytes()
    for at in range(0, len(whole), max(1, len(whole) // 12)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        done = CliRunner().invoke(app, verify)
        assert done.exit_code == 3 and path.name in done.output, at
    CliRunner().invoke(app, [*verify, "--repair"])
    assert CliRunner().invoke(app, verify).exit_code == 0
