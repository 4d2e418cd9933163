"""Jaeger's JSON of traces, as its API and its page export it: model calls by the names that OTLP uses."""

from __future__ import annotations

from collections.abc import Iterator

from clonewatch.adapters.outline import outline
from clonewatch.adapters.telemetry import Attributes, Record, hex_id
from clonewatch.adapters.telemetry_reading import read_one
from clonewatch.adapters.values import count
from clonewatch.ports.adapter import Adapter, Batch, Source
from clonewatch.ports.mapping import FieldMap

Json = dict[str, object]


class Jaeger(Adapter):
    """Reads traces with their spans and processes: the object that holds them all, or one trace a line."""

    name = "jaeger"
    summary = "Jaeger traces, JSON"
    chooses = True
    account_hint = (
        'set the tag `user.id` on the span or the process, or map the tag that holds it: account_id = "tenant.id"'
    )

    def claims(self, head: bytes, name: str) -> bool:
        """Whether the first object holds spans with their processes."""
        keys = outline(head).keys()
        return {"traceID", "spans"} <= keys or {"data.traceID", "data.spans"} <= keys

    def read(self, source: Source, mapping: FieldMap | None) -> Iterator[Batch]:
        """Batches of the calls in up to 32,768 objects, numbered by object; other spans are skipped."""
        yield from read_one(source, spans, mapping)


def spans(line: Json) -> list[Record]:
    """All spans of one object; parts of a wrong shape are skipped."""
    traces = _objects(line.get("data")) if "data" in line else [line]
    found: list[Record] = []
    for trace in traces:
        processes = trace.get("processes")
        for span in _objects(trace.get("spans")):
            process = processes.get(str(span.get("processID"))) if isinstance(processes, dict) else span.get("process")
            found.append(_span(span, tags(process.get("tags")) if isinstance(process, dict) else {}))
    return found


def tags(pairs: object) -> Attributes:
    """Jaeger's tags as a dictionary.

    >>> tags([{"key": "n", "type": "int64", "value": 7}, {"key": "s", "type": "string", "value": "x"}])
    {'n': 7, 's': 'x'}
    """
    return {str(pair.get("key")): pair.get("value") for pair in _objects(pairs)}


def _span(span: Json, resource: Attributes) -> Record:
    given = tags(span.get("tags"))
    events = [
        (str(fields.pop("event", "")), fields)
        for log in _objects(span.get("logs"))
        for fields in [tags(log.get("fields"))]
    ]
    start, lasted = _microseconds(span.get("startTime")), _microseconds(span.get("duration"))
    failed = given.get("error") in (True, "true") or given.get("otel.status_code") == "ERROR"
    trace, own = hex_id(span.get("traceID")), hex_id(span.get("spanID"))
    message = given.get("otel.status_description") or given.get("error.message")
    return Record(
        resource,
        given,
        events,
        start * 1000,
        (start + lasted) * 1000,
        f"{trace}-{own}" if trace and own else "",
        str(span.get("operationName") or ""),
        2 if failed else 0,
        message if isinstance(message, str) else "",
        parent=_parent(span),
    )


def _parent(span: Json) -> str:
    """Trace and span id of the span around this one, empty if there is none."""
    for reference in _objects(span.get("references")):
        if reference.get("refType", "CHILD_OF") == "CHILD_OF":
            trace, own = hex_id(reference.get("traceID")), hex_id(reference.get("spanID"))
            return f"{trace}-{own}" if trace and own else ""
    trace, own = hex_id(span.get("traceID")), hex_id(span.get("parentSpanID"))
    return f"{trace}-{own}" if trace and own else ""


def _microseconds(value: object) -> int:
    number = count(value)
    return number if number is not None and number < 2**62 else 0


def _objects(value: object) -> list[Json]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


ADAPTER = Jaeger()
