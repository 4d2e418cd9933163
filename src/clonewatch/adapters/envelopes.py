"""A logged API call: the gateway's own facts around a request body and a response body, under several names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from clonewatch.adapters.any_body import Wire, fill_from_bodies
from clonewatch.adapters.bodies import GATEWAY, fit, parsed, put
from clonewatch.adapters.field_paths import ABSENT
from clonewatch.adapters.headers import fill_from_headers
from clonewatch.adapters.mapped import assemble
from clonewatch.adapters.operations import operation
from clonewatch.adapters.outline import outline
from clonewatch.adapters.rows import rows
from clonewatch.adapters.values import MISSING
from clonewatch.model.schema import EXCHANGES, FINGERPRINT_COLUMNS, TEXT_COLUMNS
from clonewatch.ports.adapter import Batch, Source
from clonewatch.ports.mapping import FieldMap

# Column -> its possible keys beside the bodies, in order of preference. A raw API key is never read.
SPELLINGS: dict[str, tuple[str, ...]] = {
    "exchange_id": ("exchange_id", "request_id", "id"),
    "ts": ("ts", "timestamp", "time", "@timestamp", "created_at", "start_time", "startTime"),
    "account_id": ("account_id", "account", "customer_id", "project_id", "tenant_id", "workspace_id"),
    "org_id": ("org_id", "organization_id", "organization"),
    "api_key_id": ("api_key_id", "key_id", "api_key_hash"),
    "end_user_id": ("end_user_id",),
    "session_id": ("session_id", "conversation_id", "trace_id"),
    "status": ("status", "status_code"),
    "latency_ms": ("latency_ms", "duration_ms"),
    "client_ip": ("client_ip", "ip", "remote_addr"),
    "user_agent": ("user_agent",),
    "tls_fingerprint": ("tls_fingerprint", "ja4"),
}
REQUESTS = ("request", "request_body", "body")
RESPONSES = ("response", "response_body", "response_chunks")
_PLAIN = tuple(
    c.name for c in EXCHANGES.columns if c.name not in SPELLINGS and c.name not in TEXT_COLUMNS + FINGERPRINT_COLUMNS
)
_PATHS = ("path", "url", "uri")
_LONGEST_PATH = 1024
# Gemini: models/NAME:generateContent; Azure: deployments/NAME/...; Bedrock: model/NAME/invoke.
_MODEL_IN_PATH = re.compile(r"/(?:models?|deployments)/([^/:?]{1,128})[/:]?([a-zA-Z-]{0,40})")
_UNREAD = msgspec.Raw(b"")
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_value = msgspec.json.Decoder().decode
_OPENAI_ANSWER = ("choices", "output", "object", "data")
_OPENAI_REQUEST = ("input", "instructions", "prompt", "max_completion_tokens", "response_format", "stream_options")
_OTHER_REQUEST = ("messages", "message", "inputs", "inputText", "texts")  # of engines and vendors beside them
_ANTHROPIC_REQUEST = ("system", "anthropic_version", "stop_sequences", "thinking")


def wire(head: bytes) -> Wire | None:
    """The API of the first logged call of a file, None if it is not a call with a request body.

    >>> wire(b'{"ts": 1, "account_id": "a", "request": {"messages": []}, "response": {"choices": []}}')
    'openai'
    >>> wire(b'{"ts": 1, "request": {"system": "x", "messages": [], "max_tokens": 5}}')
    'anthropic'
    """
    keys = outline(head)
    request = _under(keys, REQUESTS)
    if request is not None and "contents" in request and "messages" not in request:
        return "gemini" if any(key in keys for key in SPELLINGS["ts"]) else None
    if request is None or not any(key in keys for key in SPELLINGS["ts"]):
        return None
    response = _under(keys, RESPONSES) or {}
    if any(key in response for key in _OPENAI_ANSWER):
        return "openai"
    path = next((keys[k] for k in ("path", "url", "request.path", "request.url") if keys.get(k)), "")
    if (
        path.split("?")[0].endswith("/v1/messages")
        or "stop_reason" in response
        or response.get("type")
        in (
            "message",
            "message_start",
        )
    ):
        return "anthropic"
    if any(key in request for key in _OPENAI_REQUEST):
        return "openai"
    if any(key in request for key in _ANTHROPIC_REQUEST) or request.get("model", "").startswith("claude"):
        return "anthropic"
    return "openai" if any(key in request for key in _OTHER_REQUEST) else None


def _under(keys: Mapping[str, str], names: tuple[str, ...]) -> Mapping[str, str] | None:
    """Keys of the body under the first of these names: of an object, of its `body`, or of JSON in text."""
    name = next((n for n in names if n in keys), None)
    if name is None:
        return None
    for prefix in (f"{name}.body", name):
        inside = {k.removeprefix(prefix + "."): v for k, v in keys.items() if k.startswith(prefix + ".")}
        if inside:
            return inside
        if keys.get(prefix):
            try:
                held = _value(b'"' + keys[prefix].encode() + b'"')
            except (msgspec.MsgspecError, ValueError):
                continue  # a number, or text with invalid escapes: not a body
            body = held.removeprefix("event: message_start\n").removeprefix("data:").lstrip().encode()
            if inner_keys := outline(body):
                return inner_keys
    return {}


def read_calls(source: Source, mapping: FieldMap | None, api: Wire) -> Iterator[Batch]:
    """Logged calls of one API as exchanges. mapping: fields that take precedence over the names known here."""
    for part in rows(source.stream, source.name, lambda line: call(_decode(line), api)):
        yield assemble(part, source, mapping)


def call(line: dict[str, msgspec.Raw], api: Wire) -> dict[str, object]:
    """One logged call as a row: column -> value; bodies may be objects, JSON as text, or wrapped with their headers."""
    row: dict[str, object] = {}
    for column, keys in SPELLINGS.items():
        for key in keys:
            if key in line and (value := _value(line[key])) is not None and not _no_id(column, value):
                row.setdefault(column, value)
                if _is_one(column, value):
                    row[column] = value
                    break
    for column in _PLAIN:
        if column in line:
            row[column] = _value(line[column])
    request_raw = next((line[k] for k in REQUESTS if k in line), _UNREAD)
    request = parsed(request_raw)
    response = parsed(next((line[k] for k in RESPONSES if k in line), _UNREAD))
    headers = _logged_headers(line) or (request.get("headers") if isinstance(request, dict) else None)
    wrapped = isinstance(request, dict) and "body" in request
    body = parsed(request["body"]) if isinstance(request, dict) and wrapped else request
    if isinstance(response, dict):
        put(row, "status", response.get("status_code"), response.get("status"))
        if "body" in response:
            response = parsed(response["body"])
    if fit("end_user_id", row.get("end_user_id")) is not None and row.get("end_user_provenance") is None:
        row["end_user_provenance"] = GATEWAY  # logged beside the bodies: the gateway knows it
    if headers:
        fill_from_headers(headers, row)
    if not fill_from_bodies(body, response, row, api):
        row["messages"] = _body_text(request_raw, body, wrapped)
    around = request if wrapped and isinstance(request, dict) else {}
    for key in _PATHS:
        path = parsed(line[key]) if key in line else around.get(key)
        if isinstance(path, str):
            _from_path(path, row, "operation" in line)
            break
    return row


def _from_path(path: str, row: dict[str, object], told: bool) -> None:
    """Fill the model, and whether the answer was streamed, from the path: some APIs name them nowhere else.

    It also says what the call asked for, better than the body, unless the gateway told.
    """
    said = operation(path)
    if said is not None and not told:
        row["operation"] = None if said == ABSENT else said
    if found := _MODEL_IN_PATH.search(path[:_LONGEST_PATH]):
        put(row, "model", found[1])
        put(row, "stream", "stream" in found[2].lower() if found[2] else None)


def _is_one(column: str, value: object) -> bool:
    """Whether a value can be that of its column; a later key may hold one that can, as beside `"status": "success"`."""
    return fit(column, value) is not None if column == "status" else not isinstance(value, dict)


def _no_id(column: str, value: object) -> bool:
    """Whether a value is a word such as "None" where the id of the call belongs."""
    return column == "exchange_id" and isinstance(value, str) and value in MISSING


def _logged_headers(line: dict[str, msgspec.Raw]) -> object:
    """The request headers logged beside the bodies, under `headers` or `request_headers`."""
    raw = line.get("headers") or line.get("request_headers")
    return None if raw is None else parsed(raw)


def _body_text(raw: msgspec.Raw, body: object, wrapped: bool) -> str | None:
    if isinstance(body, str):
        return body
    if body is None:
        return None
    text = str(memoryview(raw), "utf-8")
    if not wrapped and text[:1] == "{":
        return text
    return msgspec.json.encode(body).decode()
