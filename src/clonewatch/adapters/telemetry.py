"""Spans and log records of OTLP/JSON, and the model calls among them as exchange columns."""

from __future__ import annotations

from typing import NamedTuple

from clonewatch.adapters import otlp_names as names
from clonewatch.adapters.bodies import content_text, parsed, put

Attributes = dict[str, object]
_MOST_INDEXED = 1000  # limit on messages written key by key; a conversation is shorter
_DEEPEST = 32  # nested attribute values
_TEXT = ("messages", "response_text", "system_text")


class Record(NamedTuple):
    """A span or a log record. start, end: nanoseconds, 0 if unknown. id: concatenated hex ids, "" if there are none."""

    resource: Attributes
    attributes: Attributes
    events: list[tuple[str, Attributes]]
    start: object
    end: object
    id: str


def records(request: dict[str, object]) -> list[Record]:
    """All spans and log records of one export request; parts of a wrong shape are skipped."""
    found = []
    for group in _objects(request.get("resourceSpans")):
        resource = attributes(_object(group.get("resource")).get("attributes"))
        for scope in _objects(group.get("scopeSpans")) + _objects(group.get("instrumentationLibrarySpans")):
            found += [_span(span, resource) for span in _objects(scope.get("spans"))]
    for group in _objects(request.get("resourceLogs")):
        resource = attributes(_object(group.get("resource")).get("attributes"))
        for scope in _objects(group.get("scopeLogs")):
            found += [_log(log, resource) for log in _objects(scope.get("logRecords"))]
    return found


def attributes(pairs: object) -> Attributes:
    """OTLP key-value pairs as a dictionary.

    >>> attributes([{"key": "n", "value": {"intValue": "7"}}, {"key": "s", "value": {"stringValue": "x"}}])
    {'n': 7, 's': 'x'}
    """
    return _pairs(pairs, 0)


def call(record: Record) -> dict[str, object] | None:
    """A model call as a row: column -> value; None for other records."""
    given = record.attributes
    for name, values in record.events:
        if name in names.CONTENT_EVENTS:
            given = values | given
    if not any(key in given for key in names.CALLS) or given.get("gen_ai.operation.name") in names.NOT_CALLS:
        return None
    row: dict[str, object] = {}
    for column, attribute, _ in names.ALIASES:
        value = given.get(attribute)
        if value is None and column == "account_id":
            value = record.resource.get(attribute)
        if value is None or value == "" or row.get(column) is not None:
            continue
        if column in _TEXT:
            row[column] = _content(column, value)
        elif column == "operation":
            row[column] = names.OPERATIONS.get(str(value))
        elif column in ("account_id", "exchange_id"):
            row[column] = value if isinstance(value, str | int) else None
        else:
            put(row, column, value[0] if isinstance(value, list) and value else value)
    row["ts"] = record.start or None
    row["exchange_id"] = row.get("exchange_id") or record.id or None
    _gathered(given, row)
    _indexed(given, row)
    _from_events(record.events, row)
    if isinstance(record.start, int) and isinstance(record.end, int) and record.end > record.start > 0:
        put(row, "latency_ms", (record.end - record.start) // 1_000_000)
    return row


def _span(span: dict[str, object], resource: Attributes) -> Record:
    events = [(str(e.get("name")), attributes(e.get("attributes"))) for e in _objects(span.get("events"))]
    start, end = _nanoseconds(span.get("startTimeUnixNano")), _nanoseconds(span.get("endTimeUnixNano"))
    return Record(resource, attributes(span.get("attributes")), events, start, end, _id(span))


def _log(log: dict[str, object], resource: Attributes) -> Record:
    given = attributes(log.get("attributes"))
    body = _value(log.get("body"), 0)
    if isinstance(body, dict):
        given = body | given
    at = _nanoseconds(log.get("timeUnixNano")) or _nanoseconds(log.get("observedTimeUnixNano"))
    return Record(resource, given, [], at, 0, _id(log))


def _id(record: dict[str, object]) -> str:
    trace, span = record.get("traceId"), record.get("spanId")
    return f"{trace}-{span}" if isinstance(trace, str) and isinstance(span, str) and trace and span else ""


def _nanoseconds(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _pairs(pairs: object, depth: int) -> Attributes:
    return {str(p.get("key")): _value(p.get("value"), depth + 1) for p in _objects(pairs)}


def _value(value: object, depth: int) -> object:
    if not isinstance(value, dict) or depth > _DEEPEST:
        return None
    if "intValue" in value:
        number = value["intValue"]
        plain = isinstance(number, str) and len(number) <= 20 and number.removeprefix("-").isdecimal()
        return int(number) if plain else number if isinstance(number, int) else None
    if "arrayValue" in value:
        return [_value(v, depth + 1) for v in _objects(_object(value["arrayValue"]).get("values"))]
    if "kvlistValue" in value:
        return _pairs(_object(value["kvlistValue"]).get("values"), depth)
    return next((value[k] for k in ("stringValue", "boolValue", "doubleValue") if k in value), None)


def _content(column: str, value: object) -> object:
    """Text of a content attribute, which may be JSON as text; messages with `parts` get `content`."""
    value = parsed(value)
    if column == "messages":
        if isinstance(value, list):
            return [_message(m) for m in value]
        return value
    if isinstance(value, dict):
        value = value.get("messages", value.get("choices", value.get("content")))
    if isinstance(value, list):
        plain = [_message(m) for m in value]
        return "\n".join(filter(None, (_said(m) for m in plain)))
    return value if isinstance(value, str) else None


def _said(message: object) -> str:
    if not isinstance(message, dict):
        return message if isinstance(message, str) else ""
    inside = message.get("message")
    held = inside if isinstance(inside, dict) else message
    return content_text(held.get("content")) or content_text(held.get("text"))


def _message(message: object) -> object:
    if not isinstance(message, dict) or not isinstance(message.get("parts"), list):
        return message
    # The newer conventions name the text of a part `content`; chat APIs name it `text`.
    texts = [
        {"type": "text", "text": p["content"]} for p in _objects(message["parts"]) if isinstance(p.get("content"), str)
    ]
    return {"role": message.get("role"), "content": texts}


def _gathered(given: Attributes, row: dict[str, object]) -> None:
    for alias in names.PARAMETERS:
        asked = _object(parsed(given.get(alias.attribute)))
        put(row, "max_tokens", asked.get("max_completion_tokens"), asked.get("max_tokens"))
        for column in ("temperature", "top_p", "n", "stream"):
            put(row, column, asked.get(column))
    usage = _object(parsed(given.get(names.USAGE.attribute)))
    put(row, "input_tokens", usage.get("input"), usage.get("prompt_tokens"))
    put(row, "output_tokens", usage.get("output"), usage.get("completion_tokens"))
    put(row, "cached_tokens", usage.get("input_cached_tokens"), usage.get("input_cache_read"))
    put(row, "reasoning_tokens", usage.get("output_reasoning_tokens"), usage.get("output_reasoning"))


def _indexed(given: Attributes, row: dict[str, object]) -> None:
    for column, pattern, _ in names.INDEXED:
        messages = []
        for i in range(_MOST_INDEXED):
            prefix = pattern.format(i=i)
            content = given.get(f"{prefix}.content")
            if content is None and f"{prefix}.role" not in given:
                break
            messages.append({"role": given.get(f"{prefix}.role"), "content": parsed(content)})
        if messages and column == "messages":
            row[column] = messages
        elif messages and not row.get(column):
            row[column] = _content(column, messages)


def _from_events(events: list[tuple[str, Attributes]], row: dict[str, object]) -> None:
    messages = [
        {"role": names.MESSAGE_EVENTS[name], "content": parsed(values.get("content"))}
        for name, values in events
        if name in names.MESSAGE_EVENTS
    ]
    if messages and not row.get("messages"):
        row["messages"] = messages
    for name, values in events:
        if name == names.CHOICE_EVENT:
            put(row, "stop_reason", values.get("finish_reason"))
            if not row.get("response_text"):
                row["response_text"] = _said(_object(parsed(values.get("message")))) or values.get("content")


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[dict[str, object]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []
