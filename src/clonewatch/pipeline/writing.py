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
from clonewatch.model.reading import Rejected
from clonewatch.pipeline.texts import NAME as TEXTS
from clonewatch.state.store import runs

_PREFIX = ".scan-"
_GROUP = 262_144  # rows of a group: what writing a long table holds in memory


class ResultFolder:
    """A folder that receives one scan: everything is written to a hidden folder beside the files it will replace.

    Use as a context manager; `publish` moves the files into place, leaving without it changes nothing.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        try:
            place.mkdir(parents=True, exist_ok=True)
            _sweep(place)
            self.aside = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place))
        except OSError as error:
            raise OutputError(
                f"cannot write there: {error.strerror}",
                where=str(place),
                mend="Pass a folder you may write to as --out",
            ) from error
        self._rejected: TextIO | None = None

    def __enter__(self) -> ResultFolder:
        """Begin; rejected rows are written as they come."""
        self._rejected = (self.aside / "rejected.ndjson").open("w", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what was not published."""
        if self._rejected:
            with contextlib.suppress(OSError):  # a full disk: what was buffered goes with the folder
                self._rejected.close()
        shutil.rmtree(self.aside, ignore_errors=True)

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
            for file in sorted(self.aside.iterdir()):
                with file.open("rb") as written:
                    os.fsync(written.fileno())
            # Text that an earlier scan kept does not outlive its result; `scan.json` comes last and closes the new one.
            (self.place / TEXTS).unlink(missing_ok=True)
            for file in sorted(self.aside.iterdir(), key=lambda f: (f.name == "scan.json", f.name)):
                file.replace(self.place / file.name)
        except OSError as error:
            raise self._full(error) from error

    def _full(self, error: OSError) -> OutputError:
        return OutputError(
            f"the results could not be written: {error.strerror or error}",
            where=str(self.place),
            mend="Free some space and run again; the earlier result is untouched",
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


def _sweep(place: Path) -> None:
    """Remove what scans left behind that were killed: folders named after a process that is no more."""
    for left in place.glob(f"{_PREFIX}*-*"):
        number = left.name.removeprefix(_PREFIX).partition("-")[0]
        if not number.isdigit():
            continue
        if not runs(int(number)):
            shutil.rmtree(left, ignore_errors=True)
