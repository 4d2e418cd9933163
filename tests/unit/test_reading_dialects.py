"""Dialects of the same facts: engines' bodies, telemetry of several instrumentations, gateways' versions."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.test_reading_real_logs import IDS, chat, pairs, read, span

Row = dict[str, Any]
ASKED = "Name a river"
BASE = {"ts": "2026-03-01T10:00:00.250Z", "account_id": "acme"}
REQUEST = {"model": "m-1", "temperature": 0.25, "max_tokens": 64, "messages": [{"role": "user", "content": ASKED}]}
ANSWER = {"choices": [{"message": {"role": "assistant", "content": "The Po."}, "finish_reason": "stop"}]}
BEDROCK = BASE | {
    "schemaType": "ModelInvocationLog",
    "timestamp": "2026-03-01T10:00:00Z",
    "requestId": "b-1",
    "identity": {"arn": "arn:aws:iam::123456789012:user/acme"},
}


def one(folder: Path, line: Row, mapping: str = "") -> Row:
    """The only exchange of a log, with its prompt as `user` and its system prompt as `system`."""
    rows, rejected, _ = read(folder, line, mapping=mapping)
    assert len(rows) == 1 and not rejected
    row = rows[0]
    rounded = {k: round(row[k], 4) for k in ("temperature", "top_p") if k in row}
    return row | (chat(row) if "messages" in row else {}) | rounded


def has(row: Row, **wanted: object) -> None:
    assert {key: row.get(key) for key in wanted} == wanted


# ---- bodies of engines and vendors -----------------------------------------------------------------------------------

MESSAGES = [{"role": "user", "content": ASKED}]
LLAMA = {"prompt": ASKED, "max_gen_len": 64, "temperature": 0.25, "top_p": 0.5}
OLLAMA = {"model": "m", "messages": MESSAGES, "options": {"temperature": 0.25, "num_predict": 64, "top_p": 0.5}}
TGI = {"inputs": ASKED, "parameters": {"max_new_tokens": 64, "temperature": 0.25, "top_p": 0.5}}
COHERE = {"model": "m", "messages": MESSAGES, "p": 0.5, "max_tokens": 64, "temperature": 0.25}
COMMAND = {"prompt": ASKED, "max_tokens": 64, "temperature": 0.25, "p": 0.5}
BODIES: dict[str, tuple[Row, object, Row]] = {
    "llama": (
        LLAMA,
        {"generation": "The Po.", "prompt_token_count": 21, "generation_token_count": 4, "stop_reason": "stop"},
        {"operation": "completion", "input_tokens": 21, "output_tokens": 4, "stop_reason": "stop"},
    ),
    "llama, streamed": (
        LLAMA,
        [{"generation": "The "}, {"generation": "Po.", "stop_reason": "stop", "generation_token_count": 4}],
        {"operation": "completion", "output_tokens": 4, "stop_reason": "stop"},
    ),
    "mistral": (
        {"prompt": ASKED, "max_tokens": 64, "temperature": 0.25, "top_p": 0.5},
        {"outputs": [{"text": "The Po.", "stop_reason": "length"}]},
        {"operation": "completion", "stop_reason": "length"},
    ),
    "claude 2": (
        {"prompt": ASKED, "max_tokens_to_sample": 64, "temperature": 0.25, "top_p": 0.5},
        {"completion": "The Po.", "stop_reason": "stop_sequence"},
        {"operation": "completion", "stop_reason": "stop_sequence"},
    ),
    "command": (
        COMMAND,
        {"id": "g", "generations": [{"text": "The Po.", "finish_reason": "COMPLETE"}]},
        {"operation": "completion", "stop_reason": "COMPLETE"},
    ),
    "cohere 2": (
        COHERE,
        {
            "id": "c",
            "finish_reason": "COMPLETE",
            "message": {"role": "assistant", "content": [{"type": "text", "text": "The Po."}]},
            "usage": {"billed_units": {"input_tokens": 5}, "tokens": {"input_tokens": 21, "output_tokens": 4}},
        },
        {"operation": "chat", "stop_reason": "COMPLETE", "input_tokens": 21, "output_tokens": 4},
    ),
    "cohere 2, streamed": (
        COHERE,
        [
            {"type": "content-delta", "delta": {"message": {"content": {"text": "The "}}}},
            {"type": "content-delta", "delta": {"message": {"content": {"text": "Po."}}}},
            {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": {"tokens": {"input_tokens": 21}}}},
        ],
        {"operation": "chat", "stop_reason": "COMPLETE", "input_tokens": 21},
    ),
    "ollama": (
        OLLAMA,
        {
            "model": "m:8b",
            "message": {"role": "assistant", "content": "The Po."},
            "done_reason": "stop",
            "prompt_eval_count": 21,
            "eval_count": 4,
        },
        {"operation": "chat", "stop_reason": "stop", "input_tokens": 21, "output_tokens": 4},
    ),
    "ollama, streamed": (
        OLLAMA,
        '{"message":{"content":"The "},"done":false}\n{"message":{"content":"Po."}}\n'
        '{"message":{"content":""},"done_reason":"stop","prompt_eval_count":21,"eval_count":4}\n',
        {"operation": "chat", "stop_reason": "stop", "input_tokens": 21, "output_tokens": 4},
    ),
    "ollama, a prompt": (
        {"model": "m", "prompt": ASKED, "options": OLLAMA["options"]},
        {"response": "The Po.", "done_reason": "length", "eval_count": 4},
        {"operation": "completion", "stop_reason": "length", "output_tokens": 4},
    ),
    "tgi": (
        TGI,
        {"generated_text": "The Po.", "details": {"finish_reason": "length", "generated_tokens": 4}},
        {"operation": "completion", "stop_reason": "length", "output_tokens": 4},
    ),
    "tgi, streamed": (
        TGI,
        [
            {"token": {"text": "The"}, "generated_text": None},
            {"token": {"text": " Po."}, "generated_text": "The Po.", "details": {"finish_reason": "eos_token"}},
        ],
        {"operation": "completion", "stop_reason": "eos_token"},
    ),
}


@pytest.mark.parametrize("where", ["bedrock", "envelope"])
@pytest.mark.parametrize("kind", BODIES)
def test_bodies_of_engines_are_read(kind: str, where: str, tmp_path: Path) -> None:
    request, answer, facts = BODIES[kind]
    if where == "bedrock":
        line = BEDROCK | {"modelId": "m", "input": {"inputBodyJson": request}, "output": {"outputBodyJson": answer}}
    else:
        line = BASE | {"request": request, "response": answer}
    row = one(tmp_path, line)
    has(row, user=ASKED, max_tokens=64, temperature=0.25, response_text="The Po.", **facts)
    assert row.get("top_p") == 0.5 or kind == "ollama, a prompt"


def test_texts_to_embed_are_read(tmp_path: Path) -> None:
    body = {"texts": ["Name a river", "Name a lake"], "input_type": "search_query"}
    line = BEDROCK | {"modelId": "cohere.embed", "input": {"inputBodyJson": body}}
    row = one(tmp_path, line | {"output": {"outputBodyJson": {"embeddings": [[0.1]], "id": "x"}}})
    has(row, operation="embedding", user="Name a river\nName a lake")


def test_converse_says_how_long_it_took_and_the_parts_of_gemini_are_one_text(tmp_path: Path) -> None:
    body = {"messages": [{"role": "user", "content": [{"text": ASKED}]}], "inferenceConfig": {"maxTokens": 64}}
    answer = {"output": {"message": {"content": [{"text": "The Po."}]}}, "metrics": {"latencyMs": 950}}
    line = BEDROCK | {"operation": "Converse", "input": {"inputBodyJson": body}}
    has(one(tmp_path, line | {"output": {"outputBodyJson": answer}}), user=ASKED, latency_ms=950)
    parts = [{"candidates": [{"content": {"parts": [{"text": "The "}, {"text": "Po."}]}}]}]
    line = BASE | {"request": {"contents": [{"parts": [{"text": ASKED}]}]}, "response": parts}
    has(one(tmp_path, line), user=ASKED, response_text="The Po.")


# ---- LiteLLM ---------------------------------------------------------------------------------------------------------


def test_an_id_that_is_a_word_for_nothing_gives_way_to_the_next(tmp_path: Path) -> None:
    line = {"call_type": "acompletion", "startTime": "2026-03-01T10:00:00.25", "endTime": "2026-03-01T10:00:01.5"}
    line |= {"id": "chatcmpl-1", "litellm_call_id": "None", "metadata": {"user_api_key_user_id": "acme"}}
    has(one(tmp_path, line | {"messages": MESSAGES}), exchange_id="chatcmpl-1", latency_ms=1250)
    row = {"request_id": "r-1", "litellm_call_id": "", "api_key": "k", "spend": 0.1, "call_type": "acompletion"}
    has(one(tmp_path, row | {"startTime": "2026-03-01 10:00:00"}), exchange_id="r-1")


# ---- telemetry -------------------------------------------------------------------------------------------------------

MODEL = {"gen_ai.request.model": "m"}
LISTED = json.dumps(
    [
        {"event.name": "gen_ai.system.message", "content": "Be brief."},
        {"event.name": "gen_ai.user.message", "content": ASKED},
        {"event.name": "gen_ai.choice", "message": {"role": "assistant", "content": "The Po."}},
    ]
)
TOLD: dict[str, Row] = {
    "openllmetry of 2023": {
        "llm.request.type": "chat", "llm.request.model": "m", "llm.request.max_tokens": 64, "llm.temperature": "0.25",
        "llm.top_p": "0.5", "llm.prompts.0.role": "user", "llm.prompts.0.content": ASKED,
        "llm.completions.0.content": "The Po.",
    },
    "openllmetry, a prompt": MODEL | {"gen_ai.prompt.0.user": ASKED, "gen_ai.completion.0.content": "The Po."},
    "openinference, a prompt": {
        "openinference.span.kind": "LLM", "llm.model_name": "m", "llm.prompts.0.prompt.text": ASKED,
        "llm.choices.0.completion.text": "The Po.",
    },
    "events in one attribute": MODEL | {"events": LISTED},
    "bodies of logfire": MODEL | {
        "request_data": json.dumps(REQUEST), "response_data": json.dumps({"message": {"content": "The Po."}}),
    },
}  # fmt: skip


@pytest.mark.parametrize("dialect", TOLD)
def test_prompts_and_answers_of_every_dialect_are_read(dialect: str, tmp_path: Path) -> None:
    row = one(tmp_path, span(TOLD[dialect]))
    has(row, model="m", user=ASKED, response_text="The Po.")
    if dialect in ("openllmetry of 2023", "bodies of logfire"):
        has(row, max_tokens=64, temperature=0.25)


def test_an_event_may_hold_its_message_in_one_attribute(tmp_path: Path) -> None:
    held = pairs({"gen_ai.event.content": json.dumps({"role": "user", "content": ASKED})})
    has(one(tmp_path, span(MODEL, events=[{"name": "gen_ai.user.message", "attributes": held}])), user=ASKED)


def test_words_for_nothing_in_a_span_give_way_to_the_next_name(tmp_path: Path) -> None:
    given = {"user.id": "unknown", "enduser.id": "acct-02", "gen_ai.response.id": "None"}
    has(one(tmp_path, span(MODEL | given)), account_id="acct-02", exchange_id=f"{IDS['traceId']}-{IDS['spanId']}")


def test_a_list_in_text_is_a_list_in_a_span(tmp_path: Path) -> None:
    has(one(tmp_path, span(MODEL | {"gen_ai.response.finish_reasons": '["length"]'})), stop_reason="length")


OBSERVED = {
    "id": "o-1",
    "type": "GENERATION",
    "traceId": "t",
    "startTime": "2026-03-01T10:00:00Z",
    "userId": "acme",
    "parentObservationId": None,
    "input": [{"role": "user", "content": ASKED}],
}


@pytest.mark.parametrize(
    "usage", [{"input": 9, "output": 4, "unit": "TOKENS"}, {"promptTokens": 9, "completionTokens": 4}], ids=["2", "1"]
)
def test_observations_of_older_versions_of_langfuse_have_their_tokens(usage: Row, tmp_path: Path) -> None:
    has(one(tmp_path, OBSERVED | {"usage": usage}), input_tokens=9, output_tokens=4)


def test_a_failed_observation_has_the_status_in_its_message(tmp_path: Path) -> None:
    failed = {"level": "ERROR", "statusMessage": "Error code: 429 - {'type': 'rate_limit_error'}"}
    has(one(tmp_path, OBSERVED | failed), status=429)
    has(one(tmp_path, OBSERVED | failed | {"level": "DEFAULT"}), status=None)


def test_texts_to_embed_that_are_json_are_texts(tmp_path: Path) -> None:
    given = {"ai.operationId": "ai.embedMany.doEmbed", "ai.model.id": "e", "ai.values": ['"Name a river"', '"a lake"']}
    has(one(tmp_path, span(given)), operation="embedding", user="Name a river\na lake")


@pytest.mark.parametrize(
    ("kind", "message", "status"),
    [
        ("anthropic.APIStatusError", "Error code: 529 - overloaded", 529),
        ("openai.APIStatusError", "it failed", 500),
        ("openai.RateLimitError", "Error code: 400", 429),
    ],
)
def test_an_error_of_any_status_is_that_of_its_message(kind: str, message: str, status: int, tmp_path: Path) -> None:
    event = {"name": "exception", "attributes": pairs({"exception.type": kind, "exception.message": message})}
    has(one(tmp_path, span(MODEL, events=[event], status={"code": 2})), status=status)


# ---- gateways --------------------------------------------------------------------------------------------------------

TALK = {"meta": {"request_model": "m", "response_model": "m-1"}, "usage": {"prompt_tokens": 21, "completion_tokens": 4}}
BOTH = {"payload": {"request": json.dumps(REQUEST), "response": json.dumps(ANSWER)}}
SINGULAR = {"meta": TALK["meta"], "usage": {"prompt_token": 21, "completion_token": 4}}


@pytest.mark.parametrize(
    "said",
    [
        {"proxy": TALK | BOTH},
        {"ai-proxy": TALK | BOTH},
        {"ai-proxy-advanced": TALK | BOTH},
        {"ai-proxy": SINGULAR} | BOTH,
    ],
)
def test_every_version_of_kong_is_read(said: Row, tmp_path: Path) -> None:
    line = {"started_at": 1772359200250, "request": {"id": "k-1"}, "consumer": {"id": "c", "custom_id": "acme"}}
    row = one(tmp_path, line | {"ai": said}, "kong")
    has(row, account_id="acme", model="m-1", input_tokens=21, output_tokens=4, user=ASKED, response_text="The Po.")


@pytest.mark.parametrize("began", [1772359200, 1772359200000])
def test_a_kong_call_by_a_credential_alone_is_its_account_s(began: int, tmp_path: Path) -> None:
    line = {
        "started_at": began,
        "request": {"id": "k-1"},
        "authenticated_entity": {"id": "key-7"},
        "ai": {"proxy": TALK},
    }
    row = one(tmp_path, line, "kong")
    has(row, account_id="key-7", api_key_id="key-7", model="m-1")
    assert row["ts"].isoformat() == "2026-03-01T10:00:00+00:00"


def test_a_header_that_was_sent_twice_costs_no_call_of_kong_s(tmp_path: Path) -> None:
    asked = {"id": "k-2", "headers": {"user-agent": ["demo/1.0", "x"]}}
    line = {"started_at": 1772359200250, "request": asked, "response": {"status": 200}, "consumer": {"id": "c"}}
    has(one(tmp_path, line, "kong"), exchange_id="k-2", account_id="c", status=200, user_agent="demo/1.0, x")


def test_azure_diagnostics_of_log_analytics_are_read(tmp_path: Path) -> None:
    told = json.dumps({"objectId": "o-1", "modelDeploymentName": "d", "streamType": "Non-Streaming"})
    line = {"TimeGenerated": BASE["ts"], "Category": "RequestResponse", "CorrelationId": "c-1", "properties_s": told}
    has(one(tmp_path, line, "azure_openai"), exchange_id="c-1", account_id="o-1", model="d", stream=False)


def test_pairs_in_a_list_are_found_by_their_name(tmp_path: Path) -> None:
    line = {"id": "p-1", "created_at": "Sun Mar 01 2026 10:00:00 GMT+0000 (Coordinated Universal Time)"}
    line |= {"metadata": [{"key": "team", "value": "x"}, {"key": "_user", "value": "acme"}]}
    has(one(tmp_path, line | {"request": {"body": REQUEST}}, "portkey"), account_id="acme", user=ASKED)


def test_the_heads_of_bodies_and_peers_with_ports_are_read(tmp_path: Path) -> None:
    line = {"id": "c-1", "created_at": BASE["ts"], "metadata": {"user_id": "acme"}, "request_head": json.dumps(REQUEST)}
    has(one(tmp_path, line, "cloudflare_ai_gateway"), user=ASKED, max_tokens=64)
    line = {"start_time": BASE["ts"], "account_id": "acme", "downstream_remote_address": "203.0.113.7:5555"}
    has(one(tmp_path, line | {"genai_tokens_cached_input": 3}, "envoy"), client_ip="203.0.113.7", cached_tokens=3)


def test_an_access_log_of_nginx_without_json_escapes_is_read(tmp_path: Path) -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "café"}]}, ensure_ascii=False)
    written = "".join(c if c.isascii() and c not in '"\\' else "".join(f"\\x{b:02X}" for b in c.encode()) for c in body)
    log = tmp_path / "access.log"
    log.write_text(f'{{"msec":"1772359200.250","request_id":"n-1","account_id":"acme","request_body":"{written}"}}\n')
    rows, rejected, _ = read(tmp_path, mapping="nginx", log=log)
    assert not rejected and chat(rows[0])["user"] == "café"
