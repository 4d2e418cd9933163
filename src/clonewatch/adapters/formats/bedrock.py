"""Amazon Bedrock's model invocation log: JSON lines with the caller's identity and both bodies."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from clonewatch.adapters.bodies import anthropic, converse, inner, openai, parsed, put
from clonewatch.adapters.mapped import assemble
from clonewatch.adapters.outline import outline
from clonewatch.adapters.rows import rows
from clonewatch.ports.adapter import Adapter, Batch, Source
from clonewatch.ports.mapping import FieldMap

_CHANNEL = "cloud"


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
        for part in rows(source.stream, source.name, lambda line: record(decode(line))):
            yield assemble(part, source, mapping)


def record(line: dict[str, object]) -> dict[str, object]:
    """One record as a row: column -> value. The account is identity.arn, the caller."""
    given, made = inner(line, "input"), inner(line, "output")
    request, response = parsed(given.get("inputBodyJson")), parsed(made.get("outputBodyJson"))
    row: dict[str, object] = {
        "exchange_id": line.get("requestId"),
        "ts": line.get("timestamp"),
        "account_id": inner(line, "identity").get("arn"),
        "channel": _CHANNEL,
    }
    put(row, "model", line.get("modelId"))
    put(row, "input_tokens", given.get("inputTokenCount"))
    put(row, "output_tokens", made.get("outputTokenCount"))
    if "errorCode" not in line:
        row["status"] = 200
    operation = str(line.get("operation", ""))
    body = request if isinstance(request, dict) else {}
    put(row, "stream", "Stream" in operation)
    if operation.startswith("Converse"):
        converse(body, response, row)
        row["messages"] = _converse_body(body)
        return row
    if "anthropic_version" in body or "anthropic" in str(row.get("model")):
        anthropic(body, response, row)
    else:
        openai(body, response, row)
    row["messages"] = request
    return row


def _converse_body(body: dict[str, object]) -> dict[str, object] | None:
    if not isinstance(body.get("messages"), list):
        return None
    whole: dict[str, object] = {"messages": body["messages"]}
    if body.get("system"):
        whole["system"] = body["system"]
    if tools := inner(body, "toolConfig").get("tools"):
        whole["tools"] = tools
    return whole


ADAPTER = Bedrock()
