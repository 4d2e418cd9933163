"""OTLP requests of the protocol's binary form as its JSON form, which the reader of files reads.

Only what that reader knows is kept. Ids are hexadecimal, as the specification of OTLP/JSON has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

TRACES, LOGS = "traces", "logs"
Json = dict[str, Any]
# What holds what in a request, from the top: as JSON spells it, and as the messages do, which some write in JSON too.
_NAMES = {
    TRACES: (("resourceSpans", "scopeSpans", "spans"), ("resource_spans", "scope_spans", "spans")),
    LOGS: (("resourceLogs", "scopeLogs", "logRecords"), ("resource_logs", "scope_logs", "log_records")),
}
_REQUESTS: dict[str, Any] = {TRACES: ExportTraceServiceRequest, LOGS: ExportLogsServiceRequest}
_DEEPEST = 32  # nested attribute values, as the reader takes them


class MalformedError(ValueError):
    """A body that is no request of the protocol."""


def line_of(body: bytes, signal: str) -> tuple[bytes, int]:
    """A request in binary form as one line of JSON, and how many spans or records it has. Raises MalformedError."""
    request = _REQUESTS[signal]()
    try:
        request.ParseFromString(body)
    except (DecodeError, RecursionError, ValueError) as error:
        raise MalformedError("the body is not this request in binary form") from error
    (tops, scopes, items), (top, scope, item) = _NAMES[signal]
    made, count = [], 0
    for group in getattr(request, top):
        parts: list[Json] = []
        for held in getattr(group, scope):
            rows = [_AS_JSON[signal](one) for one in getattr(held, item)]
            parts.append({items: rows})
            count += len(rows)
        made.append({"resource": {"attributes": _pairs(group.resource.attributes, 0)}, scopes: parts})
    return msgspec.json.encode({tops: made}) + b"\n", count


def counted(request: Json, signal: str) -> int:
    """How many spans or log records a request in JSON has. Raises MalformedError for another shape."""
    names = list(zip(*_NAMES[signal], strict=True))
    if not any(name in request for name in names[0]) and request:
        raise MalformedError(f"the request has no {names[0][0]}")
    found: list[object] = [request]
    for keys in names:
        found = [
            one
            for held in found
            if isinstance(held, dict)
            for key in dict.fromkeys(keys)
            for one in _list(held.get(key), key)
        ]
    return len(found)


def answer(signal: str, rejected: int, said: str) -> ExportTraceServiceResponse | ExportLogsServiceResponse:
    """The answer to a request, with a partial success where something was rejected or is to be said."""
    if signal == TRACES:
        partial = ExportTracePartialSuccess(rejected_spans=rejected, error_message=said)
        return ExportTraceServiceResponse(partial_success=partial if said else None)
    records = ExportLogsPartialSuccess(rejected_log_records=rejected, error_message=said)
    return ExportLogsServiceResponse(partial_success=records if said else None)


def answer_json(signal: str, rejected: int, said: str) -> Json:
    """The same in JSON, where numbers of 64 bits are text."""
    name = "rejectedSpans" if signal == TRACES else "rejectedLogRecords"
    partial = ({name: str(rejected)} if rejected else {}) | {"errorMessage": said}
    return {"partialSuccess": partial} if said else {}


def _list(value: object, name: str) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise MalformedError(f"{name} is not a list")
    return value


def _span(span: Any) -> Json:
    made: Json = {
        "traceId": span.trace_id.hex(),
        "spanId": span.span_id.hex(),
        "name": span.name,
        "startTimeUnixNano": span.start_time_unix_nano,
        "endTimeUnixNano": span.end_time_unix_nano,
        "attributes": _pairs(span.attributes, 0),
    }
    if span.parent_span_id:
        made["parentSpanId"] = span.parent_span_id.hex()
    if span.events:
        made["events"] = [{"name": e.name, "attributes": _pairs(e.attributes, 0)} for e in span.events]
    if span.status.code:
        made["status"] = {"code": span.status.code, "message": span.status.message}
    return made


def _log(log: Any) -> Json:
    made: Json = {
        "timeUnixNano": log.time_unix_nano,
        "observedTimeUnixNano": log.observed_time_unix_nano,
        "attributes": _pairs(log.attributes, 0),
        "body": _value(log.body, 0),
    }
    if log.event_name:
        made["eventName"] = log.event_name
    if log.trace_id:
        made["traceId"], made["spanId"] = log.trace_id.hex(), log.span_id.hex()
    return made


def _pairs(pairs: Iterable[KeyValue], depth: int) -> list[Json]:
    made: list[Json] = []
    for pair in pairs:
        held = pair.value
        text = held.string_value  # by far the most; empty for every other kind
        made.append({"key": pair.key, "value": {"stringValue": text} if text else _value(held, depth)})
    return made


def _value(value: AnyValue, depth: int) -> Json | None:
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return {"stringValue": value.string_value}
    if kind == "int_value":
        return {"intValue": value.int_value}
    if kind == "double_value":
        return {"doubleValue": value.double_value}
    if kind == "bool_value":
        return {"boolValue": value.bool_value}
    if kind == "array_value" and depth < _DEEPEST:
        return {"arrayValue": {"values": [_value(one, depth + 1) for one in value.array_value.values]}}
    if kind == "kvlist_value" and depth < _DEEPEST:
        return {"kvlistValue": {"values": _pairs(value.kvlist_value.values, depth + 1)}}
    return None  # bytes, and what is nested too deeply


_AS_JSON: dict[str, Callable[[Any], Json]] = {TRACES: _span, LOGS: _log}
