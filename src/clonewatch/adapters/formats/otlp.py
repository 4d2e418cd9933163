"""OTLP/JSON as a collector's file exporter writes it: traces or logs, one export request per line."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from clonewatch.adapters.mapped import assemble
from clonewatch.adapters.outline import outline
from clonewatch.adapters.rows import Rows, rows
from clonewatch.adapters.streams import notes_of
from clonewatch.adapters.telemetry import Record, call, records
from clonewatch.ports.adapter import Adapter, Batch, Source
from clonewatch.ports.mapping import FieldMap


class Otlp(Adapter):
    """Reads model calls out of exported spans and log records, in five dialects of attribute names."""

    name = "otlp"
    summary = "OpenTelemetry traces and logs, OTLP/JSON lines"
    account_hint = (
        "the conventions define no account, so set `user.id` (or user.hash, enduser.id, enduser.pseudo.id) on the span "
        'or the resource, or name the attribute that holds it in a field map with format = "otlp": '
        'account_id = "tenant.id"'
    )

    def claims(self, head: bytes, name: str) -> bool:
        """Whether the first object is an export request."""
        return bool({"resourceSpans", "resourceLogs"} & outline(head).keys())

    def read(self, source: Source, mapping: FieldMap | None) -> Iterator[Batch]:
        """Batches of the calls in up to 32,768 export requests, numbered by request; other spans are skipped."""
        decode = msgspec.json.Decoder(dict[str, object]).decode
        other = 0
        for part in rows(source.stream, source.name, lambda line: records(decode(line))):
            calls = Rows[dict[str, object]]([], [], [], part.rejected)
            for number, found in zip(part.numbers, part.rows, strict=True):
                for record in found:
                    row = call(record)
                    if row is None:
                        other += 1
                        continue
                    calls.rows.append(row)
                    calls.numbers.append(number)
                    if mapping is not None:
                        calls.lines.append(_attributes(record))
            yield assemble(calls, source, mapping)
        if other:
            notes_of(source.stream).warn(f"{other} spans and log records that are not model calls were skipped")


def _attributes(record: Record) -> bytes:
    """The attributes of a record, then those of its resource, as the object that a field map searches."""
    return msgspec.json.encode(record.resource | record.attributes)


ADAPTER = Otlp()
