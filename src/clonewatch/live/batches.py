"""Micro-batches: sealed segments become a folder of a log, which is read like any other, and is removed once it was."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from clonewatch.live.bodies import ACCOUNT_FACTS, EVENT_ROWS, OTLP, SIDES, read_as
from clonewatch.live.spool import ASIDE, CARRIED, LINES, SEALED, TAKEN, TIMES, Arrived, sealed, stream_of, times_of
from clonewatch.model import whole_files

_EXCHANGES = "exchanges"
_TRIES, _AWAY = "tries", ".away"
_MOST_SIDES = 64 << 20  # bytes of facts and events after which the others wait for the next batch
# Times that a batch may end its process before its segments are tried one by one.
MOST_TRIES = 2
_RECORDS, _CARRIED = "otlp.logs", f".carried{LINES}"
# Exporters send spans and log records within as many seconds of each other.
_TOGETHER = 10.0

log = logging.getLogger("clonewatch.live")


class Batch(NamedTuple):
    """A folder with segments of one format, and one field map. source: the name of the map, "" for none.

    The name of the folder says both: a segment is read as what it was sent as, whatever its rows look like.
    """

    place: Path
    form: str
    source: str

    def segments(self) -> list[Path]:
        """Its segments of exchanges, oldest first."""
        return sorted((self.place / _EXCHANGES).glob(f"*{LINES}"))

    def times(self) -> list[Arrived]:
        """When its rows arrived, and how many."""
        return [one for path in sorted(self.place.glob(f"*{TIMES}")) for one in times_of(path)]

    def tried(self) -> int:
        """Count an attempt before it begins; returns how many there were before it."""
        path = self.place / _TRIES
        before = len(path.read_bytes()) if path.exists() else 0
        whole_files.replace(path, b"x" * (before + 1), whole_files.PRIVATE)
        return before

    def done(self) -> int:
        """Remove it: everything is in the state. Returns how many files of facts are set aside, which it was not."""
        bad = sorted(self.place.glob(f"*{_AWAY}"))
        for path in bad:
            path.rename(self.place.parents[1] / ASIDE / f"{self._number}-{path.name.removesuffix(_AWAY)}")
        shutil.rmtree(self.place)
        return len(bad)

    def put_facts_away(self) -> bool:
        """Leave out the facts of a batch that could not be read with them; whether there were any."""
        sides = list(self.place.glob(f"*{LINES}"))
        for path in sides:
            path.rename(path.with_name(path.name + _AWAY))
        return bool(sides)

    def give_facts_back(self) -> None:
        """Let the facts of a batch that cannot be read without them either go with the next one."""
        for path in self.place.glob(f"*{_AWAY}"):
            path.rename(self.place.parents[1] / SEALED / f"{self._number}-{path.name.removesuffix(_AWAY)}")

    @property
    def _number(self) -> str:
        return self.place.name.partition("@")[0]


def waiting(place: Path) -> Iterator[Batch]:
    """Batches that were taken and are not in the state yet, then new ones of everything sealed."""
    yield from _taken(place)
    _take(place)
    yield from _taken(place)


def _taken(place: Path) -> list[Batch]:
    folders = sorted(path for path in (place / TAKEN).iterdir() if path.is_dir())
    return [Batch(path, *path.name.split("@")[1:]) for path in folders]


def _take(place: Path) -> None:
    """Move sealed segments into folders by format and field map; facts go with exchanges, and wait for some."""
    groups: dict[tuple[str, str], list[Path]] = {}
    sides: list[Path] = []
    size = 0
    for path in sealed(place):
        stream = stream_of(path)
        if stream not in SIDES:
            groups.setdefault(read_as(stream), []).append(path)
        elif size < _MOST_SIDES:
            sides.append(path)
            size += path.stat().st_size
    for at, (how, segments) in enumerate(sorted(groups.items())):
        folder = _folder(place, segments[0], *how)
        (folder / _EXCHANGES).mkdir(mode=0o700, parents=True, exist_ok=True)
        if at == 0:
            _write_sides(folder, sides)
        for path in _carried(place, how) if how[0] == OTLP else ():
            path.rename(folder / _EXCHANGES / path.name)
        for path in segments:
            with contextlib.suppress(FileNotFoundError):  # its times are a measure only
                path.with_suffix(TIMES).rename(folder / (path.stem + TIMES))
            path.rename(folder / _EXCHANGES / path.name)
        whole_files.sync_folder(folder / _EXCHANGES)
        whole_files.sync_folder(folder)
        whole_files.sync_folder(folder.parent)
        for path in sides if at == 0 else ():
            path.unlink()
            path.with_suffix(TIMES).unlink(missing_ok=True)


def _folder(place: Path, first: Path, form: str, source: str) -> Path:
    return place / TAKEN / f"{first.name.partition('-')[0]}@{form}@{source}"


def _write_sides(folder: Path, sides: list[Path]) -> None:
    """The facts and events of segments as the side tables of a log: of an account one row, later values in front.

    A killed process leaves the segments, and they are written again.
    """
    facts: dict[str, Mapping[str, object]] = {}
    events: list[bytes] = []
    for path in sides:
        lines = path.read_bytes().splitlines()
        if stream_of(path) == EVENT_ROWS:
            events += lines
            continue
        for row in filter(None, map(_fact, lines)):
            account = str(row["account_id"])
            given = {name: value for name, value in row.items() if value is not None}
            facts[account] = {**facts.get(account, {}), **given, "account_id": account}
    for name, rows in ((ACCOUNT_FACTS, [msgspec.json.encode(row) for row in facts.values()]), (EVENT_ROWS, events)):
        if rows:
            data = b"".join(row + b"\n" for row in rows)
            whole_files.replace(folder / f"{name}{LINES}", data, whole_files.PRIVATE)


def _fact(line: bytes) -> dict[str, object] | None:
    """A row of facts; None for what only somebody else can have put into the bus."""
    try:
        row = msgspec.json.decode(line, type=dict[str, object])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        row = {}
    if row.get("account_id") is not None:
        return row
    log.error("a row of facts is none")
    return None


def carry(batch: Batch) -> None:
    """Keep the end of a batch for the next one, where spans and log records about them may be in two.

    What was read is read again with it, and the state takes no row twice; a span that has its prompt now adds it. A
    killed process leaves nothing to carry, and then some calls lack their prompt.
    """
    paths = [path for path in batch.segments() if not path.name.endswith(_CARRIED)]
    if batch.form != OTLP or not any(stream_of(path).startswith(_RECORDS) for path in paths):
        return
    known = {path: times_of(batch.place / (path.stem + TIMES)) for path in paths}
    end = max((one.at for times in known.values() for one in times), default=0.0)
    for path, times in known.items():
        start = min((one.start for one in times if one.at >= end - _TOGETHER), default=None)
        if start is not None:
            with path.open("rb") as file:
                file.seek(start)
                to = batch.place.parents[1] / CARRIED / path.name
                whole_files.replace(to.with_name(path.stem + _CARRIED), file.read(), whole_files.PRIVATE)


def _carried(place: Path, how: tuple[str, str]) -> list[Path]:
    """What the batch before left for one of this format and map."""
    found = sorted((place / CARRIED).glob(f"*{_CARRIED}"))
    return [path for path in found if read_as(stream_of(path).removesuffix(".carried")) == how]


def forget_carried(place: Path, age: float) -> None:
    """Remove what was carried for a batch that did not come within so many seconds, by the clock of the files."""
    now = time.time()
    for path in (place / CARRIED).iterdir():
        with contextlib.suppress(FileNotFoundError):
            if not 0 <= now - path.stat().st_mtime < age:
                path.unlink()


def apart(batch: Batch) -> list[Batch]:
    """A batch as one for each of its segments, when something in it cannot be read.

    What was carried into it was read before, and is dropped.
    """
    for path in batch.segments():
        if path.name.endswith(_CARRIED):
            path.unlink()
    parts = [batch]
    for path in batch.segments()[1:]:
        folder = _folder(batch.place.parents[1], path, batch.form, batch.source)
        (folder / _EXCHANGES).mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            (batch.place / (path.stem + TIMES)).rename(folder / (path.stem + TIMES))
        path.rename(folder / _EXCHANGES / path.name)
        parts.append(Batch(folder, batch.form, batch.source))
    (batch.place / _TRIES).unlink(missing_ok=True)
    return parts


def set_aside(batch: Batch) -> None:
    """Move the only segment of a batch where it does no harm."""
    for path in batch.segments():
        path.rename(batch.place.parents[1] / ASIDE / path.name)
    batch.done()
