"""Results on disk: written aside, then moved into place, so that a crash leaves the last good result."""

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

from clonewatch.model.errors import OutputError
from clonewatch.model.read_results import Rejected
from clonewatch.pipeline.intake.kept_text import NAME as TEXTS
from clonewatch.pipeline.reporting import provenance
from clonewatch.state.store import put_whole

_PREFIX = ".scan-"
# In the hidden folder: what a run that is stopped leaves to the next one, by the question it was asked.
_WORK, _QUESTION, _BEGUN = "work", "question", "begun"
_GROUP = 262_144  # rows of a group: what writing a long table holds in memory


class ResultFolder:
    """A folder that receives one scan: everything is written to a hidden folder beside the files it will replace.

    Use as a context manager; `publish` moves the files into place, leaving without it changes nothing. question: what
    is asked, as a digest, where a run that is stopped may be gone on with; what a stopped run with another question
    left is removed.
    """

    def __init__(self, place: Path, question: str = "") -> None:
        self.place, self.question = place, question
        self._published = False
        try:
            place.mkdir(parents=True, exist_ok=True)
            left = _left(place, question)
            self.aside = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place))
            if left:
                left.replace(self.aside)
            self.work.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot write there: {error.strerror}",
                where=str(place),
                fix="Pass a folder you may write to as --out",
            ) from error
        self._rejected: TextIO | None = None

    @property
    def work(self) -> Path:
        """Where what is computed on lies until it is published."""
        return self.aside / _WORK

    @property
    def begun(self) -> bytes | None:
        """What a run that was stopped noted with `keep`, None where there is none."""
        return (self.work / _BEGUN).read_bytes() if (self.work / _QUESTION).exists() else None

    def keep(self, note: bytes) -> None:
        """From here on a run that is stopped can be gone on with. note: what the next one has to know."""
        try:
            if self._rejected:
                self._rejected.flush()
            put_whole(self.work / _BEGUN, note)
            put_whole(self.work / _QUESTION, self.question.encode())
        except OSError as error:
            raise self._full(error) from error

    def __enter__(self) -> ResultFolder:
        """Begin; rejected rows are written as they come."""
        self._rejected = (self.aside / "rejected.ndjson").open("a", encoding="utf-8")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        """Remove what was not published, unless it was kept for the next run."""
        if self._rejected:
            with contextlib.suppress(OSError):  # a full disk: what was buffered goes with the folder
                self._rejected.close()
        if self._published or error is None or not (self.work / _QUESTION).exists():
            shutil.rmtree(self.aside, ignore_errors=True)
        else:
            size = sum(file.stat().st_size for file in self.work.rglob("*") if file.is_file())
            error.add_note(
                f"What was done so far is kept in {self.aside} ({size / 1e6:,.0f} MB): run the same again and it"
                " goes on from there, or delete it."
            )

    def reject(self, rows: Sequence[Rejected]) -> None:
        """Write rejected rows aside."""
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
        """Write the list of inputs, where it is too long for the summary."""
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
                # No writer version or time goes in: equal tables are equal bytes.
                pq.write_table(table.replace_schema_metadata(None), self.aside / f"{name}.parquet", compression="zstd")
            text = json.dumps(summary, indent=2, ensure_ascii=False, default=str)
            (self.aside / "scan.json").write_text(text + "\n", encoding="utf-8")
            (self.aside / "report.html").write_text(report, encoding="utf-8")
            files = sorted(file for file in self.aside.iterdir() if file.is_file())
            for file in files:
                with file.open("rb") as written:
                    os.fsync(written.fileno())
            # Text that an earlier scan kept does not outlive its result; `scan.json` comes last and closes the new one.
            # Nor does a long list of inputs.
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
            fix="Free some space and run again; the earlier result is untouched",
        )


def _grouped(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows of batches of any size in tables of one size: equal rows are equal bytes."""
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


def _left(place: Path, question: str) -> Path | None:
    """What a run with the same question left that was stopped; whatever else such runs left is removed.

    Runs that were stopped are folders named after a process that is no more. This process has none yet: one of its
    number is from before, as in a container, where every run has the same.
    """
    found = None
    for left in sorted(place.glob(f"{_PREFIX}*-*")):
        number = left.name.removeprefix(_PREFIX).partition("-")[0]
        if not number.isdigit() or (int(number) != os.getpid() and _runs(int(number))):
            continue
        asked = left / _WORK / _QUESTION
        if question and not found and asked.exists() and asked.read_text(encoding="utf-8") == question:
            found = left
        else:
            shutil.rmtree(left, ignore_errors=True)
    return found


def _runs(number: int) -> bool:
    """Whether a process of this number is there."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # under another user
    return True
