"""Amazon Bedrock's model invocation log: JSON lines with the caller's identity and both bodies."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from clonewatch.adapters import cloud_bodies
from clonewatch.adapters.any_body import fill_from_bodies
from clonewatch.adapters.bodies import inner, parsed, put
from clonewatch.adapters.mapped import assemble
from clonewatch.adapters.outline import outline
from clonewatch.adapters.rows import rows
from clonewatch.adapters.streams import notes_of
from clonewatch.adapters.values import count
from clonewatch.ports.adapter import Adapter, Batch, Source
from clonewatch.ports.mapping import FieldMap

_CHANNEL = "cloud"
_APART = "apart"  # whether a row lacks its request body, which is no column
_STORED = "Bedrock stored their bodies in objects of their own (inputBodyS3Path), which are not read"


class Bedrock(Adapter):
    """Reads `ModelInvocationLog` records; bodies in separate object storage are not read."""

    name = "bedrock"
    summary = "Amazon Bedrock model invocation log"
    account_hint = "every record should carry identity.arn; map another field to `account_id` otherwise"

    def claims(self, head: bytes, name: str) -> bool:
        """Whether the first object is such a record."""
        return outline(head).get("schemaType") == "ModelInvocationLog"

    def read(self, source: Source, mapping: FieldMap | None) -> Iterator[Batch]:
        """Batches of up to 32,768 records."""
        decode = msgspec.json.Decoder(dict[str, object]).decode
        apart = 0
        for part in rows(source.stream, source.name, lambda line: record(decode(line))):
            apart += sum(1 for row in part.rows if row.pop(_APART, False))
            yield assemble(part, source, mapping)
        if apart:
            notes_of(source.stream).warn(f"{apart:,} records have no prompt: {_STORED}")


def record(line: dict[str, object]) -> dict[str, object]:
    """One record as a row: column -> value. The account is identity.arn, the caller; an assumed role is one account."""
    given, made = inner(line, "input"), inner(line, "output")
    request, response = parsed(given.get("inputBodyJson")), parsed(made.get("outputBodyJson"))
    row: dict[str, object] = {
        "exchange_id": line.get("requestId"),
        "ts": line.get("timestamp"),
        "account_id": inner(line, "identity").get("arn"),
        "channel": _CHANNEL,
    }
    put(row, "model", _model(line.get("modelId")))
    if request is None and given.get("inputBodyS3Path"):
        row[_APART] = True
    row["status"] = _status(line)
    operation = str(line.get("operation", ""))
    body = request if isinstance(request, dict) else {}
    put(row, "stream", "Stream" in operation)
    if operation.startswith("Converse") or "toolConfig" in body:
        cloud_bodies.fill("converse", body, response, row)
    elif not fill_from_bodies(body, response, row, "anthropic" if "anthropic" in str(row.get("model")) else "openai"):
        row["messages"] = request
    parts = [count(given.get(key)) for key in _INPUT_COUNTS]
    put(row, "input_tokens", sum(filter(None, parts)) if parts[0] is not None else None)
    put(row, "cached_tokens", parts[1])
    put(row, "output_tokens", made.get("outputTokenCount"))
    return row


# Tokens read from a cache, and written to one, are counted apart; the column counts all input tokens.
_INPUT_COUNTS = ("inputTokenCount", "cacheReadInputTokenCount", "cacheWriteInputTokenCount")
_PROFILE = re.compile(r"arn:aws[\w-]*:bedrock:[^/]{0,128}(?:inference-profile|foundation-model)/(.{1,128})")


def _model(named: object) -> object:
    """The name of a model, also out of its ARN, or out of that of a profile which names it.

    >>> _model("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.m-1"), _model("amazon.m-1")
    ('us.amazon.m-1', 'amazon.m-1')
    """
    found = _PROFILE.fullmatch(named) if isinstance(named, str) else None
    return found[1] if found else named


# The service's errors as HTTP statuses.
_STATUS = {
    "ThrottlingException": 429,
    "ServiceQuotaExceededException": 429,
    "AccessDeniedException": 403,
    "ValidationException": 400,
    "ResourceNotFoundException": 404,
    "ModelTimeoutException": 408,
    "ModelErrorException": 424,
    "ModelNotReadyException": 429,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
}


def _status(line: dict[str, object]) -> int | None:
    """200, or the HTTP status of the error; None for an unknown one."""
    code = line.get("errorCode")
    return 200 if code is None else _STATUS.get(str(code))


ADAPTER = Bedrock()
