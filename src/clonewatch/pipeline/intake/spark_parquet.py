"""Reads a log in place with Spark: executors fingerprint and stage it, the driver only numbers rows and accounts.

The result equals that of `Stager` on the same files in one process, row numbers and account codes included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlparse

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.adapters.columnar_files import columns_of
from clonewatch.adapters.columns import Columns, conform
from clonewatch.adapters.identities import settled
from clonewatch.adapters.inputs import Found
from clonewatch.adapters.reading import Log
from clonewatch.adapters.units import Units, in_words
from clonewatch.fingerprints.fingerprinting import Fingerprinter
from clonewatch.kernels.sketching import sketch_matrix
from clonewatch.model.errors import InputError
from clonewatch.model.read_results import Dropped, Measured, Rejected
from clonewatch.model.schema import EXCHANGES, SKETCH_SIZE
from clonewatch.pipeline.intake.staging import EXCHANGE_SCHEMA, READ, SKETCHED_TEMPLATES, Stager, new_sketches, within
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.engine import FILE, PLACE, SIZE, Query, RemoteReader

FORMAT = "exchange_parquet"
# Columns that no executor can know, and the SQL that adds them afterwards.
_NUMBERED = {"row": 'p.before + r.place AS "row"', "account": "b.account"}
_UNSIGNED = frozenset(column.name for column in EXCHANGES.columns if column.type == "uint64")
_STAGED = [field for field in EXCHANGE_SCHEMA if field.name not in _NUMBERED]
# An accepted row: its place within its run, which is a range of one file that one task read. Or a rejected row: its
# number in the file, and the reason. Or a count of dropped values of a column, and the reason. Or, as the reason, the
# unit of a column's numbers. Only the first exchange of a task with a given template carries a sketch.
READ_SCHEMA = pa.schema(
    [
        ("file", pa.string()),
        ("size", pa.int64()),
        ("start", pa.int64()),
        ("place", pa.int64()),
        ("line", pa.int64()),
        ("reason", pa.string()),
        ("column", pa.string()),
        ("dropped", pa.int64()),
        ("account_id", pa.string()),
        ("sketch", pa.binary()),
        *_STAGED,
    ]
)


class _Run(NamedTuple):
    """A range of rows of one file: its start, the place after its latest row, and how many rows were accepted."""

    file: str
    start: int
    end: int
    accepted: int


class Reading:
    """The function that runs on an executor: rows of a Parquet file -> rows of READ_SCHEMA.

    key: the provider's fingerprint key. since, as_of: as in the settings of a scan.
    """

    def __init__(self, key: bytes, since: datetime | None = None, as_of: datetime | None = None) -> None:
        self._key, self._since, self._as_of = key, since, as_of

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Stage every batch."""
        stager, fingerprinter = Stager(self._key), Fingerprinter(self._key)
        seen: set[int] = set()
        units: dict[str, Units] = {}
        run = _Run("", 0, 0, 0)
        for batch in batches:
            for part in _ranges(batch):
                file, first = part[FILE][0].as_py(), part[PLACE][0].as_py()
                if file != run.file or first != run.end:
                    run = _Run(file, first, first, 0)
                dropped, known = Dropped(), units.setdefault(file, {})
                before = dict(known)
                exchanges, rejected = self._conform(part, file, dropped, known)
                if known != before:
                    yield _unit_rows(run, part, known)
                if rejected:
                    yield _rejected_rows(run, part, rejected)
                if dropped:
                    yield _dropped_rows(run, part, dropped)
                if exchanges.num_rows:
                    staged = fingerprinter.apply(exchanges)
                    yield _accepted_rows(run, part, staged, stager, seen)
                run = run._replace(end=part[PLACE][-1].as_py() + 1, accepted=run.accepted + exchanges.num_rows)

    def _conform(
        self, part: pa.RecordBatch, file: str, dropped: Dropped, units: Units
    ) -> tuple[pa.RecordBatch, list[Rejected]]:
        found = _columns(part.select([name for name in part.schema.names if name not in (FILE, SIZE, PLACE)]))
        numbers = pc.add(part[PLACE], 1).to_pylist()
        exchanges, rejected = conform(settled(found), EXCHANGES, file, numbers, dropped=dropped, units=units)
        return within(exchanges, self._since, self._as_of), rejected


def is_remote(path: str) -> bool:
    """Whether a path is an address that only executors can open, such as s3a://bucket/log.

    >>> is_remote("hdfs:///logs/may"), is_remote("logs/may")
    (True, False)
    """
    return "://" in path


def open_remote(paths: Sequence[str], accounts: Path | None, events: Path | None) -> Log:
    """A log of addresses. This process reads only its account facts and events, which are local files."""
    for side in (accounts, events):
        if side is not None and not side.is_file():
            raise InputError(
                "no such file", where=str(side), fix="Account facts and events must be files on this machine"
            )
    if not all(is_remote(path) for path in paths):
        raise InputError("a log mixes local files and addresses", where=", ".join(paths[:3]), fix="Pass only one kind")
    return Log([], Found([], [accounts] if accounts else [], [events] if events else [], set()), None, [])


def read_remote(
    reader: RemoteReader,
    runner: StepRunner,
    stager: Stager,
    log: Log,
    addresses: Sequence[str],
    reading: Reading,
    reject: Callable[[Sequence[Rejected]], None],
) -> int:
    """Read Parquet on the executors into table `arrivals`; returns the rows. Accounts and sketches go to the stager.

    addresses: what is read where the log has no local files.
    """
    log.read_sides(reject)
    given = {str(Path(file).absolute()): file for file in log.files}
    paths = [f"file://{path}" for path in given] or addresses
    runner.wrote("read_rows", reader.read("read_rows", paths, READ, READ_SCHEMA, reading))
    _reject_rows(runner, given, reject)
    _count_dropped(runner, log)
    _take_units(runner, log, given)
    _number_rows(runner, log, given)
    _number_accounts(runner, stager)
    columns = ", ".join(_NUMBERED.get(name, f'r."{name}"') for name in EXCHANGE_SCHEMA.names)
    runner.run(
        Query(
            "arrivals",
            ("read_rows", "read_runs", "read_accounts"),
            f"SELECT {columns} FROM read_rows r"
            " JOIN read_runs p ON p.file = r.file AND p.start = r.start"
            " JOIN read_accounts b ON b.account_id = r.account_id",
        )
    )
    _keep_sketches(runner, stager)
    filled = ", ".join(f'COUNT("{name}") AS "{name}"' for name in EXCHANGE_SCHEMA.names)
    told = runner.engine.fetch(f"SELECT {filled}, MIN(ts) AS first, MAX(ts) AS last FROM arrivals").to_pylist()[0]
    if told["row"]:
        stager.first_ts, stager.last_ts = told.pop("first"), told.pop("last")
        stager.filled, stager.rows = told, told["row"]
    return runner.rows["arrivals"]


def _reject_rows(runner: StepRunner, given: dict[str, str], reject: Callable[[Sequence[Rejected]], None]) -> None:
    for batch in runner.engine.stream(
        "SELECT file, line, reason FROM read_rows WHERE line IS NOT NULL ORDER BY file, line"
    ):
        reject([Rejected(_name(row["file"], given), row["line"], row["reason"]) for row in batch.to_pylist()])


def _count_dropped(runner: StepRunner, log: Log) -> None:
    counts = runner.engine.fetch(
        'SELECT "column", reason, SUM(dropped) AS n FROM read_rows WHERE dropped IS NOT NULL GROUP BY "column", reason'
    )
    for row in counts.to_pylist():
        log.dropped[row["column"], row["reason"]] += int(row["n"])


def _take_units(runner: StepRunner, log: Log, given: dict[str, str]) -> None:
    """Give the log the units of its columns. Raises InputError where workers found several in one file."""
    found = runner.engine.fetch(
        'SELECT DISTINCT file, "column", reason FROM read_rows WHERE "column" IS NOT NULL AND dropped IS NULL'
        ' ORDER BY file, "column", reason'
    )
    units: dict[tuple[str, str], list[str]] = {}
    for row in found.to_pylist():
        units.setdefault((row["file"], row["column"]), []).append(row["reason"])
    for (file, column), told in units.items():
        if len(told) > 1:
            raise InputError(
                f"numbers in column `{column.rpartition('.')[2]}` look like {in_words(told).replace('files', 'parts')}",
                where=_name(file, given),
                fix="Write times as timestamps; or scan without `--engine spark`, which takes the unit of the first"
                " rows and rejects rows with another one",
            )
        log.units.setdefault(column, set()).update(told)


def _number_rows(runner: StepRunner, log: Log, given: dict[str, str]) -> None:
    """Write table `read_runs`: the number of the first row of every run, files in the order of the log."""
    runs = runner.engine.fetch(
        "SELECT file, start, MAX(size) AS size, COUNT(place) AS n, COUNT(line) AS rejected FROM read_rows"
        " GROUP BY file, start"
    ).to_pylist()
    order = {name: i for i, name in enumerate(log.files)}
    runs.sort(key=lambda run: (order.get(_name(run["file"], given), len(order)), run["file"], run["start"]))
    before = np.cumsum([0, *(run["n"] for run in runs)])[:-1]
    read: dict[str, Measured] = {}
    for run in runs:
        name = _name(run["file"], given)
        so_far = read.get(name, Measured(name, run["size"], "", FORMAT, 0, 0))
        read[name] = so_far._replace(read=so_far.read + run["n"], rejected=so_far.rejected + run["rejected"])
    log.inputs += read.values()
    table = {
        "file": pa.array([run["file"] for run in runs], pa.string()),
        "start": pa.array([run["start"] for run in runs], pa.int64()),
        "before": pa.array(before.astype(np.int64)),
    }
    runner.put("read_runs", pa.table(table))


def _number_accounts(runner: StepRunner, stager: Stager) -> None:
    """Write table `read_accounts`: account ids and their codes, in order of first appearance."""
    found = runner.engine.fetch(
        "SELECT r.account_id, MIN(p.before + r.place) AS first FROM read_rows r JOIN read_runs p"
        " ON p.file = r.file AND p.start = r.start WHERE r.reason IS NULL GROUP BY r.account_id"
    ).sort_by("first")
    ids = found["account_id"].combine_chunks()
    codes = stager.book.codes(ids)
    runner.put("read_accounts", pa.table({"account_id": ids, "account": pa.array(codes, pa.int32())}))


def _keep_sketches(runner: StepRunner, stager: Stager) -> None:
    """Pass the sketch of each template's first exchange to the stager, up to its limit, earliest templates first."""
    found = runner.engine.fetch(
        "SELECT template, sketch FROM (SELECT r.template, r.sketch, p.before + r.place AS first,"
        " ROW_NUMBER() OVER (PARTITION BY r.template ORDER BY p.before + r.place) AS turn"
        " FROM read_rows r JOIN read_runs p ON p.file = r.file AND p.start = r.start WHERE r.sketch IS NOT NULL) s"
        " WHERE turn = 1 ORDER BY first LIMIT $most",
        {"most": SKETCHED_TEMPLATES},
    )
    raw = b"".join(found["sketch"].to_pylist())
    stager.keep_sketches(found["template"].to_numpy(), np.frombuffer(raw, np.uint32).reshape(-1, SKETCH_SIZE))


def _name(file: str, given: dict[str, str]) -> str:
    """A file name as the user gave it: Spark reports escaped URIs. given: absolute path -> path in the log.

    >>> _name("file:///logs/may%20first.parquet", {"/logs/may first.parquet": "may first.parquet"})
    'may first.parquet'
    >>> _name("s3a://bucket/a%20b.parquet", {})
    's3a://bucket/a b.parquet'
    """
    path = unquote(urlparse(file).path) if file.startswith("file:") else unquote(file)
    return given.get(path, path)


def _ranges(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch cut into ranges of consecutive rows of one file."""
    if not batch.num_rows:
        return
    file = batch[FILE].dictionary_encode().indices.to_numpy()
    cuts = np.flatnonzero((np.diff(file) != 0) | (np.diff(batch[PLACE].to_numpy()) != 1)) + 1
    for start, end in zip([0, *cuts.tolist()], [*cuts.tolist(), batch.num_rows], strict=True):
        yield batch.slice(start, end - start)


def _columns(part: pa.RecordBatch) -> Columns:
    """The columns as one process reads them: Spark, which has no unsigned type, reads 64-bit numbers as decimals."""
    numbers = {
        name: column.cast(pa.uint64())
        for name, column in zip(part.schema.names, part.columns, strict=True)
        if name in _UNSIGNED and pa.types.is_decimal(column.type)
    }
    return columns_of(part) | numbers


def _accepted_rows(
    run: _Run, part: pa.RecordBatch, exchanges: pa.RecordBatch, stager: Stager, seen: set[int]
) -> pa.RecordBatch:
    have = dict(zip(exchanges.schema.names, exchanges.columns, strict=True))
    sketches = have.pop("sketch", None)
    count = exchanges.num_rows
    staged = stager.stage(pa.RecordBatch.from_arrays(list(have.values()), names=list(have)))
    kept = np.full(count, None, object)
    if sketches is not None:
        rows = new_sketches(staged["template"], sketches, seen)
        if len(rows):
            kept[rows.to_numpy()] = [row.tobytes() for row in sketch_matrix(sketches.take(rows))]
    return _rows(
        run,
        part,
        count,
        {
            "place": pa.array(np.arange(run.accepted, run.accepted + count)),
            "account_id": have["account_id"],
            "sketch": pa.array(kept, pa.binary()),
            **{field.name: staged[field.name] for field in _STAGED},
        },
    )


def _rejected_rows(run: _Run, part: pa.RecordBatch, rejected: list[Rejected]) -> pa.RecordBatch:
    return _rows(
        run,
        part,
        len(rejected),
        {
            "line": pa.array([row.line for row in rejected], pa.int64()),
            "reason": pa.array([row.reason for row in rejected], pa.string()),
        },
    )


def _unit_rows(run: _Run, part: pa.RecordBatch, units: Units) -> pa.RecordBatch:
    columns = {"reason": pa.array(list(units.values()), pa.string()), "column": pa.array(list(units), pa.string())}
    return _rows(run, part, len(units), columns)


def _dropped_rows(run: _Run, part: pa.RecordBatch, dropped: Dropped) -> pa.RecordBatch:
    columns, reasons = zip(*dropped, strict=True)
    return _rows(
        run,
        part,
        len(dropped),
        {
            "reason": pa.array(reasons, pa.string()),
            "column": pa.array(columns, pa.string()),
            "dropped": pa.array(list(dropped.values()), pa.int64()),
        },
    )


def _rows(run: _Run, part: pa.RecordBatch, count: int, columns: dict[str, pa.Array]) -> pa.RecordBatch:
    """Rows of READ_SCHEMA; columns that are not passed are null."""
    size = part[SIZE][0].as_py()
    same = {"file": run.file, "size": size, "start": run.start}
    full = {name: pa.repeat(pa.scalar(value, READ_SCHEMA.field(name).type), count) for name, value in same.items()}
    full |= columns
    return pa.RecordBatch.from_arrays(
        [full[f.name] if f.name in full else pa.nulls(count, f.type) for f in READ_SCHEMA], schema=READ_SCHEMA
    )
