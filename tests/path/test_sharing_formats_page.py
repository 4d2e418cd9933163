"""The page on formats, typed: two providers on loopback, every command, and every option in the table."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from tests.unit.release_stand import release
from typer.testing import CliRunner

from clonewatch.cli.main import app
from clonewatch.cli.share_formats import app as commands
from clonewatch.service.taxii.settings import Collection, Listen, Peer, Settings
from clonewatch.sharing.formats.reading import MOST_BYTES, MOST_OBJECTS
from clonewatch.sharing.release import Release, decoded, encoded

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "using" / "sharing-formats.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\S*)\n(.*?)^```$", PAGE, re.M | re.S)
LINES = [line for of, block in BLOCKS if not of for line in block.splitlines()]
PATIENCE = 60.0
KNOWN: dict[str, Any] = typer.main.get_command(commands).commands  # type: ignore[attr-defined]


def of_today(**given: object) -> Release:
    """A release that was made in this hour."""
    now = datetime.now(UTC)
    since, until = f"{now:%Y-%m-%d}", f"{now + timedelta(days=10):%Y-%m-%d}"
    held = tuple(msgspec.structs.replace(one, since=since, until=until) for one in release().indicators)
    return release(made_at=f"{now:%Y-%m-%dT%H:00:00Z}", until=until, indicators=held, **given)


def run(line: str) -> str:
    done = CliRunner().invoke(app, shlex.split(line)[1:])
    assert done.exit_code == 0, f"{line}\n{done.output}"
    return done.output


@contextlib.contextmanager
def serving(line: str, port: int) -> Iterator[None]:
    """The server of a line, in a process of its own."""
    command = "from clonewatch.cli.main import run; run()"
    words = [sys.executable, "-c", command, *shlex.split(line)[1:]]
    process = subprocess.Popen(words, env=os.environ | {"PYTHONPATH": str(ROOT / "src")})
    try:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


def test_every_command_of_the_page_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    lines = [line.replace(":6100/", f":{port}/") for line in LINES if line.startswith("clonewatch share")]
    first = of_today()
    Path("release.json").write_bytes(encoded(first))
    theirs = of_today(sender="provider-b", id="6e0f3f52-5a7e-4c39-8d43-2f8d5a1f9b10")
    Path("release-b.json").write_bytes(encoded(theirs))
    said: dict[str, str] = {}
    with contextlib.ExitStack() as running:
        for line in lines:
            if line == "clonewatch share serve taxii.toml":
                running.enter_context(serving(line, port))
                continue
            said[line] = run(line)
            if "--new-key" in line:
                key = re.search(r"cwk_\S+", said[line])
                hashed = re.search(r'sha256 = "(.+)"', said[line])
                assert key and hashed
                Path("peer.key").write_text(key[0] + "\n")
                Path("peer.key").chmod(0o600)
                (settings,) = [block for of, block in BLOCKS if of == "toml"]
                filled = settings.replace("0" * 64, hashed[1]).replace("port = 6100", f"port = {port}")
                Path("taxii.toml").write_text(filled)
        pull = next(line for line in lines if " pull " in line)
        assert decoded((Path("from-a") / f"{first.id}.json").read_bytes()) == first
        _correct(first, pull)
        inbox = pull.replace("7e0f", "8e0f").replace("from-a", "inbox").replace("--sender provider-a", "--json")
        assert json.loads(run(inbox))["new"] == [f"inbox/{theirs.id}.json"]
        plain = json.loads(run(pull.replace("7e0f", "9e0f").replace("from-a", "plain") + " --json"))
        assert plain["new"] == [] and len(plain["indicators"]) == len(first.indicators)
    looked = [text for line, text in said.items() if " look " in line]
    assert len(looked) == 3 and len(set(looked)) == 1 and f"Release {first.id}, revision 1 (new)" in looked[0]
    assert json.loads(Path("decisions.json").read_text())["new"]
    assert {p.name for p in Path("feed").iterdir()} == {"manifest.json", "hashes.csv", f"{first.id}.json"}


def _correct(first: Release, pull: str) -> None:
    """A retraction is offered, and reaches whoever pulls."""
    word = msgspec.structs.replace(first, revision=2, what="retraction", reason="appeal_upheld")
    Path("second.json").write_bytes(encoded(word))
    run("clonewatch share offer second.json taxii.toml --collection partners")
    assert "1 releases are new" in run(pull)
    assert decoded((Path("from-a") / f"{first.id}.json").read_bytes()) == word
    looked = run(f"clonewatch share look from-a/{first.id}.json")
    assert f"0 of {len(first.indicators)} indicators hold" in looked


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_the_table_has_every_command_with_its_options_and_examples_that_are_right(name: str) -> None:
    options = {o for p in KNOWN[name].params if p.param_type_name == "option" for o in p.opts if o[:2] == "--"}
    row = re.search(rf"^\| `clonewatch share {name}[^`]*` \| (.*) \|$", PAGE, re.M)
    assert row and set(re.findall(r"`(--[a-z-]+)`", row[1])) == options
    assert f"clonewatch share {name} " in KNOWN[name].help and all(p.help for p in KNOWN[name].params)
    for line in re.findall(rf"clonewatch share {name} .*", KNOWN[name].help + PAGE):
        assert set(re.findall(r"(?<!\S)(--[a-z-]+)", line.partition("`")[0])) <= options, line


def test_the_page_names_every_setting_and_the_limits() -> None:
    for prefix, kind in (("", Settings), ("listen.", Listen), ("peers.NAME.", Peer)):
        for field in msgspec.structs.fields(kind):
            if field.name not in ("listen", "peers", "collections"):
                assert f"`{prefix}{field.name}`" in PAGE, field.name
    assert all(f"`{field.name}`" in PAGE for field in msgspec.structs.fields(Collection))
    assert f"{MOST_BYTES >> 20} MiB" in PAGE and f"{MOST_OBJECTS:,} objects" in PAGE


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    path = tmp_path / "release.json"
    path.write_bytes(encoded(of_today(tlp="RED", pap="RED")))
    settings = tmp_path / "taxii.toml"
    collection = '[collections.c]\nid = "7e0f3f52-5a7e-4c39-8d43-2f8d5a1f9b10"\ntitle = "C"\nread = ["a", "b"]\n'
    settings.write_text("".join(f'[peers.{n}]\nsha256 = "{n * 64}"\n' for n in "ab") + collection)
    old = tmp_path / "old.json"
    old.write_bytes(encoded(of_today(revision=2, what="correction")))
    out = str(tmp_path / "out")
    for words, said in (
        (["convert", str(path), "--to", "pdf", "--out", out], "There are: json, stix"),
        (["convert", str(path), "--to", "blocklist", "--out", out], "PAP:RED"),
        (["convert", str(settings), "--to", "json", "--out", out], "not JSON"),
        (["offer", str(path), str(settings), "--collection", "c"], "for one recipient, and 2 peers"),
        (["offer", str(path), str(settings), "--collection", "d"], "There are: c"),
        (["pull", "http://example.org/", "--collection", "x", "--into", out], "in the clear"),
        (["push", str(path), "https://example.org/", "--collection", "x"], "is no id"),
    ):
        done = CliRunner().invoke(app, ["share", *words])
        assert done.exit_code == 2 and said in done.output, done.output
    assert CliRunner().invoke(app, ["share", "offer", str(old), str(settings), "--collection", "c"]).exit_code == 0
    path.write_bytes(encoded(of_today()))
    older = CliRunner().invoke(app, ["share", "offer", str(path), str(settings), "--collection", "c"])
    assert older.exit_code == 2 and "newer word" in older.output
    assert not Path(out).exists() or list(Path(out).iterdir()) == []


def test_a_library_that_is_not_there_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "release.json"
    path.write_bytes(encoded(of_today()))
    for library, words in (
        ("stix2", ["convert", str(path), "--to", "stix", "--out", str(tmp_path / "out")]),
        ("pymisp", ["convert", str(path), "--to", "misp", "--out", str(tmp_path / "out")]),
        ("uvicorn", ["serve", str(path)]),
    ):
        with monkeypatch.context() as lacking:
            lacking.setitem(sys.modules, library, None)
            done = CliRunner().invoke(app, ["share", *words])
        assert done.exit_code == 2 and library in done.output and "clonewatch[share]" in done.output
