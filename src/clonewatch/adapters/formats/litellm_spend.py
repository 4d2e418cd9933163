"""LiteLLM's spend table (LiteLLM_SpendLogs) exported as JSON lines or CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from clonewatch.adapters import litellm_facts as facts
from clonewatch.adapters.bodies import inner, parsed, put
from clonewatch.adapters.csv_rows import csv_rows, first_line, header
from clonewatch.adapters.headers import fill_from_headers
from clonewatch.adapters.mapped import assemble
from clonewatch.adapters.outline import outline
from clonewatch.adapters.rows import Rows, rows
from clonewatch.adapters.streams import head_of
from clonewatch.adapters.wrappings import sampled
from clonewatch.ports.adapter import Adapter, Batch, Source
from clonewatch.ports.mapping import FieldMap

_SIGNS = {"request_id", "startTime", "api_key", "call_type", "spend"}


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
    held = parsed(line.get("metadata"))
    about = held if isinstance(held, dict) else {}
    row: dict[str, object] = {
        "exchange_id": facts.call_id(line.get("litellm_call_id"), line.get("request_id")),
        "ts": line.get("startTime"),
        "account_id": facts.account(line, about),
        "org_id": line.get("organization_id") or about.get("user_api_key_org_id"),
        "api_key_id": line.get("api_key") or about.get("user_api_key_hash"),
    }
    facts.end_user(row, line.get("end_user"), about.get("user_api_key_end_user_id"))
    put(row, "session_id", line.get("session_id"))
    put(row, "model", line.get("model_group"), line.get("model"))
    put(row, "client_ip", line.get("requester_ip_address"), about.get("requester_ip_address"))
    put(row, "user_agent", about.get("user_agent"))
    facts.user_agent(line.get("request_tags"), row)
    put(row, "operation", facts.operation(line.get("call_type")))
    put(row, "input_tokens", line.get("prompt_tokens"))
    put(row, "output_tokens", line.get("completion_tokens"))
    if isinstance(usage := about.get("usage_object"), dict):
        facts.usage(usage, row)
    row["status"] = facts.status(about.get("error_information"), line.get("status"), about.get("status"))
    put(row, "latency_ms", line.get("request_duration_ms"))
    facts.latency(line.get("startTime"), line.get("endTime"), row)
    body = _request(line)
    # A failed call has its client only beside the body that the proxy kept.
    if kept := inner(body, "litellm_metadata") or inner(body, "metadata"):
        put(row, "client_ip", kept.get("requester_ip_address"))
        put(row, "user_agent", kept.get("user_agent"))
    fill_from_headers(inner(kept, "headers") or inner(inner(line, "proxy_server_request"), "headers"), row)
    facts.bodies(body, line.get("response"), row, facts.wire(line.get("call_type")))
    return row


def _request(line: Mapping[str, object]) -> object:
    """The request body: as the proxy received it, otherwise the messages alone."""
    for key in ("proxy_server_request", "messages"):
        body = parsed(line.get(key))
        if isinstance(body, dict) and isinstance(body.get("body"), dict):
            body = body["body"]
        if not facts.is_empty(body):
            return body
    return None


ADAPTER = LiteLLMSpend()
