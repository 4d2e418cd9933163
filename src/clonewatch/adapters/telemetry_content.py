"""Prompts, tools and answers in the attributes of telemetry, as a request body that fingerprinting reads."""

from __future__ import annotations

from clonewatch.adapters import otlp_names as names
from clonewatch.adapters.bodies import content_text, decoded, output_text, parsed, put

Attributes = dict[str, object]
_MOST_INDEXED = 1000  # limit on messages written key by key; a conversation is shorter
_CONTENT = ("content", "user", "text")  # of a message; of a prompt without roles in two dialects
_ASKING = ("user", "system", "developer", "tool")  # roles of messages that are no answer
_ANSWER_KEYS = ("messages", "choices", "content", "candidates")
# Of these attributes, a call that offers tools has one.
FIRST_TOOLS = frozenset(
    (*names.TOOLS, *(one.format(i=0) for one in names.TOOLS_INDEXED), f"{names.TOOLS_SPREAD[0].format(i=0)}.name")
)
_CHOICES = ("choices", "candidates")  # several answers to one request, of which the first counts


def content(column: str, value: object) -> object:
    """Text of a content attribute, which may be JSON as text; messages with `parts` get `content`."""
    value = parsed(value)
    if column == "messages":
        if isinstance(value, list):
            messages = [message(m) for m in value]
            if not messages or not all(isinstance(m, str) for m in messages):
                return messages
            texts = [text for m in messages if isinstance(text := _plain(str(m)), str)]
            return "\n".join(texts) if len(texts) == len(messages) else messages
        return value if isinstance(value, str | dict) else None
    if isinstance(value, dict):
        if isinstance(value.get("output"), list):  # a whole answer of the Responses API
            return output_text(value["output"]) or None
        if isinstance(value.get("message"), dict):
            return said(value) or None
        key = next((key for key in _ANSWER_KEYS if value.get(key)), "")
        value = value.get(key)
        if key in _CHOICES and isinstance(value, list):
            value = value[:1]
    if isinstance(value, list):
        messages = [message(m) for m in value]
        choices = (said(m) for m in messages if isinstance(m, dict) and m.get("role", "user") not in _ASKING)
        return next(filter(None, choices), None) or "\n".join(filter(None, map(said, messages)))
    return value if isinstance(value, str) else None


def _plain(given: str) -> object:
    """A text as it was sent: some write each text to embed as JSON."""
    return decoded(given) if given[:1] == '"' else given


def finished(value: object) -> object:
    """Why the first choice of an answer ended, where its messages say so."""
    listed = parsed(value)
    first = listed[0] if isinstance(listed, list) and listed else None
    return first.get("finish_reason") if isinstance(first, dict) else None


def said(held: object) -> str:
    """The text of a message, of a choice or of a part."""
    if not isinstance(held, dict):
        return held if isinstance(held, str) else ""
    inside = held.get("message")
    if isinstance(inside, str):
        return inside
    held = inside if isinstance(inside, dict) else held
    return content_text(held.get("content")) or content_text(held.get("text"))


def message(given: object) -> object:
    """A message of the newer conventions as chat APIs write it: the text of a part is `content` there, here `text`."""
    if isinstance(given, str):
        held = parsed(given)  # each message as JSON in text
        given = held if isinstance(held, dict) else given
    if not isinstance(given, dict) or not isinstance(given.get("parts"), list):
        return given
    texts = [
        {"type": "text", "text": part["content"]}
        for part in given["parts"]
        if isinstance(part, dict) and isinstance(part.get("content"), str) and part.get("type", "text") == "text"
    ]
    return {"role": given.get("role"), "content": texts}


def indexed(given: Attributes, pattern: str) -> list[object]:
    """Messages that are written key by key; their content may be one text or a list of parts."""
    messages: list[object] = []
    for i in range(_MOST_INDEXED):
        prefix = pattern.format(i=i)
        text = next((value for key in _CONTENT if (value := given.get(f"{prefix}.{key}")) is not None), None)
        held = parsed(text) if text is not None else _parts(given, prefix)
        if held is None and f"{prefix}.role" not in given:
            break
        messages.append({"role": given.get(f"{prefix}.role") or "user", "content": held})
    return messages


def _parts(given: Attributes, prefix: str) -> list[dict[str, object]] | None:
    """The parts of a message's content: texts, and the kinds of the others."""
    parts: list[dict[str, object]] = []
    for i in range(_MOST_INDEXED):
        part = f"{prefix}.contents.{i}.message_content"
        kind, text = given.get(f"{part}.type"), given.get(f"{part}.text")
        if kind is None and text is None:
            break
        parts.append({"type": kind or "text"} | ({"text": text} if isinstance(text, str) else {}))
    return parts or None


def tools(given: Attributes) -> list[object]:
    """The tools that a call offers, as one attribute lists them or as one attribute each."""
    if FIRST_TOOLS.isdisjoint(given):
        return []
    for name in names.TOOLS:
        found = parsed(given[name]) if name in given else None
        if isinstance(found, list) and found:
            return [parsed(tool) for tool in found]
    for pattern in names.TOOLS_INDEXED:
        listed = _until_missing(given, pattern)
        if listed:
            return [parsed(tool) for tool in listed]
    prefix, parts = names.TOOLS_SPREAD
    spread: list[object] = []
    for i in range(_MOST_INDEXED):
        place = prefix.format(i=i)
        if f"{place}.name" not in given:
            break
        spread.append({part: parsed(given[f"{place}.{part}"]) for part in parts if f"{place}.{part}" in given})
    return spread


def _until_missing(given: Attributes, pattern: str) -> list[object]:
    found: list[object] = []
    for i in range(_MOST_INDEXED):
        value = given.get(pattern.format(i=i))
        if value is None:
            break
        found.append(value)
    return found


def _whole(values: Attributes) -> Attributes:
    """The attributes of an event, with those that one of them holds as JSON."""
    held = parsed(values[names.EVENT_CONTENT]) if names.EVENT_CONTENT in values else None
    return {**values, **held} if isinstance(held, dict) else values


def listed_events(given: Attributes) -> list[tuple[str, Attributes]]:
    """The events that one attribute lists."""
    held = parsed(given[names.EVENTS]) if names.EVENTS in given else None
    listed = held if isinstance(held, list) else []
    return [(str(one.get("event.name")), one) for one in listed if isinstance(one, dict)]


def _says_something(message: object) -> bool:
    """Whether a message holds any text; of most, its first part tells."""
    if isinstance(message, dict) and "message" not in message:
        content = message.get("content")
        if isinstance(content, list) and content and isinstance(content[0], dict):
            content = content[0].get("text")
        if content and isinstance(content, str):
            return True
    return bool(said(message))


def has_text(messages: object) -> bool:
    """Whether messages hold any text: some instrumentations write roles only."""
    if isinstance(messages, list):
        return any(map(_says_something, messages))
    if isinstance(messages, dict):
        return not messages.keys() <= names.BESIDE
    return bool(messages)


def from_events(events: list[tuple[str, Attributes]], row: dict[str, object]) -> None:
    """Fill prompt and answer from events, one per message; what is filled already stays."""
    events = [(name, _whole(values)) for name, values in events]
    messages = [
        {"role": names.MESSAGE_EVENTS[name], "content": parsed(values.get("content"))}
        for name, values in events
        if name in names.MESSAGE_EVENTS
    ]
    if messages and not has_text(row.get("messages")):
        beside = row.get("messages")
        row["messages"] = {**beside, "messages": messages} if isinstance(beside, dict) else messages
    for name, values in events:
        if name == names.CHOICE_EVENT:
            put(row, "stop_reason", values.get("finish_reason"))
            put(row, "response_text", said({"message": parsed(values.get("message"))}) or values.get("content"))
