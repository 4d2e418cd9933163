"""Opens and reads logs: any paths and formats become one stream of typed exchanges and of rejected rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from clonewatch.adapters import bundling
from clonewatch.adapters.gathering import gathered
from clonewatch.adapters.inputs import Found, find_inputs, left_above
from clonewatch.adapters.mapping import EXAMPLE, load_map
from clonewatch.adapters.notes import together
from clonewatch.adapters.opening import (
    Input,
    Reading,
    bytes_of,
    is_pipe,
    measured,
    named,
    opened,
    readable,
    refuse_without_accounts,
    side_by_side,
    source_of,
)
from clonewatch.adapters.recognition import choosing, described, recognised
from clonewatch.adapters.resting import rested
from clonewatch.adapters.side_tables import last_of_each, read_side
from clonewatch.adapters.streams import Stream
from clonewatch.model.errors import InputError, MappingError
from clonewatch.model.limits import DEFAULT, Limits
from clonewatch.model.read_results import Dropped, Measured, Rejected
from clonewatch.model.schema import ACCOUNTS, EVENTS, EXCHANGES, Table
from clonewatch.ports.adapter import Adapter, Batch, Lane, Source
from clonewatch.ports.mapping import FieldMap
from clonewatch.ports.shelf import Shelf

FORMATS = Shelf("clonewatch.adapters.formats", "ADAPTER")
AUTO = "auto"
Reject = Callable[[Sequence[Rejected]], None]
Noted = list[tuple[str, str]]  # a file and a sentence about it
_CHOSEN = (
    "the format {0} knows this file and passes over rows that are no calls, while the field map takes every row: choose"
    ' with [where], read it without a map, or write format = "{0}" and only what differs'
)
_HOPELESS = "hardly a row is an exchange, and reading ended here"


class Log:
    """One log of one or many files, ready to be read once.

    total_bytes: bytes on disk of the exchanges, 0 for pipes. inputs: the result of each file, complete once `batches`
    has finished. dropped: optional values that did not fit, so far. units: of columns of plain numbers, by column.
    left_out: files of a folder in no known format, and their bytes. ended: files whose reading ended early, and why.
    pushed: whether the files are of batches that were pushed (`opening.bodies_of`), of which none is refused.
    """

    def __init__(
        self,
        inputs: list[Input],
        found: Found,
        mapping: FieldMap | None,
        noted: Noted,
        left_out: Mapping[str, int] | None = None,
        limits: Limits = DEFAULT,
    ) -> None:
        self._inputs, self._found, self.mapping = inputs, found, mapping
        self._noted, self.limits = noted, limits
        self.left_out = dict(left_out or {})
        self.ended: dict[str, str] = {}
        self.inputs: list[Measured] = []
        self.dropped = Dropped()
        self.units: dict[str, set[str]] = {}
        self.total_bytes = sum(map(bytes_of, inputs))
        self._finished, self.pushed = 0, False
        self._current: Stream | None = None
        self._sides: dict[str, pa.Table | None] = {}
        self._waiting: list[Rejected] = []
        self._columns: frozenset[str] | None = None
        self._alone: set[str] = set()  # formats whose files are always read separately

    @property
    def warnings(self) -> list[str]:
        """Sentences for the reader of a result; a sentence about many files appears once."""
        return together(self._noted)

    @property
    def bytes_done(self) -> int:
        """Bytes on disk read so far, for progress."""
        return self._finished + (self._current.done if self._current else 0)

    def leave_out(self, files: Collection[str]) -> None:
        """Do not read these files of exchanges."""
        self._inputs = [i for i in self._inputs if str(i.path) not in files]
        self.total_bytes = sum(map(bytes_of, self._inputs))

    def too_much_left_out(self, share: float) -> str:
        """A sentence if more than this share of the bytes is in files of unknown format; empty otherwise."""
        lost = sum(self.left_out.values())
        whole = lost + self.total_bytes
        if lost <= share * whole:
            return ""
        files = len(self.left_out) + len(self._inputs)
        return f"{len(self.left_out):,} of {files:,} files, {lost / whole:.0%} of the log, were left out"

    @property
    def formats(self) -> list[str]:
        """Names of the formats recognised, sorted."""
        return sorted({i.adapter.name for i in self._inputs})

    @property
    def files(self) -> list[str]:
        """Paths of the exchanges, in the order in which they are read."""
        return [str(i.path) for i in self._inputs]

    def stamps(self) -> list[tuple[str, int, int]] | None:
        """Path, size and modification time (ns) of every file; None if one is a pipe."""
        files = [i.path for i in self._inputs] + self._found.accounts + self._found.events
        if any(is_pipe(path) for path in files):
            return None
        stats = [(str(path), path.stat()) for path in files]
        return [(path, s.st_size, s.st_mtime_ns) for path, s in stats]

    def accounts(self) -> pa.Table | None:
        """The accounts table with all its columns, None if there is none; its bad rows are rejected by `batches`."""
        return self._side(ACCOUNTS, self._found.accounts)

    def events(self) -> pa.Table | None:
        """The events table with all its columns, None if there is none; its bad rows are rejected by `batches`."""
        return self._side(EVENTS, self._found.events)

    def read_sides(self, reject: Reject) -> None:
        """Read accounts and events. reject: called with their rejected rows, once."""
        self.accounts()
        self.events()
        if self._waiting:
            reject(self._waiting)
            self._waiting = []

    def batches(self, reject: Reject, columns: frozenset[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Every exchange: batches with a subset of the columns of `EXCHANGES`, in its order and Arrow types.

        The three required columns are always present, without nulls; other columns are left out of a batch in which
        they have no value. reject: called with rejected rows as they occur, those of accounts and events first.
        columns: the ones that will be used, None for all; others may be left out. Raises MappingError if a file names
        no accounts, before more than its first batch is read.
        """
        self._columns = columns
        self.read_sides(reject)
        sides, others = side_by_side(self._inputs)
        runs = bundling.runs((i, "" if i.stream or self.pushed else i.adapter.name, bytes_of(i)) for i in others)
        parts = (b for lanes in sides for b in self._read_lanes(lanes, reject))
        rest = (b for run in runs for b in self._read_run(run, reject))
        yield from gathered(chain(parts, rest), list(EXCHANGES.names))

    def _read_run(self, run: list[Input], reject: Reject) -> Iterator[pa.RecordBatch]:
        """Read files of one format together if that changes nothing, otherwise in halves, down to single files."""
        if len(run) == 1:
            yield from self._read(run[0], reject)
            return
        together = None if run[0].adapter.name in self._alone else self._read_together(run)
        if together is not None:
            yield from together
            return
        size = 1 if run[0].adapter.name in self._alone else -(-len(run) // 2)
        for at in range(0, len(run), size):
            yield from self._read_run(run[at : at + size], reject)

    def _read_together(self, run: list[Input]) -> list[pa.RecordBatch] | None:
        """The exchanges of small JSON files read together; None if a row is rejected: its file must be known.

        Also None if the format does not yield one exchange per line or document; the format is then remembered.
        """
        with readable(run[0].path):
            pieces = [bundling.piece(i.path, bytes_of(i)) for i in run]
        whole = [one for one in pieces if one is not None]
        stream = bundling.joined(whole, self.limits) if len(whole) == len(run) else None
        if stream is None:
            return None
        adapter, batches = run[0].adapter, []
        files = bundling.places([named(i.path) for i in run], whole)
        source = Source(files[0].name, cast(BinaryIO, stream), None, self._columns, files)
        for batch in rested(adapter.read(source, self.mapping)):
            if batch.rejected:
                return None
            batches.append(batch.exchanges)
        if sum(batch.num_rows for batch in batches) != sum(one.units for one in whole):
            self._alone.add(adapter.name)
            return None
        self._note(stream)
        for entry, one in zip(run, whole, strict=True):
            self._noted += [(named(entry.path), warning) for warning in stream.notes.warnings]
            self.inputs.append(Measured(named(entry.path), len(one.data), one.sha256, adapter.name, one.units, 0))
            self._finished += len(one.data)
        return [batch for batch in batches if batch.num_rows]

    def _read(self, entry: Input, reject: Reject) -> Iterator[pa.RecordBatch]:
        stream = entry.stream or opened(entry.path, self.limits)
        try:
            yield from self._read_stream(entry, stream, reject)
        finally:
            if entry.stream is None:
                stream.close()

    def _read_stream(self, entry: Input, stream: Stream, reject: Reject) -> Iterator[pa.RecordBatch]:
        self._current = stream
        reading = Reading(entry, stream)
        source = source_of(entry.path, stream, self._columns, pushed=self.pushed)
        for batch in rested(entry.adapter.read(source, self.mapping)):
            yield from self._counted(batch, reading, reject)
            if reading.is_hopeless:
                break
        self._finish(reading, reject)
        self._current = None

    def _read_lanes(self, lanes: list[list[Input]], reject: Reject) -> Iterator[pa.RecordBatch]:
        """Read files of several kinds side by side, those of one kind one after another."""
        running: dict[BinaryIO, Reading] = {}
        try:
            sides = [self._lane(entries, running) for entries in lanes]
            for source, batch in rested(lanes[0][0].adapter.read_lanes(sides, self.mapping)):
                yield from self._counted(batch, running[source.stream], reject)
            for reading in running.values():
                self._finish(reading, reject)
            self._current = None
        finally:
            for reading in running.values():
                reading.stream.close()

    def _lane(self, entries: list[Input], running: dict[BinaryIO, Reading]) -> Lane:
        whole, begun = sum(map(bytes_of, entries)), list[Reading]()

        def sources() -> Iterator[Source]:
            for entry in entries:
                self._current = stream = entry.stream or opened(entry.path, self.limits)
                source, reading = source_of(entry.path, stream, self._columns), Reading(entry, stream)
                running[source.stream] = reading
                begun.append(reading)
                yield source
                reading.sha256 = stream.tally.sha256
                stream.close()

        return Lane(sources(), lambda: sum(one.stream.done for one in begun) / max(whole, 1))

    def _counted(self, batch: Batch, reading: Reading, reject: Reject) -> Iterator[pa.RecordBatch]:
        """The exchanges of a batch, once its rows are counted and the rejected ones given on."""
        if not self.pushed and not reading.read and not batch.exchanges.num_rows:
            refuse_without_accounts(batch.rejected, reading.entry.adapter, reading.name)
        self._note(reading.stream)
        reading.read += batch.exchanges.num_rows
        reading.rejected += len(batch.rejected)
        if batch.rejected:
            reject(batch.rejected)
        if batch.exchanges.num_rows:
            yield batch.exchanges
        if reading.is_hopeless:
            reading.stream.end(_HOPELESS)

    def _finish(self, reading: Reading, reject: Reject) -> None:
        """Say what became of a file that was read."""
        name, stream = reading.name, reading.stream
        if torn := self._end(name, stream, reading.read + reading.rejected):
            reading.rejected += 1
            reject(torn)
        digest, form = reading.sha256 or stream.tally.sha256, reading.entry.adapter.name
        self.inputs.append(Measured(name, stream.tally.done, digest, form, reading.read, reading.rejected))
        self._finished += stream.tally.done

    def _end(self, name: str, stream: Stream, rows: int) -> list[Rejected]:
        """Keep what was said of a file with so many rows; returns the rejection of what could not be read of it."""
        if stream.torn:
            stream.notes.end(stream.torn)
        if stream.notes.ended:
            self.ended[name] = stream.notes.ended
        self._noted += [(name, warning) for warning in stream.notes.warnings]
        return [Rejected(name, rows + 1, stream.torn)] if stream.torn else []

    def _note(self, stream: Stream) -> None:
        """Add what a reader dropped since the last call, and the units that it found."""
        self.dropped.update(stream.notes.dropped)
        stream.notes.dropped.clear()
        for column, unit in stream.notes.units.items():
            self.units.setdefault(column, set()).add(unit)

    def _side(self, table: Table, paths: list[Path]) -> pa.Table | None:
        if table.name not in self._sides:
            parts = [self._read_side(table, path) for path in paths]
            whole = pa.concat_tables(parts) if parts else None
            if whole is not None and table is ACCOUNTS and len(parts) > 1:
                whole = last_of_each(whole)
            self._sides[table.name] = whole
        return self._sides[table.name]

    def _read_side(self, table: Table, path: Path) -> pa.Table:
        stream = opened(path, self.limits)
        try:
            side = read_side(path, stream, table)
            self._note(stream)
            stream.notes.unknown(side.unknown)
            side.rejected.extend(self._end(named(path), stream, side.rows.num_rows + len(side.rejected)))
            self._waiting += side.rejected
            form = f"{table.name} ({side.format})"
            self.inputs.append(measured(named(path), stream.tally, form, side.rows.num_rows, len(side.rejected)))
        finally:
            stream.close()
        return side.rows


def open_log(
    paths: Iterable[str | Path] | str | Path,
    *,
    format: str = AUTO,
    mapping: Path | None = None,
    accounts: Path | None = None,
    events: Path | None = None,
    limits: Limits = DEFAULT,
) -> Log:
    """Open a log: find its files, detect their formats, and check what can be checked before a row is read.

    paths: files, globs, folders, or "-" for standard input. format: a format's name, or "auto" to detect each file's
    format from its first bytes. mapping: a TOML field map or the name of a preset. accounts, events: files to use in
    place of those beside the exchanges. limits: on what reading may cost. Raises InputError for missing paths, empty
    input and unknown formats, MappingError if a field map is wrong or no account can be found.
    """
    field_map = load_map(mapping, FORMATS.names()) if mapping is not None else None
    wanted = _wanted(format, field_map)
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    found = find_inputs(paths)
    for path, files in ((accounts, found.accounts), (events, found.events)):
        if path is not None and not path.is_file():
            raise InputError("no such file", where=str(path), fix="Check the path")
        files[:] = files if path is None else [path]
    adapters = [cast(Adapter, FORMATS.load(name)) for name in ([wanted] if wanted else FORMATS.names())]
    noted: Noted = []
    left_out: dict[str, int] = {}
    known = [_recognise(p, adapters, wanted, field_map, found, noted, left_out, limits) for p in found.logs]
    inputs = list(filter(None, known))
    if not inputs:
        raise InputError(
            "no exchanges in any of the files" + (f": {noted[0][1]}" if left_out else ""),
            where=", ".join(map(str, found.logs[:3])),
            fix="They are empty or of unknown format. `clonewatch doctor FILE` lists the fields it saw and prints a map"
            " to start from; pass it with --map",
        )
    beside = "not read: it lies above the folder that was named; name that one, or pass the file as an option"
    noted += [(named(side), beside) for side in left_above(paths, found)]
    return Log(inputs, found, field_map, noted, left_out, limits)


def _wanted(name: str, mapping: FieldMap | None) -> str | None:
    if name == AUTO:
        return mapping.format if mapping else None
    if name not in FORMATS.names():
        raise InputError(f"no format {name!r}", fix=f"There are: {', '.join(FORMATS.names())}")
    if mapping and mapping.format != name:
        raise MappingError(f"the field map is for {mapping.format}, not {name}", fix="Leave --format out")
    if name.endswith("_map") and mapping is None:
        raise MappingError(f"{name} needs a field map", fix=f"Pass one with --map; for example:\n{EXAMPLE}")
    return name


def _recognise(
    path: Path,
    adapters: list[Adapter],
    wanted: str | None,
    mapping: FieldMap | None,
    found: Found,
    noted: Noted,
    left_out: dict[str, int],
    limits: Limits,
) -> Input | None:
    """The reader of this file; None, with a warning, for an empty file or a file of unknown format in a folder."""
    stream = opened(path, limits)
    piped = is_pipe(path)
    try:
        head = stream.head()
        if not head and not stream.torn:
            noted.append((named(path), "empty"))
            return None
        claimed = adapters if wanted else recognised(head, path.name, adapters)
        if len(claimed) != 1:
            what, fix = described(head, stream.packing)
            if path in found.listed:
                noted.append((named(path), f"left out: unknown format ({what})"))
                left_out[named(path)] = path.stat().st_size
                return None
            what = f"several formats: {', '.join(a.name for a in claimed)}" if claimed else f"unknown format: {what}"
            known = f"`clonewatch doctor FILE` prints a map to start from; known are {', '.join(FORMATS.names())}"
            raise InputError(stream.torn or what, where=str(path), fix=f"{fix}; {known}")
        if mapping and mapping.format.endswith("_map") and not mapping.where:
            noted += [(named(path), _CHOSEN.format(name)) for name in choosing(head, path.name, FORMATS)]
        claimed[0].check(source_of(path, stream), mapping)
        return Input(path, claimed[0], stream if piped else None, claimed[0].lane(head))
    finally:
        if not piped:
            stream.close()
