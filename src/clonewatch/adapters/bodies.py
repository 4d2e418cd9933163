"""Request and response bodies of the model APIs, read into exchange columns.

Clients write request bodies, so no part of one may reject the row: a parameter of a wrong type or range is dropped.
The column `messages` takes the whole request body as it is; fingerprinting finds the prompt, system prompt, tools and
answer format in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from clonewatch.adapters.event_streams import assembled
from clonewatch.adapters.placeholders import unwrapped
from clonewatch.adapters.rows import fix
from clonewatch.adapters.values import real, text, truth, whole
from clonewatch.model.schema import END_USER_PROVENANCE, EXCHANGES, Column

Row = dict[str, object]
_, GATEWAY, CLAIMED = END_USER_PROVENANCE
_READ: dict[str, Callable[[Any, Column], Any]] = {
    "string": text,
    "int16": whole,
    "int32": whole,
    "float32": real,
    "bool": truth,
}
_READERS = {c.name: (_READ[c.type], c) for c in EXCHANGES.columns if c.type in _READ}
_decode = msgspec.json.Decoder().decode

# Request keys and their columns, in order of preference.
_OPENAI = {
    "stream": "stream",
    "temperature": "temperature",
    "top_p": "top_p",
    "n": "n",
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "max_tokens": "max_tokens",
}
_ANTHROPIC = {key: key for key in ("stream", "temperature", "top_p", "max_tokens")}
_MOST_ENCODED = 4  # times that loggers on the way put JSON into text again
_OPENS = ("{", "[", '"')
_OPENS_IN_BASE64 = ("ey", "ew", "W3", "Ww")  # an object or a list, of which the first name or item may be on a new line
_MOST_STOP = 64  # a stop reason is a short word; anything longer is dropped


def fit(column: str, value: object) -> Any:
    """The value in the type of its column, None if it does not fit.

    >>> fit("max_tokens", "256"), fit("max_tokens", -1), fit("temperature", "hot"), fit("n", 10**9)
    (256, None, None, None)
    """
    if value is None or value == "":
        return None
    read, meaning = _READERS[column]
    return read(value, meaning)


def put(row: Row, column: str, *values: object) -> None:
    """Fill a column with the first value that fits, unless it is filled already."""
    if row.get(column) is None:
        for value in values:
            if value is not None and value != "":
                read, meaning = _READERS[column]
                if (fitting := read(value, meaning)) is not None:
                    row[column] = fitting
                    return


def claimed(row: Row, *values: object) -> None:
    """Fill the end user with the first value that fits, unless it is filled: the client wrote it, so it is a claim."""
    if row.get("end_user_id") is None:
        put(row, "end_user_id", *values)
        if row.get("end_user_id") is not None:
            row["end_user_provenance"] = CLAIMED


def _asked(request: Mapping[str, object], parameters: Mapping[str, str], row: Row) -> None:
    """Fill the parameters that a request has, which are few."""
    for key in parameters:
        if key in request:
            put(row, parameters[key], request[key])


def openai(request: Mapping[str, object], response: object, row: Row) -> None:
    """Fill `row` from a chat completion, completion, response or embedding; what is filled already stays."""
    _asked(request, _OPENAI, row)
    if "user" in request or "safety_identifier" in request:
        claimed(row, request.get("safety_identifier"), request.get("user"))
    if "tools" in request or "functions" in request:
        put(row, "tools_count", _length(request.get("tools")), _length(request.get("functions")))
    asked = request.get("logprobs")
    row["logprobs"] = (asked is not None and asked is not False) or bool(request.get("top_logprobs"))
    if "conversation" in request:
        put(row, "session_id", _id_of(request["conversation"]))
    answer = response if isinstance(response, dict) else assembled(response)
    put(row, "operation", _openai_operation(request, answer))
    if not answer:
        put(row, "model", request.get("model"))
        return
    choice = _choice(answer.get("choices"))
    put(row, "model", answer.get("model"), request.get("model"))
    row["exchange_id"] = row.get("exchange_id") or fit("exchange_id", answer.get("id"))
    put(row, "stop_reason", word(choice.get("finish_reason")))
    if "output" in answer or answer.get("object") == "response":  # the status of other objects is no end of an answer
        incomplete = inner(answer, "incomplete_details").get("reason")
        put(row, "stop_reason", word(incomplete), word(answer.get("status")))
    if usage := inner(answer, "usage"):
        _tokens(usage, row)
    message = inner(choice, "message")
    said = content_text(message.get("content")) or content_text(choice.get("text")) or output_text(answer.get("output"))
    put(row, "response_text", said or message.get("refusal"))


def _tokens(usage: Mapping[str, object], row: Row) -> None:
    put(row, "input_tokens", usage.get("prompt_tokens"), usage.get("input_tokens"))
    put(row, "output_tokens", usage.get("completion_tokens"), usage.get("output_tokens"))
    if details := inner(usage, "completion_tokens_details") or inner(usage, "output_tokens_details"):
        put(row, "reasoning_tokens", details.get("reasoning_tokens"))
    if details := inner(usage, "prompt_tokens_details") or inner(usage, "input_tokens_details"):
        put(row, "cached_tokens", details.get("cached_tokens"))


def anthropic(request: Mapping[str, object], response: object, row: Row) -> None:
    """Fill `row` from a messages exchange; what is filled already stays."""
    _asked(request, _ANTHROPIC, row)
    if "tools" in request:
        put(row, "tools_count", _length(request["tools"]))
    if "metadata" in request:
        claimed(row, inner(request, "metadata").get("user_id"))
    put(row, "signature_id", _signature(request.get("messages")))
    put(row, "operation", "batch" if "requests" in request and "messages" not in request else "chat")
    answer = response if isinstance(response, dict) else assembled(response)
    put(row, "model", answer.get("model"), request.get("model"))
    row["exchange_id"] = row.get("exchange_id") or fit("exchange_id", answer.get("id"))
    put(row, "stop_reason", word(answer.get("stop_reason")))
    usage = inner(answer, "usage")
    cached = fit("cached_tokens", usage.get("cache_read_input_tokens"))
    fresh = [fit("input_tokens", usage.get(k)) for k in ("input_tokens", "cache_creation_input_tokens")]
    if fresh[0] is not None:
        # This API counts cached tokens separately; the column counts all input tokens.
        put(row, "input_tokens", sum(filter(None, [*fresh, cached])))
    put(row, "cached_tokens", cached)
    put(row, "output_tokens", usage.get("output_tokens"))
    put(row, "response_text", content_text(answer.get("content")))


def parsed(value: object) -> object:
    r"""A body as logged: an object stays, JSON in text is parsed (also twice encoded, or in base64), other text stays.

    >>> parsed('{"n": 1}'), parsed('"{\\"n\\": 1}"'), parsed('"quoted"')
    ({'n': 1}, {'n': 1}, '"quoted"')
    """
    if isinstance(value, str) and value[:1] == "{":  # by far the most
        return decoded(value)
    if isinstance(value, msgspec.Raw):
        value = _unpacked(value)
    for _ in range(_MOST_ENCODED):
        if not isinstance(value, str):
            break
        if value[:2] in _OPENS_IN_BASE64:
            value = unwrapped(value) or value
        if value[:1] not in _OPENS:
            break
        try:
            held = _decode(value)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            break  # truncated by the logger: its text is still a prompt
        if isinstance(held, str) and held[:1] not in _OPENS:
            break  # a prompt in quotes
        value = held
    return value


def decoded(text: str) -> object:
    """What a JSON text says; the text itself where it is none."""
    try:
        return _decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return text


def _unpacked(raw: msgspec.Raw) -> object:
    held = bytes(memoryview(raw))
    for attempt in (bytes, fix) if held else ():
        try:
            return _decode(attempt(held))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue  # fixed once; then kept as text: it is odd, but the client sent it
    return held.decode("utf-8", "replace") or None


def content_text(content: object) -> str:
    r"""The text of a message's content: text itself, or the text parts of a list joined.

    >>> content_text([{"type": "text", "text": "a"}, {"type": "image"}, {"text": "b"}])
    'a\nb'
    """
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (part.get("text") if isinstance(part, dict) else part for part in content)
    return "\n".join(part for part in parts if isinstance(part, str))


def inner(value: object, key: str) -> dict[str, object]:
    """The object under a key, also one that was put into text as JSON; empty if there is none.

    >>> inner({"usage": '{"total_tokens": 4}'}, "usage"), inner({"usage": "4"}, "usage")
    ({'total_tokens': 4}, {})
    """
    if value is None or (value.__class__ is not dict and not isinstance(value, Mapping)):
        return {}
    found = value.get(key)
    if found.__class__ is dict:
        return found
    if found.__class__ is str and found[:1] == "{":
        found = parsed(found)
    return found if isinstance(found, dict) else {}


def first(value: object) -> dict[str, object]:
    """The first object of a list; empty if there is none."""
    return value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else {}


def _choice(choices: object) -> dict[str, object]:
    """The first of several choices, which may be listed in another order."""
    found = first(choices)
    if found.get("index", 0) == 0 or not isinstance(choices, list):
        return found
    return next((c for c in choices if isinstance(c, dict) and c.get("index") == 0), found)


def word(value: object) -> str | None:
    """A stop reason; anything longer than one is dropped."""
    return value if isinstance(value, str) and len(value) <= _MOST_STOP else None


def _length(value: object) -> int | None:
    return len(value) if isinstance(value, list) else None


def _id_of(value: object) -> object:
    return value.get("id") if isinstance(value, dict) else value


def _openai_operation(request: Mapping[str, object], answer: Mapping[str, object]) -> str | None:
    kind = answer.get("object")
    if kind == "batch" or "input_file_id" in request:
        return "batch"
    if ("prompt" in request and "input" not in request) or kind == "text_completion":
        return "completion"
    if (
        _are_texts(request.get("input"))
        or ("data" in answer and "embedding" in first(answer["data"]))
        or (kind == "list" and "input" in request)
        or "encoding_format" in request
    ):
        return "embedding"
    return "chat" if "messages" in request or "input" in request else None


def _are_texts(asked: object) -> bool:
    """Whether an input is a list of texts, or of their tokens, as only embeddings take."""
    return isinstance(asked, list) and bool(asked) and not isinstance(asked[0], dict)


def output_text(output: object) -> str:
    """The text of a response's output items."""
    if not isinstance(output, list):
        return ""
    return "\n".join(filter(None, (content_text(inner({"i": item}, "i").get("content")) for item in output)))


def _signature(messages: object) -> str | None:
    """An id for the last reasoning signature returned in the conversation: a hash, as signatures are long."""
    for message in reversed(messages if isinstance(messages, list) else []):
        content = message.get("content") if isinstance(message, dict) else None
        for part in reversed(content if isinstance(content, list) else []):
            signature = part.get("signature") if isinstance(part, dict) else None
            if isinstance(signature, str) and signature:
                return blake2b(signature.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return None
