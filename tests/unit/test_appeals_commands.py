"""The commands on containments and appeals: what they say, write and refuse, and their exit codes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.unit.appeals_stand import begun, planned
from typer.testing import CliRunner

from clonewatch.cli.main import app


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a store in which ana asked for B0001."""
    monkeypatch.chdir(tmp_path)
    planned("cases.db")
    return tmp_path


def ask(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["appeals", *map(str, words)])
    assert done.exit_code == code, done.output
    return done.output


def told(*words: object) -> Any:
    return json.loads(ask(*words, "--json"))


def test_from_notice_to_answer_on_the_command_line(home: Path) -> None:
    assert "another person" in ask("begin", "B0001", "--out", "n.jsonl", "--as", "ana", code=2)
    assert not Path("n.jsonl").exists()
    begun = told("begin", "B0001", "--out", "n.jsonl", "--as", "bob", "--url", "https://c.example/")["containment"]
    assert (begun["state"], begun["size"], begun["begun_by"]) == ("standing", 4, "bob")
    lines = [json.loads(line) for line in Path("n.jsonl").read_text("utf-8").splitlines()]
    assert [line["account"] for line in lines] == list("abcd") and len({line["token"] for line in lines}) == 4
    assert all(f"https://c.example/appeal#{line['token']}" in line["letter"] for line in lines)
    assert Path("n.jsonl").stat().st_mode & 0o777 == 0o600
    Path("proof.pdf").write_bytes(b"%PDF-1.7")
    ask("receive", "B0001", "we are a school", "--account", "a", "--attach", "proof.pdf", "--as", "bob")
    shown = told("show", "A0001")
    assert shown["account"] == "a" and shown["messages"][0]["files"][0]["name"] == "proof.pdf"
    assert "asked for this measure" in ask("answer", "A0001", "--uphold", "--because", "no", "--as", "Ana", code=2)
    overturned = ("answer", "A0001", "--overturn", "--because", "sorry", "--as", "eva")
    assert "is at version 1, not 7" in ask(*overturned, "--if-version", 7, code=2)
    assert told(*overturned)["appeal"]["state"] == "overturned"
    assert "eva answered it on" in ask(*overturned, code=2)
    assert [one["account"] for one in told("in-force")["in_force"]] == ["b", "c", "d"]
    (file,) = told("files", "A0001", "--out", "out")["files"]
    assert Path(file["file"]).read_bytes() == b"%PDF-1.7"
    assert "is there already" in ask("files", "A0001", "--out", "out", code=2)
    assert told("figures")["overturned"] == 1 and told("lapse", "--as", "cron") == {"ended": []}
    assert told("list") == {"containments": [begun | {"version": 3, "apart": [_apart()]}], "appeals": []}
    assert told("list", "--all")["appeals"][0]["state"] == "overturned"
    assert "new link" not in ask("link", "B0001", "--account", "b", "--as", "bob")
    ask("end", "B0001", "--note", "too harsh", "--as", "ana")
    assert told("in-force") == {"in_force": []}


def _apart() -> dict[str, object]:
    return {"holder": 0, "state": "overturned", "measure": ""}


def test_notices_that_cannot_be_written_begin_nothing(home: Path) -> None:
    Path("there").write_text("mine")
    assert "is there already" in ask("begin", "B0001", "--out", "there", "--as", "bob", code=2)
    assert "cannot write" in ask("begin", "B0001", "--out", "there/n.jsonl", "--as", "bob", code=2)
    assert Path("there").read_text() == "mine" and told("list")["containments"][0]["state"] == "planned"


def test_a_containment_that_cannot_be_recorded_leaves_no_notices(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is full, or the server gone, when the transaction ends."""
    from clonewatch.cases.store import Writing
    from clonewatch.errors import StoreError

    def fail(*_: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(Writing, "sign", fail)
        assert "the disk is full" in ask("begin", "B0001", "--out", "n.jsonl", "--as", "bob", code=2)
    assert not Path("n.jsonl").exists() and told("list")["containments"][0]["state"] == "planned"
    ask("begin", "B0001", "--out", "n.jsonl", "--as", "bob")


def test_what_was_declined_or_withdrawn_says_so(home: Path) -> None:
    assert "B0001 was withdrawn" in ask("decline", "B0001", "--as", "ANA")
    assert told("list")["containments"][0]["state"] == "withdrawn"
    assert "was withdrawn by" in ask("begin", "B0001", "--out", "n.jsonl", "--as", "bob", code=2)


def test_bad_input_is_refused_without_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    begun("cases.db").appeal(0)
    Path("bomb.pdf").write_bytes(b"PK\x03\x04" * 9)
    os.mkfifo("pipe")
    write = ("receive", "B0001", "text", "--account", "b", "--attach")
    for name in ("bomb.pdf", "pipe", "none", "."):
        ask(*write, name, code=2)
    ask("receive", "B0001", "text", "--account", "nobody", code=2)
    ask("receive", "B0001", "text", "--account", "\udc80", code=2)
    ask("receive", "B0001", " ", "--account", "b", code=2)
    ask("answer", "A0001", "--because", "x", code=2)
    ask("answer", "A0001", "--because", "x", "--uphold", "--overturn", code=2)
    ask("answer", "A0001", "--because", "x", "--overturn", "--innocent", "nothing", "--as", "eva", code=2)
    ask("show", "A0009", code=2)
    ask("figures", "--since", "yesterday", code=2)
    ask("figures", "--fail-on-late", code=3)
    done = CliRunner().invoke(app, ["cases", "due", "--fail-on-overdue"])
    assert done.exit_code == 3 and "appeal A0001" in done.output
    assert told("lapse")["ended"] != [] and told("lapse") == {"ended": []}
    ask("figures", "--fail-on-late")
