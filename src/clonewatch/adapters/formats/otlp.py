"""OTLP/JSON as a collector's file exporter writes it: traces or logs, one export request per line."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from clonewatch.adapters.mapped import assemble
from clonewatch.adapters.outline import outline
from clonewatch.adapters.rows import Rows, rows
from clonewatch.adapters.streams import notes_of
from clonewatch.adapters.telemetry import Record, records
from clonewatch.adapters.telemetry_joining import Call, Joiner
from clonewatch.model.read_results import Rejected
from clonewatch.ports.adapter import Adapter, Batch, Source
from clonewatch.ports.mapping import FieldMap


_SIGNS = {"resourceSpans", "resourceLogs", "resource_spans", "resource_logs"}


class Otlp(Adapter):
    """Reads model calls out of exported spans and log records, in six dialects of attribute names."""

    name = "otlp"
    summary = "OpenTelemetry traces and logs, OTLP/JSON lines"
    account_hint = (
        "the conventions define no account, so set `user.id` (or user.hash, enduser.id, enduser.pseudo.id) on the span "
        'or the resource, or name the attribute that holds it in a field map with format = "otlp": '
        'account_id = "tenant.id"'
    )

    def claims(self, head: bytes, name: str) -> bool:
        """Whether the first object is an export request."""
        return bool(_SIGNS & outline(head).keys())

    def read(self, source: Source, mapping: FieldMap | None) -> Iterator[Batch]:
        """Batches of the calls in up to 32,768 export requests, numbered by request; other spans are skipped."""
        decode = msgspec.json.Decoder(dict[str, object]).decode
        joiner = Joiner()
        for part in rows(source.stream, source.name, lambda line: records(decode(line))):
            found = joiner.take(list(zip(part.numbers, part.rows, strict=True)))
            yield assemble(_rows(found, part.rejected, mapping), source, mapping)
        yield assemble(_rows(joiner.rest(), [], mapping), source, mapping)
        note_passed_over(source, joiner.passed_over)


def _rows(found: list[Call], rejected: list[Rejected], mapping: FieldMap | None) -> Rows[dict[str, object]]:
    lines = [_attributes(one.record) for one in found] if mapping is not None else []
    return Rows([one.row for one in found], [one.number for one in found], lines, rejected)


def note_passed_over(source: Source, other: int) -> None:
    """Say how many spans and log records were no model calls."""
    if other:
        notes_of(source.stream).warn(f"{other} spans and log records that are not model calls were skipped")


def _attributes(record: Record) -> bytes:
    """The attributes of a record, then those of its resource, as the object that a field map searches."""
    return msgspec.json.encode(record.resource | record.attributes)


ADAPTER = Otlp()
