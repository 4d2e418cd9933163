"""Spans and log records of OTLP/JSON, with the names of its JSON form (camelCase) or of its protocol (snake_case)."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from typing import NamedTuple

Attributes = dict[str, object]
Json = dict[str, object]
_DEEPEST = 32  # nested attribute values
_HEX = re.compile(r"(?:[0-9a-fA-F]{16}|[0-9a-fA-F]{32})")
_CODES = {"STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2, "OK": 1, "ERROR": 2}
ERROR = 2


class Record(NamedTuple):
    """A span or a log record.

    start, end: nanoseconds, 0 if unknown. id: concatenated hex ids, "" if there are none. name: of the span or event.
    code: status of a span, 2 for an error. message: what the status says. is_log: whether it is a log record. parent:
    id of the span around it, in the same form.
    """

    resource: Attributes
    attributes: Attributes
    events: list[tuple[str, Attributes]]
    start: int
    end: int
    id: str
    name: str = ""
    code: int = 0
    message: str = ""
    is_log: bool = False
    parent: str = ""


def records(request: Json) -> list[Record]:
    """All spans and log records of one export request; parts of a wrong shape are skipped."""
    found = []
    for group in _objects(_of(request, "resourceSpans", "resource_spans")):
        resource = attributes(_object(group.get("resource")).get("attributes"))
        scopes = _of(group, "scopeSpans", "scope_spans") or group.get("instrumentationLibrarySpans")
        for scope in _objects(scopes):
            found += [_span(span, resource) for span in _objects(scope.get("spans"))]
    for group in _objects(_of(request, "resourceLogs", "resource_logs")):
        resource = attributes(_object(group.get("resource")).get("attributes"))
        for scope in _objects(_of(group, "scopeLogs", "scope_logs")):
            found += [_log(log, resource) for log in _objects(_of(scope, "logRecords", "log_records"))]
    return found


def attributes(pairs: object) -> Attributes:
    """OTLP key-value pairs as a dictionary.

    >>> attributes([{"key": "n", "value": {"intValue": "7"}}, {"key": "s", "value": {"string_value": "x"}}])
    {'n': 7, 's': 'x'}
    """
    return _pairs(pairs, 0)


def hex_id(value: object) -> str:
    """An id in hex, also where it is written in base64, as the protocol's own JSON does; "" if there is none.

    >>> hex_id("7uGbfsPBsXQ="), hex_id("EEE19B7EC3C1B174")
    ('eee19b7ec3c1b174', 'eee19b7ec3c1b174')
    """
    if not isinstance(value, str) or not value:
        return ""
    if _HEX.fullmatch(value):
        return value.lower()
    try:
        raw = b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return value
    return raw.hex() if len(raw) in (8, 16) else value


def _of(value: Json, camel: str, snake: str) -> object:
    """A field under the name of the JSON form or of the protocol."""
    return value[camel] if camel in value else value.get(snake)


def _span(span: Json, resource: Attributes) -> Record:
    events = [(str(e.get("name")), attributes(e.get("attributes"))) for e in _objects(span.get("events"))]
    start = _nanoseconds(_of(span, "startTimeUnixNano", "start_time_unix_nano"))
    end = _nanoseconds(_of(span, "endTimeUnixNano", "end_time_unix_nano"))
    status = _object(span.get("status"))
    code, message = status.get("code"), status.get("message")
    trace, own = hex_id(_of(span, "traceId", "trace_id")), hex_id(_of(span, "spanId", "span_id"))
    outer = hex_id(_of(span, "parentSpanId", "parent_span_id"))
    return Record(
        resource,
        attributes(span.get("attributes")),
        events,
        start,
        end,
        f"{trace}-{own}" if trace and own else "",
        str(span.get("name") or ""),
        _CODES.get(code, 0) if isinstance(code, str) else code if isinstance(code, int) else 0,
        message if isinstance(message, str) else "",
        parent=f"{trace}-{outer}" if trace and outer else "",
    )


def _log(log: Json, resource: Attributes) -> Record:
    given = attributes(log.get("attributes"))
    body = _value(log.get("body"), 0)
    if isinstance(body, dict):
        given = body | given
    name = _of(log, "eventName", "event_name") or given.get("event.name") or ""
    at = _nanoseconds(_of(log, "timeUnixNano", "time_unix_nano"))
    at = at or _nanoseconds(_of(log, "observedTimeUnixNano", "observed_time_unix_nano"))
    return Record(resource, given, [], at, 0, _id(log), str(name), is_log=True)


def _id(record: Json) -> str:
    trace, span = hex_id(_of(record, "traceId", "trace_id")), hex_id(_of(record, "spanId", "span_id"))
    return f"{trace}-{span}" if trace and span else ""


def _nanoseconds(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _pairs(pairs: object, depth: int) -> Attributes:
    found: Attributes = {}
    for pair in _objects(pairs):
        value = pair.get("value")
        if isinstance(value, dict) and len(value) == 1 and "stringValue" in value and depth < _DEEPEST:
            found[str(pair.get("key"))] = value["stringValue"]  # by far the most
        else:
            found[str(pair.get("key"))] = _value(value, depth + 1)
    return found


_ONE = frozenset(("stringValue", "boolValue", "doubleValue"))
_PLAIN = ("stringValue", "boolValue", "doubleValue", "string_value", "bool_value", "double_value")


def _value(value: object, depth: int) -> object:
    if not isinstance(value, dict) or depth > _DEEPEST:
        return None
    if len(value) == 1 and (key := next(iter(value))) in _ONE:  # nearly always
        return value[key]
    for key in _PLAIN:
        if key in value:
            return value[key]
    if "intValue" in value or "int_value" in value:
        number = _of(value, "intValue", "int_value")
        plain = isinstance(number, str) and len(number) <= 20 and number.removeprefix("-").isdecimal()
        return int(str(number)) if plain else number if isinstance(number, int) else None
    if "arrayValue" in value or "array_value" in value:
        inner = _object(_of(value, "arrayValue", "array_value"))
        return [_value(v, depth + 1) for v in _objects(inner.get("values"))]
    if "kvlistValue" in value or "kvlist_value" in value:
        return _pairs(_object(_of(value, "kvlistValue", "kvlist_value")).get("values"), depth)
    return None


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[Json]:
    if not value or not isinstance(value, list):
        return []
    return value if all(v.__class__ is dict for v in value) else [v for v in value if isinstance(v, dict)]
