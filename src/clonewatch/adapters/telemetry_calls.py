"""The model calls among spans and log records, as exchange columns."""

from __future__ import annotations

import re
from http import HTTPStatus

from clonewatch.adapters import otlp_names as names
from clonewatch.adapters.any_body import fill_from_bodies
from clonewatch.adapters.bodies import CLAIMED, Row, parsed, put
from clonewatch.adapters.placeholders import is_nobody
from clonewatch.adapters.telemetry import ERROR, Attributes, Record
from clonewatch.adapters.telemetry_content import (
    FIRST_TOOLS,
    content,
    finished,
    from_events,
    has_text,
    indexed,
    listed_events,
    tools,
)
from clonewatch.adapters.values import MISSING, count

_PLACES = {alias.attribute: at for at, alias in enumerate(names.ALIASES)}
# Those that may also stand on the resource.
_ACCOUNTS = frozenset(alias.attribute for alias in names.ALIASES if alias.column == "account_id")
_TEXT = ("messages", "response_text", "system_text")
_STATUS = re.compile(r"(?<![\d.])([45]\d\d)(?![\d.])")
_PHRASES = {one.phrase.lower(): one.value for one in HTTPStatus if one.value >= HTTPStatus.BAD_REQUEST}
_MOST_MESSAGE = 512  # characters of an error message that are searched for a status
_BODY = ("messages", "input", "contents", "prompt")
_STOPS = ("stop", "stop_sequences")
_FAILED = frozenset(names.ERROR_ATTRIBUTES)
# Attributes of what stands beside the messages of a request.
_ASKED = FIRST_TOOLS.union(names.STOPS, names.FORMS, (alias.attribute for alias in names.PARAMETERS))
_ANSWERED = ("choices", "output", "stop_reason")
# How a request that ended in an answer says so.
_EXCEPTION = "exception"


def call(record: Record) -> Row | None:
    """A model call as a row: column -> value; None for other records."""
    given = record.attributes
    for name, values in record.events:
        if name in names.CONTENT_EVENTS:
            given = values | given
    if not is_call(given):
        return None
    row: Row = {}
    for place in _places(given, record.resource):
        column, attribute, _ = names.ALIASES[place]
        value = given.get(attribute)
        if value is None and column == "account_id":
            value = record.resource.get(attribute)
        if value is None or value == "" or row.get(column) is not None:
            continue
        _fill(column, value, row)
    if row.get("end_user_id") is not None:
        row["end_user_provenance"] = CLAIMED
    row["ts"] = record.start or None
    _gathered(given, row)
    _indexed(given, row)
    from_events(record.events or listed_events(given), row)
    _status(record, given, row)
    _request(given, row)
    row["exchange_id"] = row.get("exchange_id") or record.id or None
    if isinstance(record.start, int) and isinstance(record.end, int) and record.end > record.start > 0:
        put(row, "latency_ms", (record.end - record.start) // 1_000_000)
    return row


def _places(given: Attributes, resource: Attributes) -> list[int]:
    """The places of the aliases that a record has, in order: few of all names."""
    found = _PLACES.keys() & given.keys()
    if resource:
        found |= _ACCOUNTS & resource.keys()
    return sorted(map(_PLACES.__getitem__, found))


def is_call(given: Attributes) -> bool:
    """Whether attributes are those of one call of a model, failed ones included.

    >>> is_call({"openinference.span.kind": "LLM"}), is_call({"openinference.span.kind": "TOOL", "llm.model_name": "m"})
    (True, False)
    >>> is_call({"operation.name": "ai.generateText f", "ai.model.id": "m"})
    False
    """
    for attribute in names.VERCEL_KINDS:
        value = given.get(attribute)
        if isinstance(value, str) and value.startswith("ai."):
            return value.partition(" ")[0].endswith(names.VERCEL_CALLS)
    kinds = [(str(given[name]), calls) for name, calls in names.KINDS.items() if given.get(name)]
    if any(kind in names.NOT_CALLS for kind, _ in kinds):
        return False
    for name in ("openinference.span.kind", "langfuse.observation.type"):
        if given.get(name) and str(given[name]) not in names.KINDS[name]:
            return False
    return any(kind in calls for kind, calls in kinds) or any(name in given for name in names.CALLS)


def _fill(column: str, value: object, row: Row) -> None:
    if column in _TEXT:
        held = parsed(value)
        row[column] = content(column, held)
        if column == "response_text":
            put(row, "stop_reason", finished(held))
    elif column == "operation":
        row[column] = names.OPERATIONS.get(str(value).partition(" ")[0].rpartition(".")[2])
    elif column in ("account_id", "exchange_id"):
        named = isinstance(value, str | int) and not (is_nobody(value) if column == "account_id" else value in MISSING)
        row[column] = value if named else None
    else:
        if isinstance(value, str) and value[:1] == "[":
            value = parsed(value)  # a list that was put into text
        put(row, column, value[0] if isinstance(value, list) and value else value)


def _gathered(given: Attributes, row: Row) -> None:
    for alias in names.PARAMETERS:
        if alias.attribute not in given:
            continue
        asked = _object(parsed(given[alias.attribute]))
        put(row, "model", asked.get("model"))
        put(
            row,
            "max_tokens",
            asked.get("max_completion_tokens"),
            asked.get("max_output_tokens"),
            asked.get("max_tokens"),
        )
        for column in ("temperature", "top_p", "n", "stream"):
            put(row, column, asked.get(column))
        if asked.get("logprobs") or asked.get("top_logprobs"):
            row["logprobs"] = True
        if isinstance(asked.get("instructions"), str) and not row.get("system_text"):
            row["system_text"] = asked["instructions"]
    if names.USAGE.attribute in given:
        usage_apart(_object(parsed(given[names.USAGE.attribute])), row)


def usage_apart(usage: dict[str, object], row: Row) -> None:
    """Fill token counts from a table of kinds of tokens that are counted apart, unless its total says otherwise.

    >>> row = {}
    >>> usage_apart({"input": 86, "input_cached_tokens": 17817, "output": 5}, row)
    >>> row
    {'cached_tokens': 17817, 'input_tokens': 17903, 'output_tokens': 5}
    """
    counts = {k: n for k, v in usage.items() if (n := count(v)) is not None}
    cached = [counts.get(k) for k in ("input_cached_tokens", "input_cache_read", "cache_read_input_tokens")]
    reasoning = [counts.get(k) for k in ("output_reasoning_tokens", "output_reasoning")]
    put(row, "cached_tokens", *cached)
    put(row, "reasoning_tokens", *reasoning)
    plain_in, plain_out = counts.get("input"), counts.get("output")
    included = "total" in counts and counts["total"] == (plain_in or 0) + (plain_out or 0)
    if plain_in is not None:
        more = sum(
            v for k, v in counts.items() if (k.startswith("input_") or k.endswith("_input_tokens")) and not included
        )
        put(row, "input_tokens", plain_in + more)
    if plain_out is not None:
        more = sum(v for k, v in counts.items() if k.startswith("output_") and not included)
        put(row, "output_tokens", plain_out + more)
    put(row, "input_tokens", *map(counts.get, ("prompt_tokens", "input_tokens", "promptTokens")))
    put(row, "output_tokens", *map(counts.get, ("completion_tokens", "output_tokens", "completionTokens")))


def _indexed(given: Attributes, row: Row) -> None:
    if ".0." not in "\n".join(given):
        return
    for column, pattern, _ in names.INDEXED:
        messages = indexed(given, pattern)
        if column == "messages" and has_text(messages):
            if isinstance(row.get("messages"), dict):
                row["body"] = row["messages"]  # the whole request: its parameters are read as well
            row[column] = messages
        elif messages and not row.get(column):
            row[column] = content(column, messages)


def _status(record: Record, given: Attributes, row: Row) -> None:
    """The HTTP status of a failed call, from its error's number, name or message."""
    if row.get("status") is not None or (not record.code and not record.events and _FAILED.isdisjoint(given)):
        return
    held = [given] + [values for name, values in record.events if name == _EXCEPTION]
    any_error = None  # of a kind that may have any status
    for attributes in held:
        for name in names.ERROR_ATTRIBUTES:
            value = str(attributes.get(name) or "")
            kind = value.rpartition(".")[2]
            if value.isdecimal() and len(value) == 3:
                put(row, "status", value)
            elif kind in names.ANY_ERROR:
                any_error = names.ERRORS.get(kind)
            else:
                put(row, "status", names.ERRORS.get(kind))
    if record.code == ERROR or len(held) > 1:
        put(row, "status", status_in(record.message, *(str(a.get("exception.message") or "") for a in held)))
    put(row, "status", any_error)


def status_in(*messages: str) -> object:
    """The status that messages of one error name, by number or by the name of an error; None if they name none.

    >>> status_in("Error code: 529 - overloaded"), status_in("", "openai.RateLimitError: slow down"), status_in("no")
    ('529', 429, None)
    """
    texts = [message[:_MOST_MESSAGE] for message in messages]
    found = next((m for text in texts if (m := _STATUS.search(text))), None)
    if found:
        return found[1]
    named = (code for text in texts for name, code in names.ERRORS.items() if name in text)
    return next(named, None) or next((_PHRASES[p] for text in texts if (p := text.strip().lower()) in _PHRASES), None)


def _request(given: Attributes, row: Row) -> None:
    """Put tools and stop strings beside the messages, and read the parameters of a whole request body."""
    body = row.pop("body", None) or row.get("messages")
    if isinstance(body, dict) and any(key in body for key in _BODY):
        asked: Row = {}
        if fill_from_bodies(body, _answer(given), asked) and row.get("messages") is body:
            row["messages"] = asked.get("messages")
        for column, value in asked.items():
            if row.get(column) is None and column not in ("messages", "logprobs", "response_text"):
                row[column] = value
        if asked.get("logprobs"):
            row["logprobs"] = True
    else:
        body = {}
        if _ASKED.isdisjoint(given):
            return  # nearly always
    gathered = _parameters(given)
    offered = tools(given) or _asked(gathered, "tools") or body.get("tools")
    listed = next(
        (s for name in names.STOPS if name in given and isinstance(s := parsed(given[name]), list) and s), None
    )
    stops = listed or next((s for key in _STOPS if (s := _asked(gathered, key) or body.get(key))), None)
    form = _form(given) or _asked(gathered, "response_format") or body.get("response_format")
    form = form or _object(_asked(gathered, "text")).get("format")
    if isinstance(offered, list) and offered:
        put(row, "tools_count", len(offered))
    more = {key: value for key, value in (("tools", offered), ("stop", stops), ("response_format", form)) if value}
    if more:
        messages = row.get("messages")
        held = messages if isinstance(messages, dict) else {"messages": messages} if messages else {}
        row["messages"] = {**more, **held}


def _parameters(given: Attributes) -> list[dict[str, object]]:
    """The parameters of the request, where one attribute gathers them."""
    return [_object(parsed(given[one.attribute])) for one in names.PARAMETERS if one.attribute in given]


def _asked(gathered: list[dict[str, object]], key: str) -> object:
    for one in gathered:
        if value := one.get(key):
            return value
    return None


def _form(given: Attributes) -> dict[str, object] | None:
    """The answer's form as a request would ask for it, of which telemetry tells the kind alone."""
    kind = next((kind for name in names.FORMS if (kind := given.get(name))), None)
    return {"type": kind} if isinstance(kind, str) and kind != names.PLAIN_FORM else None


def _answer(given: Attributes) -> object:
    """The whole answer beside a whole request, None where there is only its text."""
    said = parsed(given.get(names.WHOLE_ANSWER))
    return said if isinstance(said, dict) and any(key in said for key in _ANSWERED) else None


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
