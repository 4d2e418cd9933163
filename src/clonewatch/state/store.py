"""A state on disk: opened by one process at a time, changed all at once or not at all.

New files are written under hidden names, synced and renamed; then the manifest that names them is written aside, synced
and renamed over the old one. Whatever a killed process leaves is not named by a manifest, and the next one removes it.
Nothing here looks at the clock: a clock that steps changes nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from clonewatch.model.errors import OutputError, StateError
from clonewatch.state import manifest as manifests
from clonewatch.state.manifest import File, Manifest, key_check

BEFORE = manifests.NAME + ".before"
_LOCK = "lock"
_PARTS = "parts"
REJECTED = "rejected"
_DRAFT, _SNAPSHOT, _ENGINE = ".draft-", ".reading-", ".clonewatch-"
_CHUNK = 1 << 20
_GROUP = 131_072  # rows of a Parquet row group


class State:
    """A state folder held by this process. Use `opened`, which also closes it."""

    def __init__(self, place: Path, manifest: Manifest) -> None:
        self.place, self.manifest = place, manifest
        self._new = 0

    def path(self, file: File) -> Path:
        """Where a file lies."""
        return self.place / _PARTS / file.name

    def paths(self, files: Iterable[File]) -> list[Path]:
        """Where files lie; raises StateError for one that is missing or of another size."""
        found = []
        for file in files:
            path = self.path(file)
            if not path.is_file() or path.stat().st_size != file.size:
                raise damaged(path, "missing" if not path.is_file() else "of another size than it was written with")
            found.append(path)
        return found

    def read(self, file: File, columns: list[str] | None = None) -> pa.Table:
        """A whole (small) file."""
        [path] = self.paths([file])
        try:
            return pq.read_table(path, columns=columns)
        except (pa.ArrowInvalid, OSError) as error:
            raise damaged(path, str(error)) from error

    def write(self, kind: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch | pa.Table]) -> File:
        """Write a new file. It becomes part of the state with the next `commit`. Raises OutputError on a full disk."""
        self._new += 1
        name = f"{self.manifest.generation + 1:06d}-{self._new:04d}-{kind}.parquet"
        draft, path = self.place / _PARTS / (_DRAFT + name), self.place / _PARTS / name
        rows = 0
        with disk(self.place):
            with pq.ParquetWriter(draft, schema, compression="zstd", compression_level=1) as out:
                for batch in batches:
                    table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
                    out.write_table(table, row_group_size=_GROUP)
                    rows += table.num_rows
            size, digest = _sync(draft)
            draft.rename(path)
        return File(name, rows, size, digest)

    def snapshot(self, files: Iterable[File]) -> Path:
        """A folder of these files as they are now, for a reader that lets go of the state; the reader removes it."""
        place = Path(tempfile.mkdtemp(prefix=f"{_SNAPSHOT}{os.getpid()}-", dir=self.place))
        with disk(self.place):
            for path in self.paths(files):
                os.link(path, place / path.name)
        return place

    def commit(self, manifest: Manifest, *, last: bool = False) -> None:
        """Make this manifest, one generation on, the state.

        last: nothing of what it was before may stay; otherwise the files of the manifest before are kept as well.
        """
        manifest = msgspec.structs.replace(manifest, generation=self.manifest.generation + 1)
        before = manifest if last else self.manifest
        with disk(self.place):
            _sync_folder(self.place / _PARTS)
            if not last and self.manifest.generation:
                put_whole(self.place / BEFORE, manifests.encode(before))
            put_whole(self.place / manifests.NAME, manifests.encode(manifest))
            if last:
                put_whole(self.place / BEFORE, manifests.encode(before))
        self.manifest, self._new = manifest, 0
        self._sweep(before)

    def _sweep(self, before: Manifest | None) -> None:
        """Remove files that neither this manifest nor the one before it names."""
        named = {f.name for m in (self.manifest, before) if m for f in m.files()}
        for path in (self.place / _PARTS).iterdir():
            if path.name not in named:
                path.unlink()

    def _tidy(self) -> None:
        """Remove what killed processes left beside the state."""
        for path in self.place.iterdir():
            reader = path.name.removeprefix(_SNAPSHOT).partition("-")[0]
            left = path.name.startswith(_SNAPSHOT) and reader.isdigit() and not runs(int(reader))
            if left or path.name.startswith(_ENGINE):
                shutil.rmtree(path, ignore_errors=True)
            elif path.name.startswith(_DRAFT):
                path.unlink()


@contextlib.contextmanager
def opened(place: Path, key: bytes, *, create: bool = False) -> Iterator[State]:
    """A state, held by this process until the end of the block.

    key: the fingerprint key of the state. create: make a new one where there is none. Raises StateError where there is
    none, another process holds it, it is damaged, or it was made with another key.
    """
    if not (place / manifests.NAME).exists():
        _begin(place, key, create)
    with contextlib.ExitStack() as held:
        held.enter_context(_locked(place))
        state = State(place, _load(place / manifests.NAME))
        if state.manifest.key_check != key_check(key):
            raise StateError(
                "this state was made with another fingerprint key",
                where=str(place),
                mend="Pass the key it was made with as --key: hashes of two keys never match",
            )
        before = place / BEFORE
        with contextlib.suppress(StateError):
            state._sweep(_load(before) if before.exists() else None)
        state._tidy()
        yield state


def restore(place: Path) -> bool:
    """Put the manifest of one change ago in place of a damaged one; whether there was need to."""
    with _locked(place):
        try:
            _load(place / manifests.NAME)
        except StateError:
            data = (place / BEFORE).read_bytes() if (place / BEFORE).exists() else b""
            manifests.decode(data, place / BEFORE)
            with disk(place):
                put_whole(place / manifests.NAME, data)
            return True
    return False


def damaged(path: Path, what: str) -> StateError:
    """The error for a file that is not as it was written."""
    return StateError(
        f"a file of the state is damaged: {what}",
        where=str(path),
        mend="Put it back from a backup, or run `clonewatch state verify --mend`, which says what to ingest again",
    )


def digest(path: Path, watch: Callable[[int], None] = lambda _: None) -> str:
    """SHA-256 of a file, in hexadecimal digits. watch: told of bytes as they are read."""
    found = hashlib.sha256()
    with path.open("rb") as data:
        while chunk := data.read(_CHUNK):
            found.update(chunk)
            watch(len(chunk))
    return found.hexdigest()


def _begin(place: Path, key: bytes, create: bool) -> None:
    if not create:
        raise StateError("there is no state here", where=str(place), mend="Make one: clonewatch ingest LOG --state DIR")
    if place.exists() and not _only_begun(place):
        raise StateError("this folder holds other things", where=str(place), mend="Name a new or empty folder")
    with disk(place):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        (place / _PARTS).mkdir(mode=0o700, exist_ok=True)
        with _locked(place):
            if not (place / manifests.NAME).exists():
                put_whole(place / manifests.NAME, manifests.encode(Manifest(manifests.VERSION, 0, key_check(key))))


def _only_begun(place: Path) -> bool:
    """Whether a folder holds nothing but what a state that was just begun holds, a killed process's draft included."""
    return all(p.name in (_LOCK, _PARTS, REJECTED) or p.name.startswith(_DRAFT) for p in place.iterdir())


def _load(path: Path) -> Manifest:
    try:
        return manifests.decode(path.read_bytes(), path)
    except OSError as error:
        what = f"the state cannot be read: {error.strerror}"
        raise StateError(what, where=str(path), mend="Check its rights") from error


@contextlib.contextmanager
def _locked(place: Path) -> Iterator[None]:
    """The lock of a state. It goes with the process, however that ends."""
    with contextlib.ExitStack() as held:
        with disk(place):
            lock = held.enter_context((place / _LOCK).open("a+"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise StateError(
                f"another process holds this state ({lock.read().strip() or 'unknown'})",
                where=str(place),
                mend="Wait for it, or stop it: nothing is lost",
            ) from error
        with contextlib.suppress(OSError):  # who holds it is only told to others
            lock.truncate(0)
            lock.write(f"process {os.getpid()}\n")
            lock.flush()
        yield


def runs(number: int) -> bool:
    """Whether a process of this number is there."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # under another user
    return True


def put_whole(path: Path, data: bytes) -> None:
    """Write a small file so that it is there whole or not at all."""
    draft = path.with_name(_DRAFT + path.name)
    draft.write_bytes(data)
    _sync(draft)
    draft.rename(path)
    _sync_folder(path.parent)


def _sync(path: Path) -> tuple[int, str]:
    """Wait until a file is on the disk; its size and SHA-256."""
    with path.open("rb") as written:
        os.fsync(written.fileno())
        found = hashlib.file_digest(written, "sha256").hexdigest()
    return path.stat().st_size, found


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def disk(place: Path) -> Iterator[None]:
    """Errors of the disk in the words of a person."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"the state could not be written: {error.strerror or error}",
            where=str(place),
            mend="Free some space or check the rights, and run again: the state is as it was",
        ) from error
