"""LiteLLM's own log: StandardLoggingPayload objects, as lines, as an array, or concatenated."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from clonewatch.adapters.bodies import content_text, first, fit, inner, put
from clonewatch.adapters.mapped import assemble
from clonewatch.adapters.outline import outline
from clonewatch.adapters.rows import rows
from clonewatch.ports.adapter import Adapter, Batch, Source
from clonewatch.ports.mapping import FieldMap

_OPERATIONS = {"completion": "chat", "text_completion": "completion", "embedding": "embedding", "responses": "chat"}
_PARAMETERS = ("temperature", "top_p", "n", "stream")


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
        "exchange_id": line.get("litellm_call_id") or line.get("id"),
        "ts": line.get("startTime"),
        "account_id": next(
            filter(None, (about.get(f"user_api_key_{k}") for k in ("user_id", "team_id", "hash"))), None
        ),
        "org_id": about.get("user_api_key_org_id"),
        "api_key_id": about.get("user_api_key_hash"),
    }
    put(row, "end_user_id", line.get("end_user"), about.get("user_api_key_end_user_id"))
    put(row, "session_id", line.get("session_id"), line.get("trace_id"))
    put(row, "model", line.get("model_group"), line.get("model"))
    put(row, "client_ip", line.get("requester_ip_address"), about.get("requester_ip_address"))
    put(row, "user_agent", line.get("user_agent"), about.get("user_agent"))
    _operation(str(line.get("call_type")), row)
    put(row, "status", 200 if line.get("status") == "success" else inner(line, "error_information").get("error_code"))
    for column in _PARAMETERS:
        put(row, column, asked.get(column))
    put(row, "stream", line.get("stream"))
    put(row, "max_tokens", asked.get("max_completion_tokens"), asked.get("max_tokens"))
    if isinstance(tools := asked.get("tools"), list):
        put(row, "tools_count", len(tools))
    if "logprobs" in asked or "top_logprobs" in asked:
        row["logprobs"] = bool(asked.get("logprobs") or asked.get("top_logprobs"))
    _usage(line, about, row)
    start, end = line.get("startTime"), line.get("endTime")
    if isinstance(start, int | float) and isinstance(end, int | float) and 0 <= end - start < 1e6:
        put(row, "latency_ms", round((end - start) * 1000))
    _texts(line, asked, row)
    return row


def _operation(call_type: str, row: dict[str, object]) -> None:
    kind = call_type.removeprefix("a")
    put(row, "operation", _OPERATIONS.get(kind))


def _usage(line: dict[str, object], about: dict[str, object], row: dict[str, object]) -> None:
    usage = inner(about, "usage_object") or inner(inner(line, "response"), "usage")
    put(row, "input_tokens", line.get("prompt_tokens"), usage.get("prompt_tokens"))
    put(row, "output_tokens", line.get("completion_tokens"), usage.get("completion_tokens"))
    put(row, "reasoning_tokens", inner(usage, "completion_tokens_details").get("reasoning_tokens"))
    put(row, "cached_tokens", inner(usage, "prompt_tokens_details").get("cached_tokens"))


def _texts(line: dict[str, object], asked: dict[str, object], row: dict[str, object]) -> None:
    messages = line.get("messages")
    if isinstance(messages, list):
        body = {"messages": messages} | {k: asked[k] for k in ("tools", "response_format", "stop") if asked.get(k)}
        row["messages"] = messages if len(body) == 1 else body
    elif isinstance(messages, str):
        row["messages"] = messages
    choice = first(inner(line, "response").get("choices"))
    put(row, "stop_reason", fit("stop_reason", choice.get("finish_reason")))
    said = content_text(inner(choice, "message").get("content"))
    put(row, "response_text", said or line.get("response"))


ADAPTER = LiteLLM()
