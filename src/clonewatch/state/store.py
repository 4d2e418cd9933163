"""A state on disk: opened by one process at a time, changed all at once or not at all.

New files are written under hidden names, synced and renamed. Then the manifest that lists them is written to a draft,
synced and renamed over the old one. What a killed process leaves is in no manifest, and the next process removes it.
Nothing here reads the clock, so a clock that steps changes nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from clonewatch.model.errors import OutputError, StateError
from clonewatch.model.text_files import MOST_OF_ROWS, bytes_of, is_plain
from clonewatch.model.whole_files import replace, sync_folder
from clonewatch.state import manifest as manifests
from clonewatch.state.columns import Layout, agree, described, schema_of, together, widened
from clonewatch.state.files import PARTS, check_bytes, part_path, read_whole
from clonewatch.state.manifest import File, Manifest, TornManifest, key_check
from clonewatch.state.sealed import seal, unsealed

BEFORE = manifests.NAME + ".before"
# The logs of the latest change: going back by one change loses them, and a torn manifest cannot say which they were.
_LATEST = manifests.NAME + ".logs"
# The lock is released when its process ends, however it ends. Who took it last is in a second file, because a locked
# file cannot be read on every system.
_LOCK, _HOLDER = "lock", "lock.holder"
REJECTED = "rejected"
_DRAFT, _SNAPSHOT, _ENGINE = ".draft-", ".reading-", ".clonewatch-"
_GROUP = 131_072  # rows of a Parquet row group


class State:
    """A state folder held by this process. Use `opened`, which also closes it."""

    def __init__(self, place: Path, manifest: Manifest) -> None:
        self.place, self.manifest = place, manifest
        self._new = 0
        self._intact: set[str] = set()

    def path(self, file: File) -> Path:
        """The path of a file."""
        return part_path(self.place, file)

    def paths(self, files: Iterable[File]) -> list[Path]:
        """The paths of files; raises StateError for one that is missing or has another size."""
        found = []
        for file in files:
            path = self.path(file)
            check_bytes(path, file, path, whole=False)
            found.append(path)
        return found

    def intact(self, files: Iterable[File]) -> list[Path]:
        """The paths of files whose content will be read; raises StateError for one that differs from what was written.

        Every byte is compared, once while the state is open.
        """
        files = list(files)
        for file in files:
            if file.name not in self._intact:
                check_bytes(self.path(file), file, self.path(file))
                self._intact.add(file.name)
        return [self.path(file) for file in files]

    def read(self, file: File, columns: list[str] | None = None) -> pa.Table:
        """Read a whole (small) file, after its bytes were compared with what was written."""
        [path] = self.intact([file])
        return read_whole(path, path, columns)

    def table(self, files: Iterable[File], layout: Layout) -> pa.Table:
        """Read whole (small) files of one kind as one table: the columns of this version, then those of others."""
        tables = [(self.path(file), self.read(file)) for file in files]
        schema = together(layout, [(path, table.schema) for path, table in tables])
        return pa.concat_tables([schema.empty_table(), *(widened(table, schema) for _, table in tables)])

    def schema(self, files: Iterable[File], layout: Layout) -> pa.Schema:
        """The columns of this version, then those that only these files have. Raises StateError where they disagree."""
        return together(layout, [(path, schema_of(path)) for path in self.paths(files)])

    def check(self, layouts: Mapping[str, Layout], chosen: Manifest | None = None) -> None:
        """Raise StateError where a column has another type in this version, or a file lacks one that it needs.

        layouts: by kind of file. chosen: lists the files that will be read; None for all. Only their footers are read.
        """
        found = self.manifest.columns or self._columns(self.manifest, {})
        for kind, layout in layouts.items():
            agree(described(layout.schema), found.get(kind, {}), self.place)
        for kind, files in (chosen or self.manifest).kinds().items():
            self.schema(files, layouts[kind])

    def write(self, kind: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch | pa.Table]) -> File:
        """Write a new file. It becomes part of the state with the next `commit`. Raises OutputError on a full disk."""
        self._new += 1
        name = f"{self.manifest.generation + 1:06d}-{self._new:04d}-{kind}.parquet"
        draft, path = self.place / PARTS / (_DRAFT + name), self.place / PARTS / name
        rows = 0
        with disk(self.place):
            with pq.ParquetWriter(draft, schema, compression="zstd", compression_level=1) as out:
                for batch in batches:
                    table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
                    out.write_table(table, row_group_size=_GROUP)
                    rows += table.num_rows
            size, digest = synced(draft)
            draft.rename(path)
        return File(name, rows, size, digest)

    def snapshot(self, files: Iterable[File]) -> Snapshot:
        """Hard links to these files, for a reader that releases the state meanwhile; the reader closes it."""
        with disk(self.place):
            place = Path(tempfile.mkdtemp(prefix=_SNAPSHOT, dir=self.place))
            taken = Snapshot(place, FileLock(place / _LOCK, thread_local=False))
            taken.lock.acquire(timeout=0)
            for path in self.paths(files):
                os.link(path, place / path.name)
        return taken

    def commit(self, manifest: Manifest, *, last: bool = False) -> None:
        """Make this manifest the state, one generation later.

        last: remove all files that only the earlier manifest lists; otherwise they are kept, so that `restore` works.
        """
        columns = self._columns(manifest, {} if last else self.manifest.columns)
        manifest = msgspec.structs.replace(
            manifest, schema=manifests.VERSION, generation=self.manifest.generation + 1, columns=columns
        )
        before = manifest if last else self.manifest
        with disk(self.place):
            sync_folder(self.place / PARTS)
            if not last and self.manifest.generation:
                _put(self.place / BEFORE, manifests.encode(before))
            logs = {source.path for name, source in manifest.sources.items() if name not in before.sources}
            _put(self.place / _LATEST, seal(msgspec.json.encode({"logs": sorted(logs)})))
            _put(self.place / manifests.NAME, manifests.encode(manifest))
            if last:
                _put(self.place / BEFORE, manifests.encode(before))
        self.manifest, self._new = manifest, 0
        self._sweep(before)

    def lost_logs(self, *, remove: bool) -> str:
        """What is wrong with the list of the latest change's logs, empty for nothing. remove: a damaged list."""
        path = self.place / _LATEST
        if not path.exists() or _latest(self.place) is not None:
            return ""
        if remove:
            path.unlink()
        return f"{path.name}: its bytes differ from those that were written"

    def _columns(self, manifest: Manifest, known: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
        """The columns of every kind of file. known: those of the state's present files; empty to read them again."""
        listed = {file.name for file in self.manifest.files()} if known else set()
        columns = {kind: dict(found) for kind, found in known.items()}
        for kind, files in manifest.kinds().items():
            for path in self.paths(file for file in files if file.name not in listed):
                found = described(schema_of(path))
                agree(columns.setdefault(kind, {}), found, path)
                columns[kind] |= found
        return columns

    def _sweep(self, before: Manifest | None) -> None:
        """Remove files that neither this manifest nor the one before it lists."""
        named = {f.name for m in (self.manifest, before) if m for f in m.files()}
        for path in (self.place / PARTS).iterdir():
            if path.name not in named:
                path.unlink()

    def _tidy(self) -> None:
        """Remove what killed processes left in the folder."""
        for path in self.place.iterdir():
            left = path.name.startswith(_SNAPSHOT) and _is_free(path / _LOCK)
            if left or path.name.startswith(_ENGINE):
                shutil.rmtree(path, ignore_errors=True)
            elif path.name.startswith(_DRAFT):
                path.unlink()


class _Logs(msgspec.Struct, frozen=True):
    logs: list[str]


class Snapshot(NamedTuple):
    """Hard links to files of a state. Once its lock is free, nobody reads them any more."""

    place: Path
    lock: FileLock

    def close(self) -> None:
        """Remove the links and release the lock."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.lock.release()


@contextlib.contextmanager
def opened(place: Path, key: bytes, *, create: bool = False) -> Iterator[State]:
    """Open a state and lock it until the end of the block.

    key: the fingerprint key of the state. create: make a new state where there is none. Raises StateError where there
    is none, another process holds it, it is damaged, or it was made with another key.
    """
    if not is_plain(place):
        raise StateError("the name of the folder is not UTF-8", where=str(place), fix="Name it in ASCII, for example")
    if not (place / manifests.NAME).exists():
        _begin(place, key, create)
    with contextlib.ExitStack() as held:
        held.enter_context(_locked(place))
        state = State(place, _replaceable(place))
        if state.manifest.key_check != key_check(key):
            raise StateError(
                "this state was made with another fingerprint key",
                where=str(place),
                fix="Pass the key it was made with as --key: hashes of two keys never match",
            )
        before = place / BEFORE
        with contextlib.suppress(StateError):
            state._sweep(_load(before) if before.exists() else None)
        state._tidy()
        yield state


class Restored(NamedTuple):
    """A manifest was replaced by the one before it. logs: what that change had read; None where it is not known."""

    logs: list[str] | None


def restore(place: Path) -> Restored | None:
    """Replace a damaged manifest by the one before it; None where that was not necessary.

    Raises StateError where no intact one is before it. A manifest that another version wrote is not damaged: it raises
    StateError too.
    """
    if not (place / manifests.NAME).exists() and not _holds_state(place):
        return None
    with _locked(place):
        try:
            _replaceable(place)
        except TornManifest:
            logs = _latest(place)
            with disk(place):
                _put(place / manifests.NAME, (place / BEFORE).read_bytes())
            return Restored(logs)
    return None


def _replaceable(place: Path) -> Manifest:
    """The manifest. Raises TornManifest where it is damaged and the one before it is intact, StateError otherwise."""
    try:
        return _load(place / manifests.NAME)
    except TornManifest as error:
        try:
            _load(place / BEFORE)
        except TornManifest:
            raise manifests.lost(error.what, place / manifests.NAME) from error
        raise


def _latest(place: Path) -> list[str] | None:
    """The logs of the latest change; None where the list is missing or damaged."""
    path = place / _LATEST
    try:
        return msgspec.json.decode(unsealed(path.read_bytes()), type=_Logs).logs if path.exists() else None
    except (msgspec.DecodeError, ValueError):
        return None


def _begin(place: Path, key: bytes, create: bool) -> None:
    if _holds_state(place):
        _replaceable(place)
    if not create:
        raise StateError(
            "there is no state here", where=str(place), fix="Create one: clonewatch ingest LOG --state DIR"
        )
    if place.is_file():
        raise StateError("that is a file, not a folder", where=str(place), fix="Pass a new or empty folder")
    if place.exists() and not _only_begun(place):
        raise StateError("this folder holds other files", where=str(place), fix="Pass a new or empty folder")
    with disk(place):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        (place / PARTS).mkdir(mode=0o700, exist_ok=True)
        with _locked(place):
            if not (place / manifests.NAME).exists():
                _put(place / manifests.NAME, manifests.encode(Manifest(manifests.VERSION, 0, key_check(key))))


def _only_begun(place: Path) -> bool:
    """Whether a folder holds only what a new state holds, including drafts of a killed process."""
    return not _holds_state(place) and all(
        p.name in (_LOCK, _HOLDER, PARTS, REJECTED) or p.name.startswith(_DRAFT) for p in place.iterdir()
    )


def _holds_state(place: Path) -> bool:
    """Whether a folder holds what only a state with exchanges has, even if its manifest is missing."""
    return (place / BEFORE).exists() or any((place / PARTS).glob("[!.]*"))


def _load(path: Path) -> Manifest:
    try:
        return manifests.decode(bytes_of(path, MOST_OF_ROWS, pipes=False), path)
    except FileNotFoundError as error:
        raise manifests.torn("it is missing", path) from error
    except OSError as error:
        what = f"the state cannot be read: {error.strerror}"
        raise StateError(what, where=str(path), fix="Check its permissions") from error


@contextlib.contextmanager
def _locked(place: Path) -> Iterator[None]:
    """The lock of a state."""
    lock, holder = FileLock(place / _LOCK, thread_local=False), place / _HOLDER
    with disk(place):
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            named = holder.read_text(encoding="utf-8").strip() if holder.exists() else "unknown"
            raise StateError(
                f"another process holds this state ({named})",
                where=str(place),
                fix="Wait for it or stop it; nothing is lost",
            ) from error
    try:
        with contextlib.suppress(OSError):  # only for the message to other processes
            holder.write_text(f"process {os.getpid()}\n", encoding="utf-8")
        yield
    finally:
        lock.release()


def _is_free(lock: Path) -> bool:
    """Whether no process holds a lock, and this one can take it."""
    try:
        with FileLock(lock, timeout=0):
            return True
    except OSError:  # a `Timeout` included
        return False


def _put(path: Path, data: bytes) -> None:
    """Write a small file of a state that is locked."""
    replace(path, data, aside=path.with_name(_DRAFT + path.name))


def synced(path: Path) -> tuple[int, str]:
    """Wait until a file is on the disk; returns its size and SHA-256."""
    with path.open("rb") as written:
        os.fsync(written.fileno())
        found = hashlib.file_digest(written, "sha256").hexdigest()
    return path.stat().st_size, found


@contextlib.contextmanager
def disk(place: Path) -> Iterator[None]:
    """Turn errors of the disk into an OutputError that says what to do."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"the state could not be written: {error.strerror or error}",
            where=str(place),
            fix="Free some space or check the permissions, and run again; the state is unchanged",
        ) from error
