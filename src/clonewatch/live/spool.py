"""The spool: batches on disk until they are in the state, bounded in bytes and in age.

A segment is a file of whole lines, as a log is, for its owner only. Lines are acknowledged once they are synced. A
segment is sealed after some time, and the worker takes sealed ones. What a killed process leaves ends at the last whole
line.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from clonewatch.model.errors import OutputError, StateError
from clonewatch.model.whole_files import PRIVATE, sync_folder, write_all

OPEN, SEALED, TAKEN, ASIDE, CARRIED = "open", "sealed", "taken", "aside", "carried"
LINES, TIMES = ".ndjson", ".times"
_LOCK = ".lock"
_MOST_SEGMENT = 64 << 20  # bytes after which a segment is sealed
_NUMBER = 9  # digits
_TAIL = 1 << 20
_sync = getattr(os, "fdatasync", os.fsync)  # not on every system


class FullError(Exception):
    """The spool holds as many bytes as it may."""


class Bounds(NamedTuple):
    """size: bytes of all files. seal: seconds until a segment is sealed. age: seconds until one is dropped unread."""

    size: int = 2 << 30
    seal: float = 60.0
    age: float = 72 * 3600.0


class Rows(NamedTuple):
    """Lines of one stream, each with its line feed. rows: how many exchanges or facts they hold.

    at: when they arrived, seconds since 1970; 0 for now.
    """

    stream: str
    data: bytes
    rows: int
    at: float = 0.0


class Arrived(NamedTuple):
    """Rows that came into a segment together: when, how many, and where they begin, in bytes."""

    at: float
    rows: int
    start: int


class _Open:
    """A segment that is being written. size: bytes that are synced."""

    def __init__(self, path: Path, since: float) -> None:
        self.path, self.since, self.size = path, since, 0
        self.handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
        self.times: list[Arrived] = []

    def write(self, data: bytes) -> None:
        """Write and sync; on an error nothing of it stays."""
        try:
            write_all(self.handle, data)
            _sync(self.handle)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self.handle, self.size)
                os.lseek(self.handle, self.size, os.SEEK_SET)
            raise
        self.size += len(data)


class Spool:
    """A folder of segments, written by one process.

    clock: seconds since 1970, when rows arrive. ticks: seconds of a clock that nobody sets, for ages.
    """

    def __init__(
        self,
        place: Path,
        bounds: Bounds,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.place, self.bounds, self._clock, self._ticks = place, bounds, clock, ticks
        self._lock = threading.Lock()
        self._segments: dict[str, _Open] = {}
        self._seen: dict[str, float] = {}  # when files that wait were first seen
        self._number = max([_number(path) for path in _files(place)], default=0)
        self.size = held(place)
        for path in sorted((place / OPEN).glob(f"*{LINES}")):
            _cut(path)
            self._seal(path, [])

    def append(self, rows: Sequence[Rows]) -> None:
        """Write lines of any streams, and return once they are on the disk.

        Raises FullError where they are more than the spool may hold, OSError where the disk refuses them; streams that
        were written before it did keep theirs, and a sender that sends them again changes nothing.
        """
        together: dict[str, list[Rows]] = {}
        for one in rows:
            together.setdefault(one.stream, []).append(one)
        if self.is_full(sum(len(one.data) for one in rows)):
            raise FullError
        with self._lock:
            for stream, parts in together.items():
                self._write(stream, parts)

    def is_full(self, more: int = 1) -> bool:
        """Whether so many bytes more would be more than it may hold. The worker removes files, so it looks again."""
        if self.size + more > self.bounds.size:
            self.size = held(self.place)
        return self.size + more > self.bounds.size

    def seal(self, *, everything: bool = False) -> None:
        """Give the worker the segments that are old enough."""
        now = self._ticks()
        with self._lock:
            for stream, segment in list(self._segments.items()):
                if everything or now - segment.since >= self.bounds.seal:
                    self._end(stream)

    def expire(self, exempt: Sequence[str] = ()) -> int:
        """Remove segments and set-aside files past their age, unread; returns how many. exempt: streams that stay.

        Ages count from when this process first saw a file, so no clock that is set can drop what nobody read.
        """
        waiting = {
            path.name: path
            for folder in (SEALED, ASIDE)
            for path in (self.place / folder).glob(f"*{LINES}")
            if stream_of(path) not in exempt
        }
        now = self._ticks()
        self._seen = {name: self._seen.get(name, now) for name in waiting}
        past = [path for name, path in waiting.items() if now - self._seen[name] >= self.bounds.age]
        for path in past:
            path.unlink(missing_ok=True)
            path.with_suffix(TIMES).unlink(missing_ok=True)
        self.size = held(self.place)
        return len(past)

    def close(self) -> None:
        """Seal everything."""
        self.seal(everything=True)

    def _write(self, stream: str, parts: Sequence[Rows]) -> None:
        segment = self._segments.get(stream) or self._begin(stream)
        data = b"".join(one.data for one in parts)
        start = segment.size
        segment.write(data)
        at = min((one.at for one in parts if one.at), default=self._clock())
        segment.times.append(Arrived(at, sum(one.rows for one in parts), start))
        self.size += len(data)
        if segment.size >= _MOST_SEGMENT:
            self._end(stream)

    def _begin(self, stream: str) -> _Open:
        self._number += 1
        segment = _Open(self.place / OPEN / f"{self._number:0{_NUMBER}d}-{stream}{LINES}", self._ticks())
        sync_folder(self.place / OPEN)
        self._segments[stream] = segment
        return segment

    def _end(self, stream: str) -> None:
        segment = self._segments[stream]
        self._seal(segment.path, segment.times)  # where that fails, it is tried again
        os.close(segment.handle)
        del self._segments[stream]

    def _seal(self, path: Path, times: Sequence[Arrived]) -> None:
        if not path.stat().st_size:
            path.unlink()
            return
        said = "".join(f"{one.at:.3f} {one.rows} {one.start}\n" for one in times)
        to = self.place / SEALED / path.name
        with contextlib.suppress(OSError):  # they are for a measure
            to.with_suffix(TIMES).write_text(said, encoding="ascii")
        path.rename(to)
        sync_folder(to.parent)
        sync_folder(path.parent)


@contextlib.contextmanager
def opened(place: Path, bounds: Bounds) -> Iterator[Spool]:
    """Open a spool, which is made where there is none, for this process alone. Raises StateError, OutputError."""
    make(place)
    lock = FileLock(place / _LOCK, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StateError(
            "another process writes to this spool", where=str(place), fix="Stop it, or name another folder"
        ) from error
    try:
        spool = Spool(place, bounds)
        try:
            yield spool
        finally:
            spool.close()
    finally:
        lock.release()


def make(place: Path) -> None:
    """Make the folders of a spool. Raises OutputError."""
    try:
        for folder in (place, *(place / name for name in (OPEN, SEALED, TAKEN, ASIDE, CARRIED))):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the spool: {error.strerror or error}", where=str(place), fix="Name another folder"
        ) from error


def held(place: Path) -> int:
    """Bytes of all files in a spool. What the worker removes meanwhile counts for nothing."""
    size = 0
    for path in _files(place):
        with contextlib.suppress(OSError):
            size += path.lstat().st_size
    return size


def sealed(place: Path) -> list[Path]:
    """The segments that may be taken, oldest first."""
    return sorted((place / SEALED).glob(f"*{LINES}"))


def stream_of(path: Path) -> str:
    """The stream of a segment, by its name.

    >>> stream_of(Path("000000012-otlp.logs.ndjson"))
    'otlp.logs'
    """
    return path.name.removesuffix(LINES)[_NUMBER + 1 :]


def times_of(path: Path) -> list[Arrived]:
    """When the rows of a segment arrived; empty where that was lost."""
    try:
        found = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
        return [Arrived(float(at), int(rows), int(start)) for at, rows, start in found]
    except (OSError, ValueError):
        return []


def counted(times: Sequence[Arrived], now: float) -> Mapping[float, int]:
    """Seconds that rows have waited, and how many rows; none for a clock that was set back."""
    waits: dict[float, int] = {}
    for one in times:
        wait = max(0.0, now - one.at)
        waits[wait] = waits.get(wait, 0) + one.rows
    return waits


def _files(place: Path) -> Iterator[Path]:
    """The files of a spool, while a worker may remove folders."""
    return (Path(folder, name) for folder, _, names in os.walk(place) for name in names)


def _number(path: Path) -> int:
    digits = path.name[:_NUMBER]
    return int(digits) if digits.isdecimal() else 0


def _cut(path: Path) -> None:
    """Cut a file after its last line feed: what follows was never acknowledged."""
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - _TAIL)
            file.seek(start)
            at = file.read(end - start).rfind(b"\n")
            if at >= 0:
                end = start + at + 1
                break
            end = start
        file.truncate(end)
        os.fsync(file.fileno())
