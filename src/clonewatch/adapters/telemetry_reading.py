"""Reads files of telemetry: one after another, or spans and log records side by side, so that they find each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from clonewatch.adapters.mapped import assemble
from clonewatch.adapters.rows import Rows, rows
from clonewatch.adapters.streams import notes_of
from clonewatch.adapters.telemetry import Json, Record
from clonewatch.adapters.telemetry_joining import Joiner
from clonewatch.adapters.telemetry_nesting import Call
from clonewatch.model.read_results import Rejected
from clonewatch.ports.adapter import Batch, Lane, Source
from clonewatch.ports.mapping import FieldMap

_END = float("inf")
_Part = Rows[list[Record]]


class _Running:
    """A lane while it is read. at: the place behind what was read, the end once nothing is left."""

    def __init__(self, lane: Lane, records: Callable[[Json], list[Record]], files: list[Source]) -> None:
        self._lane, self._records, self._files = lane, records, files
        self._parts = self._read()
        self.at = 0.0

    def next(self) -> tuple[int, _Part] | None:
        """The number of a file and some of its records; None at the end."""
        part = next(self._parts, None)
        self.at = _END if part is None else max(self.at + 1e-12, self._lane.progress())
        return part

    def _read(self) -> Iterator[tuple[int, _Part]]:
        decode = msgspec.json.Decoder(Json).decode
        for source in self._lane.sources:
            self._files.append(source)
            file = len(self._files) - 1
            for part in rows(source.stream, source.name, lambda line: self._records(decode(line))):
                yield file, part


def read_lanes(
    lanes: Sequence[Lane], records: Callable[[Json], list[Record]], mapping: FieldMap | None
) -> Iterator[tuple[Source, Batch]]:
    """Batches of the calls in up to 32,768 objects, numbered by object, with the file they are from.

    records: finds the spans and log records of an object. Of several lanes, the one that is furthest behind is read
    on; other spans are skipped and counted.
    """
    joiner, files = Joiner(), list[Source]()
    running = [_Running(lane, records, files) for lane in lanes]
    while True:
        behind = min(running, key=lambda one: one.at)
        part = behind.next() if behind.at < _END else None
        if part is None:
            if all(one.at == _END for one in running):
                break
            continue
        file, found = part
        done = joiner.take(
            list(zip(found.numbers, found.rows, strict=True)), file, behind.at, min(one.at for one in running)
        )
        yield from _batches(done, file, found.rejected, files, mapping)
    if files:
        yield from _batches(joiner.rest(), 0, [], files, mapping)
        _note_passed_over(files[0], joiner.passed_over)


def read_one(source: Source, records: Callable[[Json], list[Record]], mapping: FieldMap | None) -> Iterator[Batch]:
    """The batches of one file."""
    for _, batch in read_lanes([Lane(iter([source]), lambda: 0.0)], records, mapping):
        yield batch


def _batches(
    calls: list[Call], file: int, rejected: list[Rejected], files: list[Source], mapping: FieldMap | None
) -> Iterator[tuple[Source, Batch]]:
    """The calls by file, in the order of the files; rejected: of one file, which always has a batch."""
    by_file: dict[int, list[Call]] = {file: []}
    for one in calls:
        by_file.setdefault(one.file, []).append(one)
    for number in sorted(by_file):
        found = by_file[number]
        lines = [_attributes(one.record) for one in found] if mapping is not None else []
        part = Rows([one.row for one in found], [one.number for one in found], lines, rejected * (number == file))
        yield files[number], assemble(part, files[number], mapping)


def _note_passed_over(source: Source, other: int) -> None:
    """Say how many spans and log records were no model calls."""
    if other:
        notes_of(source.stream).warn(f"{other} spans and log records that are not model calls were skipped")


def _attributes(record: Record) -> bytes:
    """The attributes of a record, then those of its resource, as the object that a field map searches."""
    return msgspec.json.encode(record.resource | record.attributes)
