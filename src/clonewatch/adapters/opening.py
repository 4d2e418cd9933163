"""Opens files: for reading, for their size, and for what is said of them afterwards."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from clonewatch.adapters.inputs import STANDARD_INPUT
from clonewatch.adapters.mapping import EXAMPLE
from clonewatch.adapters.streams import Stream, Tally
from clonewatch.model.errors import InputError, MappingError
from clonewatch.model.limits import DEFAULT, Limits
from clonewatch.model.read_results import Measured, Rejected
from clonewatch.model.text_files import plain
from clonewatch.ports.adapter import Adapter, Source, Within

_NO_ACCOUNT = "account_id: missing"
# Reading a file ends after as many rejected rows if they are as many times those that were read.
HOPELESS, _HOPELESS_SHARE = 1_000_000, 99


class Input(NamedTuple):
    """One file and its reader. stream: only for pipes, which cannot be opened twice. lane: its kind, for the reader."""

    path: Path
    adapter: Adapter
    stream: Stream | None = None
    lane: str = ""


@dataclass(slots=True)
class Reading:
    """A file that is being read, and how many of its rows became exchanges or were rejected. sha256: once it ended."""

    entry: Input
    stream: Stream
    read: int = 0
    rejected: int = 0
    sha256: str = ""

    @property
    def name(self) -> str:
        """The name of the file in results and messages."""
        return named(self.entry.path)

    @property
    def is_hopeless(self) -> bool:
        """Whether so many rows were rejected, and so few read, that reading on has no use."""
        return self.rejected > HOPELESS and self.rejected > _HOPELESS_SHARE * self.read


def opened(path: Path, limits: Limits = DEFAULT) -> Stream:
    """The bytes of a file or of standard input. Raises InputError."""
    if str(path) == STANDARD_INPUT:
        return Stream(Tally(sys.stdin.buffer, None), limits)
    with readable(path):
        raw = path.open("rb")
        return Stream(Tally(raw, None if is_pipe(path) else path.stat().st_size), limits)


def bytes_of(entry: Input) -> int:
    """Bytes on disk, 0 for a pipe."""
    if entry.stream is not None:
        return 0
    with readable(entry.path):
        return entry.path.stat().st_size


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn the error of an unreadable file into one that says what to do."""
    try:
        yield
    except OSError as error:
        raise InputError(
            "cannot be read", where=str(path), fix=f"Check its permissions ({type(error).__name__})"
        ) from error


def source_of(path: Path, stream: Stream, columns: frozenset[str] | None = None, *, pushed: bool = False) -> Source:
    """A file as an adapter gets it. columns: those that will be used, None for all. pushed: as for `bodies_of`."""
    files = bodies_of(path) if pushed else ()
    return Source(named(path), cast(BinaryIO, stream), None if is_pipe(path) else str(path), columns, files)


def bodies_of(path: Path) -> tuple[Within, ...]:
    """The bodies of a file of batches that were pushed, each after an empty line; none where there is no such line.

    A row without an id is then told by its body and its place in it: a body that is sent twice, into whatever file, is
    one. They have at most 64 MiB together.
    """
    with readable(path):
        parts = path.read_bytes().split(b"\n\n")
    found, before = [], 0
    for part in parts:
        begins = before + part.startswith(b"\n")
        found.append(Within("pushed", blake2b(part.strip(b"\n"), digest_size=16).digest(), begins))
        before += part.count(b"\n") + 2
    return tuple(found) if len(parts) > 1 or parts[0].startswith(b"\n") else ()


def named(path: Path) -> str:
    """The name of a file in results and messages."""
    return str(plain(str(path)))


def is_pipe(path: Path) -> bool:
    """Standard input, a named pipe or the shell's <(...): they can be read only once and have no size."""
    return str(path) == STANDARD_INPUT or not path.is_file()


def measured(name: str, tally: Tally, form: str, read: int, rejected: int) -> Measured:
    """What is said of a file that was read."""
    digest = tally.sha256  # reads the rest that the adapter did not read, so that the count below is complete
    return Measured(name, tally.done, digest, form, read, rejected)


def side_by_side(inputs: list[Input]) -> tuple[list[list[list[Input]]], list[Input]]:
    """Files of one format in several lanes, by format and lane, and all other files."""
    lanes: dict[str, dict[str, list[Input]]] = {}
    for entry in inputs:
        if entry.lane:
            lanes.setdefault(entry.adapter.name, {}).setdefault(entry.lane, []).append(entry)
    joined = {name: kinds for name, kinds in lanes.items() if len(kinds) > 1}
    sides = [[kinds[lane] for lane in sorted(kinds)] for kinds in joined.values()]
    return sides, [entry for entry in inputs if not entry.lane or entry.adapter.name not in joined]


def refuse_without_accounts(rejected: list[Rejected], adapter: Adapter, name: str) -> None:
    """Raise MappingError where all of these rows were rejected because they name no account."""
    if rejected and all(r.reason == _NO_ACCOUNT for r in rejected):
        hint = adapter.account_hint
        raise MappingError(
            'these rows name no account ("anonymous" is none), and without accounts there is nothing to link',
            where=name,
            fix=f"{hint[0].upper()}{hint[1:]}. Where callers have only keys, map the id of the key. For example, a"
            f" field map:\n{EXAMPLE}",
        )
