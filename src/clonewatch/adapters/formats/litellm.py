"""LiteLLM's own log: StandardLoggingPayload objects, as lines, as an array, or concatenated."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from clonewatch.adapters import litellm_facts as facts
from clonewatch.adapters.bodies import inner, parsed, put
from clonewatch.adapters.headers import fill_from_headers
from clonewatch.adapters.mapped import assemble
from clonewatch.adapters.outline import outline
from clonewatch.adapters.rows import rows
from clonewatch.ports.adapter import Adapter, Batch, Source
from clonewatch.ports.mapping import FieldMap

# Parameters that belong to the request body, beside its messages.
_ASKED = (
    "tools", "functions", "response_format", "stop", "stop_sequences", "instructions", "system", "temperature",
    "top_p", "n", "stream", "max_tokens", "max_completion_tokens", "max_output_tokens", "logprobs",
    "top_logprobs", "text", "thinking",
)  # fmt: skip
_PLACES = {key: place for place, key in enumerate(_ASKED)}


class LiteLLM(Adapter):
    """Reads the payloads that LiteLLM's callbacks write."""

    name = "litellm"
    summary = "LiteLLM StandardLoggingPayload"
    account_hint = (
        "give LiteLLM's virtual keys a user or a team (metadata.user_api_key_user_id, metadata.user_api_key_team_id), "
        "or map the field that holds the account"
    )

    def claims(self, head: bytes, name: str) -> bool:
        """Whether the first object has LiteLLM's call id and its name for the time."""
        keys = outline(head)
        if {"spend", "request_id"} <= keys.keys():
            return False  # a row of the spend table, which has a call id too
        return (
            "startTime" in keys and "call_type" in keys and bool({"litellm_call_id", "model_parameters"} & keys.keys())
        )

    def read(self, source: Source, mapping: FieldMap | None) -> Iterator[Batch]:
        """Batches of up to 32,768 payloads."""
        decode = msgspec.json.Decoder(dict[str, object]).decode
        for part in rows(source.stream, source.name, lambda line: payload(decode(line))):
            yield assemble(part, source, mapping)


def payload(line: dict[str, object]) -> dict[str, object]:
    """One payload as a row: column -> value. The account is the key's user, then its team, then the key itself."""
    about = inner(line, "metadata")
    asked = inner(line, "model_parameters")
    row: dict[str, object] = {
        # The gateway's own id: that of the response is chosen by whatever server answered.
        "exchange_id": facts.call_id(line.get("litellm_call_id"), line.get("id")),
        "ts": line.get("startTime"),
        "account_id": facts.account({}, about),
        "org_id": about.get("user_api_key_org_id"),
        "api_key_id": about.get("user_api_key_hash"),
    }
    facts.end_user(row, line.get("end_user"), about.get("user_api_key_end_user_id"))
    put(row, "session_id", line.get("session_id"), line.get("trace_id"))
    put(row, "model", line.get("model_group"), line.get("model"))
    put(row, "client_ip", line.get("requester_ip_address"), about.get("requester_ip_address"))
    put(row, "user_agent", line.get("user_agent"), about.get("user_agent"))
    fill_from_headers(inner(about, "requester_metadata").get("headers"), row)
    facts.user_agent(line.get("request_tags"), row)
    put(row, "operation", facts.operation(line.get("call_type")))
    row["status"] = facts.status(line.get("error_information"), line.get("status"), line.get("error_str"))
    put(row, "stream", line.get("stream"))
    put(row, "input_tokens", line.get("prompt_tokens"))
    put(row, "output_tokens", line.get("completion_tokens"))
    facts.usage(inner(about, "usage_object"), row)
    facts.latency(line.get("startTime"), line.get("endTime"), row)
    facts.bodies(_request(line, asked), line.get("response"), row, facts.wire(line.get("call_type")))
    if "logprobs" not in asked and "top_logprobs" not in asked:
        row.pop("logprobs", None)  # the log does not list every parameter
    return row


def _request(line: dict[str, object], asked: dict[str, object]) -> dict[str, object]:
    """The request body out of messages and parameters, which LiteLLM logs apart."""
    given = [key for key in asked if key in _PLACES and asked[key] is not None]
    body = {key: asked[key] for key in (sorted(given, key=_PLACES.__getitem__) if len(given) > 1 else given)}
    messages = parsed(line.get("messages"))
    if isinstance(messages, dict):
        body |= messages
    elif isinstance(messages, list) and messages and {type(text) for text in messages} == {str}:
        body["prompt"] = "\n".join(map(str, messages))  # texts to embed
    elif not facts.is_empty(messages):
        body["messages" if isinstance(messages, list) else "prompt"] = messages
    return body


ADAPTER = LiteLLM()
