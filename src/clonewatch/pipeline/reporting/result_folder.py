"""Results on disk: written to a hidden folder, then moved into place, so that a crash leaves the earlier result."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from clonewatch.model.errors import OutputError
from clonewatch.model.read_results import Rejected
from clonewatch.pipeline.intake.kept_text import NAME as TEXTS
from clonewatch.pipeline.reporting import provenance
from clonewatch.state.store import put_whole

# The hidden folder of a run, and its name until the run has locked it.
_PREFIX, _UNLOCKED = ".scan-", ".new-scan-"
# In the hidden folder: what an interrupted run leaves to the next one, and the digest of its question.
_WORK, _QUESTION, _BEGUN = "work", "question", "begun"
# In the hidden folder's folder of tables; free once the run that locked it has ended, however it ended.
_LOCK = "lock"
_GROUP = 262_144  # rows of a row group: what is held in memory while a long table is written


class ResultFolder:
    """A folder that receives one result: everything is written to a hidden folder in it, beside the earlier files.

    Use as a context manager. `publish` moves the files into place; leaving without it changes nothing. question: a
    digest of what the result depends on, where an interrupted run can be resumed; empty where it cannot. What an
    interrupted run of another question left is removed.
    """

    def __init__(self, place: Path, question: str = "") -> None:
        self.place, self.question = place, question
        self._published = False
        try:
            place.mkdir(parents=True, exist_ok=True)
            self.aside, self._lock = _left(place, question) or _new(place)
        except OSError as error:
            raise OutputError(
                "that is a file, not a folder" if place.is_file() else f"cannot write there: {error.strerror}",
                where=str(place),
                fix="Pass a folder that you may write to as --out",
            ) from error
        self._rejected: TextIO | None = None

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
                self._rejected.flush()
            put_whole(self.work / _BEGUN, note)
            put_whole(self.work / _QUESTION, self.question.encode())
        except OSError as error:
            raise self._full(error) from error

    def __enter__(self) -> ResultFolder:
        """Open the file of rejected rows, which are written as they come."""
        self._rejected = (self.aside / "rejected.ndjson").open("a", encoding="utf-8")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        """Remove what was not published, unless the next run can resume from it."""
        if self._rejected:
            with contextlib.suppress(OSError):  # a full disk: what was buffered goes with the folder
                self._rejected.close()
        if self._published or error is None or not (self.work / _QUESTION).exists():
            # Released first: not every system removes a file that is open.
            self._lock.release()
            shutil.rmtree(self.aside, ignore_errors=True)
        else:
            size = sum(file.stat().st_size for file in self.work.rglob("*") if file.is_file())
            error.add_note(
                f"What was done so far is kept in {self.aside} ({size / 1e6:,.0f} MB). Run the same command again to"
                " resume from there, or delete it."
            )
            self._lock.release()

    def reject(self, rows: Sequence[Rejected]) -> None:
        """Write rejected rows to their own file."""
        if self._rejected is None:
            raise ValueError("the folder is not open")
        try:
            self._rejected.writelines(json.dumps(row._asdict(), ensure_ascii=False) + "\n" for row in rows)
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
        """Write all results and move them into place."""
        try:
            if self._rejected:
                self._rejected.close()
            for name, table in tables.items():
                # No writer version or time is stored: equal tables give equal bytes.
                pq.write_table(table.replace_schema_metadata(None), self.aside / f"{name}.parquet", compression="zstd")
            text = json.dumps(summary, indent=2, ensure_ascii=False, default=str)
            (self.aside / "scan.json").write_text(text + "\n", encoding="utf-8")
            (self.aside / "report.html").write_text(report, encoding="utf-8")
            files = sorted(file for file in self.aside.iterdir() if file.is_file())
            for file in files:
                with file.open("rb") as written:
                    os.fsync(written.fileno())
            # Text that an earlier scan kept does not outlive its result, nor does its list of inputs. `scan.json` comes
            # last and completes the new result.
            for stale in (TEXTS, provenance.NAME):
                (self.place / stale).unlink(missing_ok=True)
            for file in sorted(files, key=lambda f: (f.name == "scan.json", f.name)):
                file.replace(self.place / file.name)
            self._published = True
        except OSError as error:
            raise self._full(error) from error

    def _full(self, error: OSError) -> OutputError:
        return OutputError(
            f"the results could not be written: {error.strerror or error}",
            where=str(self.place),
            fix="Free some space and run again; the earlier result is unchanged",
        )


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
        lock = FileLock(left / _WORK / _LOCK, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except FileNotFoundError:
            shutil.rmtree(left, ignore_errors=True)
            continue
        except Timeout:
            continue  # that run is still going
        asked = left / _WORK / _QUESTION
        if question and not found and asked.exists() and asked.read_text(encoding="utf-8") == question:
            found = left, lock
        else:
            lock.release()
            shutil.rmtree(left, ignore_errors=True)
    return found
