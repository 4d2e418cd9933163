"""OTLP/JSON as a collector's file exporter writes it: traces or logs, one export request per line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clonewatch.adapters.outline import outline
from clonewatch.adapters.telemetry import records
from clonewatch.adapters.telemetry_reading import read_lanes, read_one
from clonewatch.ports.adapter import Adapter, Batch, Lane, Source
from clonewatch.ports.mapping import FieldMap

_RECORDS = {"resourceLogs", "resource_logs"}
_SIGNS = {"resourceSpans", "resource_spans"} | _RECORDS


class Otlp(Adapter):
    """Reads model calls out of exported spans and log records, in six dialects of attribute names."""

    name = "otlp"
    summary = "OpenTelemetry traces and logs, OTLP/JSON lines"
    chooses = True
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
        yield from read_one(source, records, mapping)

    def lane(self, head: bytes) -> str:
        """Files of log records are read beside those of spans, which may lack the prompts that the records hold."""
        return "records" if _RECORDS & outline(head).keys() else "spans"

    def read_lanes(self, lanes: Sequence[Lane], mapping: FieldMap | None) -> Iterator[tuple[Source, Batch]]:
        """Batches of calls, whose spans and log records may be in different lanes."""
        yield from read_lanes(lanes, records, mapping)


ADAPTER = Otlp()
