"""The folder of one audit: what was planned, every raw answer in a file of its own, and the hash of everything.

::

    plan.json  prompts.jsonl  tokenizer.txt or .json  twins.jsonl     inputs, fixed by the digest of the plan
    raw/suspect/answer-00000.json ...                                 one file per response, complete or absent
    sent.jsonl                                                        one line per request, before it is sent
    manifest.json                                                     SHA-256 of all of these
    results.json  report.md  report.html                              the outcome
    .lock                                                             empty: one command at a time
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from clonewatch.audit import storage
from clonewatch.audit.json_text import canonical, parsed
from clonewatch.model.errors import InputError, OutputError
from clonewatch.model.text_files import MOST_OF_ROWS, bytes_of

PLAN, PROMPTS, TWINS, SENT = "plan.json", "prompts.jsonl", "twins.jsonl", "sent.jsonl"
MANIFEST, RESULTS, REPORT, PAGE = "manifest.json", "results.json", "report.md", "report.html"
RAW, LOCK = "raw", ".lock"
# The results of a test, and the list of answers, that the ledger does not know yet.
PREPARED, LISTED = "results.json.next", "manifest.json.next"
# What a plan may name, beside itself; one tokenizer of the two.
INPUTS = (PROMPTS, TWINS, "tokenizer.txt", "tokenizer.json")
_SEALED = (PLAN, SENT, *INPUTS)
_RESTORE = "Restore the file from its backup"
_FIX = "Name a file with one JSON object per line"


class Unreadable(InputError):
    """A file cannot be read: that says nothing about what is in it, so no test may take it for an answer."""


class Folder:
    """An audit on disk. path: its folder; made by `clonewatch audit plan`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other commands out, and remove what a killed one had begun to write. Raises InputError if one runs."""
        if not self.path.is_dir():
            raise InputError("there is no audit", where=str(self.path), fix="Make one: clonewatch audit plan")
        lock = FileLock(self.path / LOCK, mode=0o600)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                "another command is at work on this audit", where=str(self.path), fix="Wait until it is done"
            ) from None
        except OSError as error:
            raise OutputError(f"cannot write: {error.strerror}", where=str(self.path)) from error
        try:
            for place in self._begun():
                storage.remove(place)
            self._mend()
            yield
        finally:
            lock.release()

    def _begun(self) -> list[Path]:
        """What a killed command had begun to write; a file of another name is not ours to remove."""
        named = [self.path / (name + storage.PART) for name in (*_SEALED, LISTED, PREPARED, REPORT, PAGE)]
        return [p for p in named if p.exists()] + sorted((self.path / RAW).rglob("*.json" + storage.PART))

    def write(self, name: str, data: bytes) -> None:
        """Store a file atomically: after a crash it has all of its new bytes, or is as it was."""
        storage.put(self.path / name, data)

    def publish(self, prepared: str, name: str) -> None:
        """Give a prepared file its name."""
        storage.move(self.path / prepared, self.path / name)

    def note(self, row: Mapping[str, object]) -> None:
        """Append a line to the list of requests."""
        storage.append(self.path / SENT, canonical(row) + b"\n")

    def _mend(self) -> None:
        """Cut off a line of the list of requests that a crash tore: its request was never sent."""
        place = self.path / SENT
        held = self.read(SENT) if place.exists() else b""
        torn = len(held.rpartition(b"\n")[2])
        if torn:
            storage.cut(place, len(held) - torn)

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        try:
            return bytes_of(self.path / name, MOST_OF_ROWS, pipes=False)
        except OSError as error:
            raise Unreadable(
                f"cannot read: {error.strerror}",
                where=str(self.path / name),
                fix="Check that this is the folder of an audit and that the previous step is done",
            ) from error

    def object(self, name: str) -> dict[str, Any]:
        """A JSON object."""
        try:
            told = parsed(self.read(name))
        except ValueError as error:
            raise InputError(f"not JSON: {error}", where=str(self.path / name), fix=_RESTORE) from error
        if not isinstance(told, dict):
            raise InputError("not a JSON object", where=str(self.path / name), fix=_RESTORE)
        return told

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The JSON objects of a file, one per line; empty if there is no file."""
        return list(read_rows(self.path / name)) if (self.path / name).exists() else []

    def has(self, name: str) -> bool:
        """Whether a file exists."""
        return (self.path / name).is_file()

    def answered(self, source: str) -> list[str]:
        """The requests to a model that have an answer here, by name."""
        return sorted(f"{source}/{place.stem}" for place in (self.path / RAW / source).glob("*.json"))

    def hashes(self) -> dict[str, str]:
        """SHA-256 of every input and raw answer, by name."""
        raw = [p.relative_to(self.path).as_posix() for p in (self.path / RAW).rglob("*.json")]
        names = [*(name for name in _SEALED if self.has(name)), *raw]
        return {name: hashlib.sha256(self.read(name)).hexdigest() for name in sorted(names)}

    def listed(self) -> str:
        """Prepare the manifest, which takes its name with `publish`; returns its SHA-256."""
        data = canonical(self.hashes()) + b"\n"
        self.write(LISTED, data)
        return hashlib.sha256(data).hexdigest()

    def changed(self, added: bool = True) -> list[tuple[str, str]]:
        """Files that differ from the manifest: name and problem. added: also those that it does not list."""
        then, now = self.object(MANIFEST), self.hashes()
        wrong = [(n, "it was changed since the answers were sealed") for n in now if then.get(n, now[n]) != now[n]]
        wrong += [(n, "it is missing") for n in then if n not in now]
        if added:
            wrong += [(n, "it was added after the answers were sealed") for n in now if n not in then]
        return sorted(wrong)


def read_rows(place: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file. Raises an InputError that names the line and what is wrong with it."""
    try:
        lines = bytes_of(place, MOST_OF_ROWS, pipes=False).decode("utf-8").split("\n")
    except OSError as error:
        raise Unreadable(f"cannot read: {error.strerror}", where=str(place), fix=_FIX) from error
    except ValueError as error:
        raise InputError("this is no text in UTF-8", where=str(place), fix=_FIX) from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = parsed(line)
        except ValueError as error:
            raise InputError(f"this line is not JSON: {error}", where=f"{place}:{number}", fix=_FIX) from error
        if not isinstance(row, dict):
            raise InputError(
                "this line is not a JSON object", where=f"{place}:{number}", fix="Write one object per line"
            )
        yield row
