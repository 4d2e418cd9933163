"""A result folder as the pages read it: one state of it, a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, reduce
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clonewatch.model import schema
from clonewatch.model.errors import InputError, StaleError
from clonewatch.pipeline import result_files
from clonewatch.pipeline.detection.signals import signals
from clonewatch.pipeline.scan_result import read_summary
from clonewatch.report.cards import Cards
from clonewatch.report.chapters import ranked
from clonewatch.report.method import Method, gather
from clonewatch.report.tables import whole

PAGE = 50
_RERUN = "Name the folder that a scan wrote, or run the scan again"
_REPLACED = "the result was replaced by another scan"
# Name, time of change, size and number of each file: another state of the folder has another stamp.
Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """One state of a result folder. scan: the digest by which cases name it. rows: of `campaigns`, by rank."""

    folder: Path
    stamp: Stamp
    scan: str
    summary: dict[str, Any]
    rows: tuple[dict[str, Any], ...]
    method: Method

    def table(self, table: schema.Table, columns: tuple[str, ...] = (), **equal: str) -> pa.Table:
        """The rows of a table that have these values, with all columns or some. Raises InputError."""
        tests = [pc.field(name) == value for name, value in equal.items()]
        chosen = reduce(lambda a, b: a & b, tests) if tests else None
        held = whole({table.name: _read(self.folder, table.name, chosen)}, table)
        return held.select(list(columns)) if columns else held

    def group(self, name: str) -> dict[str, Any]:
        """The row of a group. Raises InputError where there is none."""
        for row in self.rows:
            if row["campaign_id"] == name:
                return row
        raise InputError(f"there is no group {name!r} in this result", where=str(self.folder))


class Rows(NamedTuple):
    """One page of a long table. after: where the next page starts; empty on the last one."""

    rows: list[dict[str, Any]]
    after: str


@contextmanager
def opened(folder: Path | None, scan: str = "") -> Iterator[Result]:
    """A result for as long as one page is made. scan: the digest that it must have, where somebody came from a case.

    Raises InputError where there is none, StaleError where it is another one, or was replaced meanwhile.
    """
    if folder is None:
        raise InputError("there is no result folder", fix="Start the console with the folder that a scan wrote")
    stamp = stamp_of(folder)
    result = _result(folder, stamp)
    if scan and scan != result.scan:
        raise StaleError("this is about a scan whose result is not here any more: another one took its place")
    try:
        yield result
    except InputError as error:
        if stamp_of(folder) != stamp:
            raise StaleError(_REPLACED) from error
        raise
    if stamp_of(folder) != stamp:
        raise StaleError(_REPLACED)


@lru_cache(maxsize=4)
def _result(folder: Path, stamp: Stamp) -> Result:
    # Compared with the manifest once for each state of the folder, not for each page.
    files = {file.name: file for file in result_files.opened(folder).manifest.files}
    summary = read_summary(folder)
    campaigns = _read(folder, schema.CAMPAIGNS.name)
    # As `cases.arrivals` names a scan.
    digests = [bytes.fromhex(files[f"{name}.parquet"].sha256) for name in ("campaigns", "members")]
    try:
        return Result(
            folder,
            stamp,
            sha256(b"".join(digests)).hexdigest()[:16],
            summary,
            tuple(ranked({schema.CAMPAIGNS.name: campaigns})),
            gather(summary, cards()),
        )
    except (pa.ArrowException, TypeError, ValueError, KeyError, AttributeError) as error:
        raise InputError("this result cannot be read", where=str(folder), fix=_RERUN) from error


def stamp_of(folder: Path) -> Stamp:
    """What tells one state of a result folder from another. Raises InputError where there is no complete result."""
    names = (*result_files.TABLES, result_files.SUMMARY, result_files.NAME)
    try:
        held = [(name, result_files.located(folder, name).stat()) for name in names]
    except OSError as error:
        raise InputError("there is no complete result", where=str(folder), fix=_RERUN) from error
    return tuple((name, at.st_mtime_ns, at.st_size, at.st_ino) for name, at in held)


def _read(folder: Path, name: str, chosen: pc.Expression | None = None) -> pa.Table:
    path = result_files.located(folder, f"{name}.parquet")
    try:
        return pq.read_table(path, filters=chosen)
    except (OSError, pa.ArrowException) as error:
        raise InputError("the table cannot be read", where=str(path), fix=_RERUN) from error


@lru_cache(maxsize=1)
def cards() -> Cards:
    """The signals of this version with their cards."""
    return Cards(signals())


def exchanges(result: Result, group: str, account: str = "", after: str = "", only: str = "") -> Rows:
    """A page of the exchanges of a group by id, read row group by row group. Raises InputError.

    account: only those of one account. after: the id before the page. only: the one with this id.
    """
    path = result_files.located(result.folder, f"{schema.ATTRIBUTION.name}.parquet")
    chosen = (pc.field("campaign_id") == group) & (pc.field("exchange_id") > after)
    if account:
        chosen &= pc.field("account_id") == account
    if only:
        chosen &= pc.field("exchange_id") == only
    found: list[dict[str, Any]] = []
    try:
        with pq.ParquetFile(path) as file:
            for number in _groups_of_rows(file.metadata, group, after, only):
                part = whole({"attribution": file.read_row_group(number)}, schema.ATTRIBUTION).filter(chosen)
                part = part.sort_by("exchange_id") if part.num_rows else part
                found += part.slice(0, PAGE + 1 - len(found)).to_pylist()
                if len(found) > PAGE:
                    break
    except (OSError, pa.ArrowException) as error:
        raise InputError("the table cannot be read", where=str(path), fix=_RERUN) from error
    shown = found[:PAGE]
    return Rows(shown, shown[-1]["exchange_id"] if len(found) > PAGE else "")


def _groups_of_rows(about: pq.FileMetaData, group: str, after: str, only: str) -> Iterator[int]:
    """Row groups that may hold a group's rows beyond an id, or with one. The table is sorted by group and id."""
    columns = {about.schema.column(i).name: i for i in range(about.num_columns)}
    for number in range(about.num_row_groups):
        part = about.row_group(number)
        of = part.column(columns["campaign_id"]).statistics if "campaign_id" in columns else None
        if of is not None and of.has_min_max and not of.min <= group <= of.max:
            continue
        ids = part.column(columns["exchange_id"]).statistics if "exchange_id" in columns else None
        if ids is not None and ids.has_min_max and (ids.max <= after or (only and not ids.min <= only <= ids.max)):
            continue
        yield number
