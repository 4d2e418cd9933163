"""Results on disk: written to a hidden folder, then published whole (`pipeline.result_files`). A crash loses none."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from clonewatch.model.errors import InputError, OutputError
from clonewatch.model.limits import DEFAULT, Limits
from clonewatch.model.read_results import Rejected
from clonewatch.model.text_files import is_plain
from clonewatch.model.whole_files import replace, sync_folder
from clonewatch.pipeline import result_files
from clonewatch.pipeline.intake.rejected_rows import RejectedRows
from clonewatch.pipeline.reporting import provenance
from clonewatch.pipeline.result_files import COMMITTED, NAME, NAMES, REJECTED, REPORT, SUMMARY, read_manifest
from clonewatch.state.manifest import File
from clonewatch.state.store import synced

# The hidden folder of a run, and its name until the run has locked it.
_PREFIX, _UNLOCKED = ".scan-", ".new-scan-"
# In the hidden folder: what an interrupted run leaves to the next one, and the digest of its question.
_WORK, _QUESTION, _BEGUN = "work", "question", "begun"
# In the hidden folder's folder of tables; free once the run that locked it has ended, however it ended.
_LOCK = "lock"
_GROUP = 262_144  # rows of a row group: what is held in memory while a long table is written
_PATIENCE = 60  # seconds to wait for another process that is moving its result into place


class ResultFolder:
    """A folder that receives one result: everything is written to a hidden folder in it, beside the earlier files.

    Use as a context manager. `publish` moves the files into place; leaving without it changes nothing. question: a
    digest of what the result depends on, where an interrupted run can be resumed; empty where it cannot. What an
    interrupted run of another question left is removed. Raises OutputError where a file of another program has the name
    of a file of a result: nothing is touched that no manifest of ours lists.
    """

    def __init__(self, place: Path, question: str = "", limits: Limits = DEFAULT) -> None:
        self.place, self.question, self._limits = place, question, limits
        self._published = False
        if not is_plain(place):
            raise OutputError("the name of the folder is not UTF-8", where=str(place), fix="Pass another one as --out")
        try:
            place.mkdir(parents=True, exist_ok=True)
            _finish(place)
            _refuse_foreign(place)
            self.aside, self._lock = _left(place, question) or _new(place)
        except OSError as error:
            raise OutputError(
                "that is a file, not a folder" if place.is_file() else f"cannot write there: {error.strerror}",
                where=str(place),
                fix="Pass a folder that you may write to as --out",
            ) from error
        self._rejected: RejectedRows | None = None

    @property
    def work(self) -> Path:
        """The folder of intermediate tables, until the result is published."""
        return self.aside / _WORK

    @property
    def begun(self) -> bytes | None:
        """What an interrupted run stored with `keep`; None where there was none."""
        return (self.work / _BEGUN).read_bytes() if (self.work / _QUESTION).exists() else None

    def keep(self, note: bytes) -> None:
        """From here on an interrupted run can be resumed. note: what the next run has to know."""
        try:
            if self._rejected:
                self._rejected.settle()
            replace(self.work / _BEGUN, note)
            replace(self.work / _QUESTION, self.question.encode())
        except OSError as error:
            raise self._full(error) from error

    def __enter__(self) -> ResultFolder:
        """Open the file of rejected rows, which are written as they come."""
        self._rejected = RejectedRows(self.aside / REJECTED, most=self._limits.rejected)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        """Remove what was not published, unless the next run can resume from it."""
        if self._rejected:
            with contextlib.suppress(OSError):  # a full disk: what was buffered goes with the folder
                self._rejected.close()
        if self.aside.name == COMMITTED:
            self._lock.release()  # complete, and moved into place by the next run
        elif self._published or error is None or not (self.work / _QUESTION).exists():
            # Released first: not every system removes a file that is open.
            self._lock.release()
            _remove(self.aside)
        else:
            size = sum(file.stat().st_size for file in self.work.rglob("*") if file.is_file())
            error.add_note(
                f"What was done so far is kept in {self.aside} ({size / 1e6:,.0f} MB). Run the same command again to"
                " resume from there; a scan with other settings removes it."
            )
            self._lock.release()

    def reject(self, rows: Sequence[Rejected]) -> None:
        """Write rejected rows to their own file."""
        if self._rejected is None:
            raise ValueError("the folder is not open")
        try:
            self._rejected.write(rows)
        except OSError as error:
            raise self._full(error) from error

    def stream(self, name: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        """Write one table of any length, batch by batch."""
        try:
            with pq.ParquetWriter(self.aside / f"{name}.parquet", schema, compression="zstd") as file:
                for group in _grouped(schema, batches):
                    file.write_table(group, row_group_size=_GROUP)
        except OSError as error:
            raise self._full(error) from error

    def list_inputs(self, inputs: Sequence[Mapping[str, Any]]) -> None:
        """Write the list of inputs to its own file, if it is too long for the summary."""
        try:
            provenance.write(self.aside, inputs)
        except OSError as error:
            raise self._full(error) from error

    def publish(self, tables: Mapping[str, pa.Table], summary: Mapping[str, Any], report: str) -> None:
        """Write all results and their manifest, then make them the result of the folder, all at once."""
        try:
            if self._rejected:
                self._rejected.close()
            for name, table in tables.items():
                # No writer version or time is stored: equal tables give equal bytes.
                pq.write_table(table.replace_schema_metadata(None), self.aside / f"{name}.parquet", compression="zstd")
            text = json.dumps(summary, indent=2, ensure_ascii=False, default=str)
            _write_text(self.aside / SUMMARY, text + "\n")
            _write_text(self.aside / REPORT, report)
            listed = tuple(_listed(file) for file in sorted(self.aside.iterdir()) if file.name in NAMES)
            columns = {f.name: tuple(pq.read_schema(self.aside / f.name).names) for f in listed if _is_table(f)}
            replace(self.aside / NAME, result_files.encode(listed, columns))
        except OSError as error:
            raise self._full(error) from error
        _publish(self.aside, self.place)
        self._published = True
        self.aside = self.place / COMMITTED
        self.aside = _move(self.place)

    def _full(self, error: OSError) -> OutputError:
        return OutputError(
            f"the results could not be written: {error.strerror or error}",
            where=str(self.place),
            fix="Free some space and run again; the earlier result is unchanged",
        )


def replace_report(place: Path, report: str) -> None:
    """Publish the result of a folder again with another report. Raises InputError, OutputError."""
    try:
        _finish(place)
        manifest = read_manifest(place / NAME)
        aside, lock = _new(place)
    except OSError as error:
        raise OutputError(f"cannot write: {error.strerror}", where=str(place), fix="Check its permissions") from error
    try:
        _write_text(aside / REPORT, report)
        files = (*(file for file in manifest.files if file.name != REPORT), _listed(aside / REPORT))
        replace(aside / NAME, result_files.encode(files, manifest.tables))
        _publish(aside, place)
        aside = place / COMMITTED
        aside = _move(place)
    except OSError as error:
        what = f"the report could not be written: {error.strerror or error}"
        raise OutputError(what, where=str(place), fix="Free some space; the earlier report is unchanged") from error
    finally:
        lock.release()
        if aside.name != COMMITTED:
            _remove(aside)


def _publish(aside: Path, place: Path) -> None:
    """Make a complete hidden folder the result of `place`: one renaming."""
    try:
        _finish(place)
        _refuse_foreign(place)
        sync_folder(aside)
        aside.rename(place / COMMITTED)
        sync_folder(place)
    except OSError as error:
        raise OutputError(
            f"the result could not be put into its place: {error.strerror or error}",
            where=str(place),
            fix="Check the permissions of the folder and run again; the earlier result is unchanged",
        ) from error


def _finish(place: Path) -> None:
    """Move a published result into place, where its process was killed meanwhile or still does it."""
    left = place / COMMITTED
    if not _is_ours(left):
        return
    try:
        with FileLock(left / _WORK / _LOCK, thread_local=False, timeout=_PATIENCE):
            emptied = _move(place)
    except Timeout as error:
        raise OutputError(
            "another process is moving its result into place", where=str(place), fix="Wait for it or stop it"
        ) from error
    except FileNotFoundError:  # the other process has just removed it
        return
    _remove(emptied)


def _move(place: Path) -> Path:
    """Move the files of a published result into place, the manifest last; returns the folder that held them.

    Called by who holds its lock. What the earlier manifest lists and this one does not is removed.
    """
    new = place / COMMITTED
    try:
        _retract(new)
        if (new / NAME).exists():
            names = read_manifest(new / NAME).names
            for name in names:
                with contextlib.suppress(FileNotFoundError):  # moved before the process was killed
                    (new / name).replace(place / name)
            for name in _ours(place) - names:
                (place / name).unlink(missing_ok=True)
            (new / NAME).replace(place / NAME)
            sync_folder(place)
        # Another process may publish as soon as the name is free.
        return new.rename(place / f"{_PREFIX}{secrets.token_hex(8)}")
    except OSError as error:
        raise OutputError(
            f"the result is complete, but could not be moved into its place: {error.strerror or error}",
            where=str(new),
            fix="Make the folder writable; the next scan or report into it moves it",
        ) from error


def _ours(place: Path) -> set[str]:
    """The files that the manifest in a folder lists; none where there is no manifest."""
    return read_manifest(place / NAME).names if (place / NAME).exists() else set()


def _refuse_foreign(place: Path) -> None:
    """Raise OutputError where a file that no manifest lists has the name of a file of a result."""
    try:
        known = _ours(place)
    except InputError as error:
        raise OutputError(error.what, where=error.where, fix="Pass another folder as --out, or remove it") from error
    foreign = sorted(name for name in NAMES - known if os.path.lexists(place / name))
    if foreign:
        shown = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
        raise OutputError(
            f"the folder holds files that no {NAME} lists and a result would replace: {shown}",
            where=str(place),
            fix="Pass another folder as --out, or move them away",
        )


def _listed(path: Path) -> File:
    """A file as a manifest lists it, once its bytes are on the disk."""
    rows = pq.read_metadata(path).num_rows if path.suffix == ".parquet" else 0
    return File(path.name, rows, *synced(path))


def _is_table(file: File) -> bool:
    return file.name in result_files.TABLES


def _write_text(path: Path, text: str) -> None:
    """Write text; a name of a file that is no Unicode is written with its bytes escaped."""
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


def _is_ours(aside: Path) -> bool:
    """Whether a hidden folder is one that a run of ours made."""
    return (aside / _WORK / _LOCK).is_file()


def _retract(aside: Path) -> None:
    """Let no run resume from a hidden folder, before anything is taken from it: a kill may leave a part of it."""
    (aside / _WORK / _QUESTION).unlink(missing_ok=True)


def _remove(aside: Path) -> None:
    """Remove a hidden folder, its lock last: until then it is known as ours."""
    with contextlib.suppress(OSError):
        _retract(aside)
    for path in (*aside.glob("*"), *aside.glob(f"{_WORK}/*")):
        if path.is_dir() and path.name != _WORK:
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != _LOCK and not path.is_dir():
            with contextlib.suppress(OSError):
                path.unlink()
    shutil.rmtree(aside, ignore_errors=True)


def _grouped(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows of batches of any size in tables of one size, so that equal rows give equal bytes."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        while rows >= _GROUP:
            table = pa.Table.from_batches(waiting, schema)
            yield table.slice(0, _GROUP).combine_chunks()
            waiting, rows = table.slice(_GROUP).to_batches(), rows - _GROUP
    if rows:
        yield pa.Table.from_batches(waiting, schema).combine_chunks()


def _new(place: Path) -> tuple[Path, FileLock]:
    """A new hidden folder and its lock. It gets its name once it is locked, so that no other run takes it for left."""
    made = Path(tempfile.mkdtemp(prefix=_UNLOCKED, dir=place))
    (made / _WORK).mkdir()
    lock = FileLock(made / _WORK / _LOCK, thread_local=False)
    lock.acquire(timeout=0)
    return made.rename(place / made.name.replace(_UNLOCKED, _PREFIX)), lock


def _left(place: Path, question: str) -> tuple[Path, FileLock] | None:
    """The hidden folder of an interrupted run of the same question; those of other interrupted runs are removed."""
    found = None
    for left in sorted(place.glob(f"{_PREFIX}*")):
        if not _is_ours(left):
            continue
        lock = FileLock(left / _WORK / _LOCK, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue  # that run is still going
        asked = left / _WORK / _QUESTION
        if question and not found and asked.exists() and asked.read_text(encoding="utf-8") == question:
            found = left, lock
        else:
            lock.release()
            _remove(left)
    return found
