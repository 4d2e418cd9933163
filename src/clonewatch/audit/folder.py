"""The folder of one audit: what was planned, every raw answer in a file of its own, and the hash of everything.

::

    plan.json  prompts.jsonl  tokenizer.txt or .json  twins.jsonl     inputs, fixed by the digest of the plan
    raw/suspect/answer-00000.json ...                                 one file per response, complete or absent
    sent.jsonl                                                        one line per request, before it is sent
    manifest.json                                                     SHA-256 of all of these
    results.json  report.md  report.html                              the outcome
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clonewatch.audit.ledger import canonical
from clonewatch.model.errors import InputError, OutputError

PLAN, PROMPTS, TWINS, SENT = "plan.json", "prompts.jsonl", "twins.jsonl", "sent.jsonl"
MANIFEST, RESULTS, REPORT, PAGE = "manifest.json", "results.json", "report.md", "report.html"
RAW = "raw"
_INPUTS = (PLAN, PROMPTS, TWINS, SENT, "tokenizer.txt", "tokenizer.json")


class Folder:
    """An audit on disk. path: its folder; made by `clonewatch audit plan`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, data: bytes) -> None:
        """Store a file atomically: after a crash it has all of its new bytes, or is as it was."""
        place = self.path / name
        aside = place.with_name(place.name + ".part")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with aside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(place)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise OutputError(
                f"cannot write: {error.strerror}",
                where=str(place),
                fix="Free space and run the same command again; stored answers are not requested twice",
            ) from error

    def note(self, row: Mapping[str, object]) -> None:
        """Append a line to the list of requests."""
        try:
            with (self.path / SENT).open("ab") as file:
                file.write(canonical(row) + b"\n")
        except OSError as error:
            raise OutputError(
                f"cannot write: {error.strerror}",
                where=str(self.path / SENT),
                fix="Free space and run the same command again",
            ) from error

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise InputError(
                f"cannot read: {error.strerror}",
                where=str(self.path / name),
                fix="Check that this is the folder of an audit and that the previous step is done",
            ) from error

    def object(self, name: str) -> dict[str, Any]:
        """A JSON object."""
        try:
            told = json.loads(self.read(name))
        except (ValueError, RecursionError) as error:
            raise InputError(f"not JSON: {error}", where=str(self.path / name)) from error
        if not isinstance(told, dict):
            raise InputError("not a JSON object", where=str(self.path / name))
        return told

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The JSON objects of a file, one per line; empty if there is no file."""
        return list(read_rows(self.path / name)) if (self.path / name).exists() else []

    def has(self, name: str) -> bool:
        """Whether a file exists."""
        return (self.path / name).is_file()

    def hashes(self) -> dict[str, str]:
        """SHA-256 of every input and raw answer, by name."""
        raw = [p.relative_to(self.path).as_posix() for p in (self.path / RAW).rglob("*.json")]
        names = [*(name for name in _INPUTS if self.has(name)), *raw]
        return {name: hashlib.sha256(self.read(name)).hexdigest() for name in sorted(names)}

    def seal(self) -> str:
        """Write the manifest; returns its SHA-256."""
        data = canonical(self.hashes()) + b"\n"
        self.write(MANIFEST, data)
        return hashlib.sha256(data).hexdigest()

    def changed(self) -> list[tuple[str, str]]:
        """Files that differ from the manifest: name and problem."""
        then, now = self.object(MANIFEST), self.hashes()
        wrong = [(n, "it was changed since the answers were sealed") for n in now if then.get(n, now[n]) != now[n]]
        wrong += [(n, "it is missing") for n in then if n not in now]
        return sorted(wrong + [(n, "it was added after the answers were sealed") for n in now if n not in then])


def read_rows(place: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file. Raises an InputError that names the line."""
    try:
        lines = place.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read: {error}", where=str(place)) from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise InputError(
                "this line is not a JSON object", where=f"{place}:{number}", fix="Write one object per line"
            )
        yield row
