"""LiteLLM's spend table (LiteLLM_SpendLogs) exported as JSON lines or CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from clonewatch.adapters.bodies import content_text, first, inner, parsed, put
from clonewatch.adapters.csv_rows import csv_rows, first_line, header
from clonewatch.adapters.instants import instant
from clonewatch.adapters.mapped import assemble
from clonewatch.adapters.outline import outline
from clonewatch.adapters.rows import Rows, rows
from clonewatch.adapters.streams import head_of
from clonewatch.adapters.wrappings import sampled
from clonewatch.ports.adapter import Adapter, Batch, Source
from clonewatch.ports.mapping import FieldMap

_SIGNS = {"request_id", "startTime", "api_key", "call_type", "spend"}
_OPERATIONS = {"completion": "chat", "text_completion": "completion", "embedding": "embedding", "responses": "chat"}
_EMPTY_TEXTS = ("", "{}", "[]", "null")


class LiteLLMSpend(Adapter):
    """Reads rows of the spend table; prompts are present only if LiteLLM was configured to store them."""

    name = "litellm_spend"
    summary = "LiteLLM_SpendLogs rows, JSON lines or CSV"
    account_hint = "give LiteLLM's virtual keys a user or a team (columns `user`, `team_id`)"

    def claims(self, head: bytes, name: str) -> bool:
        """Whether the first object, or the header line, has the table's columns."""
        keys = outline(head)
        return keys.keys() >= _SIGNS if keys else set(header(first_line(head))) >= _SIGNS

    def read(self, source: Source, mapping: FieldMap | None) -> Iterator[Batch]:
        """Batches of up to 32,768 rows."""
        if sampled(head_of(source.stream)):
            decode = msgspec.json.Decoder(dict[str, object]).decode
            for part in rows(source.stream, source.name, lambda line: spend_row(decode(line))):
                yield assemble(part, source, mapping)
            return
        for names, cells, numbers, rejected in csv_rows(source):
            logged = [dict(zip(names, row, strict=True)) for row in cells]
            lines = [msgspec.json.encode(row) for row in logged] if mapping else []
            yield assemble(Rows([spend_row(row) for row in logged], numbers, lines, rejected), source, mapping)


def spend_row(line: Mapping[str, object]) -> dict[str, object]:
    """One row of the table as exchange columns. The account is the key's user, then its team, then the key's hash."""
    row: dict[str, object] = {
        "exchange_id": line.get("litellm_call_id") or line.get("request_id"),
        "ts": line.get("startTime"),
        "account_id": line.get("user") or line.get("team_id") or line.get("api_key"),
        "org_id": line.get("organization_id"),
        "api_key_id": line.get("api_key"),
        "end_user_id": line.get("end_user"),
    }
    about = parsed(line.get("metadata"))
    put(row, "session_id", line.get("session_id"))
    put(row, "model", line.get("model_group"), line.get("model"))
    put(row, "client_ip", line.get("requester_ip_address"), inner({"m": about}, "m").get("requester_ip_address"))
    put(row, "operation", _OPERATIONS.get(str(line.get("call_type")).removeprefix("a")))
    put(row, "input_tokens", line.get("prompt_tokens"))
    put(row, "output_tokens", line.get("completion_tokens"))
    if line.get("status") == "success":
        row["status"] = 200
    start, end = instant(line.get("startTime")), instant(line.get("endTime"))
    if start is not None and end is not None and end >= start:
        put(row, "latency_ms", (end - start) // 1000)
    _texts(line, row)
    return row


def _texts(line: Mapping[str, object], row: dict[str, object]) -> None:
    asked, said = line.get("proxy_server_request"), parsed(line.get("response"))
    for value in (line.get("messages"), asked):
        if value and (not isinstance(value, str) or value.strip() not in _EMPTY_TEXTS):
            row["messages"] = value
            break
    choice = first(inner({"r": said}, "r").get("choices"))
    put(row, "stop_reason", choice.get("finish_reason"))
    put(row, "response_text", content_text(inner(choice, "message").get("content")))


ADAPTER = LiteLLMSpend()
