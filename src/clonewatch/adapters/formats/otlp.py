"""OTLP/JSON as a collector's file exporter writes it: traces or logs, one export request per line."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from clonewatch.adapters.mapped import assemble
from clonewatch.adapters.outline import outline
from clonewatch.adapters.rows import rows
from clonewatch.adapters.telemetry import records
from clonewatch.adapters.telemetry_joining import Joiner, call_rows, note_passed_over
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
            yield assemble(call_rows(found, part.rejected, mapping), source, mapping)
        yield assemble(call_rows(joiner.rest(), [], mapping), source, mapping)
        note_passed_over(source, joiner.passed_over)


ADAPTER = Otlp()
