"""Reassembles streamed answers from their server-sent events."""

from __future__ import annotations

import msgspec

_decode = msgspec.json.Decoder().decode


def events(logged: object) -> list[dict[str, object]]:
    r"""The data of each event, from raw event-stream text, or from a list of such texts or of decoded objects.

    Anything but a JSON object is skipped: a truncated stream still yields the events before the cut.

    >>> events('event: x\ndata: {"a": 1}\n\ndata: [DONE]\n')
    [{'a': 1}]
    """
    if isinstance(logged, list):
        return [event for item in logged for event in ([item] if isinstance(item, dict) else events(item))]
    if not isinstance(logged, str):
        return []
    found = []
    for line in logged.splitlines():
        data = line.strip()
        if data.startswith("data:"):
            data = data[5:].strip()
        if data.startswith("{"):
            try:
                found.append(_decode(data))
            except (msgspec.MsgspecError, ValueError, RecursionError):
                continue  # a chunk truncated by the logger
    return found


def assembled(logged: object) -> dict[str, object]:
    """The answer as it would be without streaming; empty if nothing can be reassembled.

    Understands the chunks of chat completions, the events of responses and those of messages.

    >>> assembled(['data: {"choices": [{"delta": {"content": "He"}}]}',
    ...            'data: {"choices": [{"delta": {"content": "y"}, "finish_reason": "stop"}]}'])["choices"][0]
    {'message': {'content': 'Hey'}, 'finish_reason': 'stop'}
    """
    parts = events(logged)
    kinds = {kind for part in parts if isinstance(kind := part.get("type"), str)}
    if any(kind.startswith("response.") for kind in kinds):
        return _responses(parts)
    if "message_start" in kinds or "content_block_delta" in kinds:
        return _messages(parts)
    if any("choices" in part for part in parts):
        return _chat(parts)
    return {}


def _chat(parts: list[dict[str, object]]) -> dict[str, object]:
    whole: dict[str, object] = {}
    texts: list[str] = []
    finish = None
    for part in parts:
        for key in ("id", "model", "object", "usage"):
            if part.get(key):
                whole[key] = part[key]
        for choice in _objects(part.get("choices")):
            if choice.get("index", 0) == 0:
                texts.append(_text(choice.get("delta"), "content") or _text(choice, "text"))
                finish = choice.get("finish_reason") or finish
    return whole | {"choices": [{"message": {"content": "".join(texts)}, "finish_reason": finish}]}


def _responses(parts: list[dict[str, object]]) -> dict[str, object]:
    for part in reversed(parts):
        if part.get("type") in ("response.completed", "response.incomplete", "response.failed"):
            final = part.get("response")
            if isinstance(final, dict):
                return final
    whole = next((_object(p["response"]) for p in parts if isinstance(p.get("response"), dict)), {})
    texts = [_text(p, "delta") for p in parts if p.get("type") == "response.output_text.delta"]
    return {**whole, "output": [{"type": "message", "content": [{"type": "output_text", "text": "".join(texts)}]}]}


def _messages(parts: list[dict[str, object]]) -> dict[str, object]:
    whole: dict[str, object] = {}
    usage: dict[str, object] = {}
    texts: list[str] = []
    for part in parts:
        kind = part.get("type")
        if kind == "message_start" and isinstance(message := part.get("message"), dict):
            whole = dict(message)
            usage |= _object(whole.get("usage"))
        elif kind == "content_block_delta":
            texts.append(_text(part.get("delta"), "text"))
        elif kind == "message_delta":
            whole |= {k: v for k, v in _object(part.get("delta")).items() if v is not None}
            usage |= _object(part.get("usage"))
    return whole | {"content": [{"type": "text", "text": "".join(texts)}], "usage": usage}


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[dict[str, object]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def _text(value: object, key: str) -> str:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
