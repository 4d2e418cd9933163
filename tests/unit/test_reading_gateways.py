"""Logs as the gateways of the guide write them: what a call asked for, streams, batches, caches, failures, presets."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.test_reading_dialects import ASKED, BASE, BEDROCK, MESSAGES, has, one
from tests.unit.test_reading_real_logs import read, span

from clonewatch.adapters.operations import operation

Row = dict[str, Any]
CHUNKS = [
    {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"content": "The "}}]},
    {"choices": [{"index": 1, "delta": {"content": "Rhine."}}]},
    {"choices": [{"index": 0, "delta": {"content": "Po."}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 21, "completion_tokens": 4}},
]
STREAM = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in CHUNKS) + "data: [DONE]\n\n"
BATCH = {"id": "batch_1", "object": "batch", "status": "validating"}

# ---- what a call asked for -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("POST /v1/chat/completions HTTP/1.1", "chat"),
        ("https://batch.example/v1/completions", "completion"),
        ("chat/completions", "chat"),
        ("/v1beta/models/m:streamGenerateContent?alt=sse", "chat"),
        ("/v1beta/models/m:batchEmbedContents", "embedding"),
        ("/chatter/v1/embeddings", "embedding"),
        ("/v1/messages/count_tokens", "-"),
        ("/v1/audio/speech", "-"),
        ("/profile/image-shop/v1/responses", "chat"),
        ("ChatCompletions_Create", "chat"),
        ("chat.completion", "chat"),
        ("/healthz", None),
        ("", ""),
        (7, 7),
    ],
)
def test_a_path_says_what_a_call_asked_for(said: object, meant: object) -> None:
    assert operation(said) == meant


@pytest.mark.parametrize(
    ("path", "request_", "response", "wanted"),
    [
        ("/v1/embeddings", {"model": "e", "input": ASKED}, {"error": {"message": "x"}}, {"operation": "embedding"}),
        ("/v1/images/generations", {"model": "i", "prompt": ASKED}, None, {"operation": None}),
        ("/v1/moderations", {"model": "o", "input": ASKED}, {"results": []}, {"operation": None}),
        ("", {"model": "e", "input": ["a", "b"]}, None, {"operation": "embedding"}),
        ("", {"model": "m", "input": [{"role": "user", "content": ASKED}]}, None, {"operation": "chat"}),
        ("", {"input_file_id": "f", "endpoint": "/v1/responses"}, BATCH, {"operation": "batch", "stop_reason": None}),
        (
            "/v1beta/models/gemini-x:streamGenerateContent",
            {"contents": [{"parts": [{"text": ASKED}]}]},
            [{"modelVersion": "gemini-x-001", "usageMetadata": {"promptTokenCount": 9, "thoughtsTokenCount": 64}}],
            {"stream": True, "model": "gemini-x-001", "output_tokens": 64, "reasoning_tokens": 64, "user": ASKED},
        ),
        (
            "/v1beta/models/e:batchEmbedContents",
            {"requests": [{"model": "models/e", "content": {"parts": [{"text": text}]}} for text in (ASKED, "Why?")]},
            {"embeddings": []},
            {"operation": "embedding", "model": "e", "user": f"{ASKED}\nWhy?"},
        ),
        (
            "",
            {"contents": [{"parts": [{"text": ASKED}]}]},
            {"promptFeedback": {"blockReason": "SAFETY"}},
            {"stop_reason": "SAFETY"},
        ),
    ],
)
def test_a_call_is_what_its_path_and_its_body_say(
    path: str, request_: Row, response: object, wanted: Row, tmp_path: Path
) -> None:
    place = {"path": path} if path else {}
    has(one(tmp_path, BASE | place | {"request": request_, "response": response}, 'format = "openai"'), **wanted)


def test_a_batch_of_messages_is_a_batch_and_a_gateway_s_own_word_counts_before_the_path(tmp_path: Path) -> None:
    listed = {"requests": [{"custom_id": "a", "params": {"model": "m", "messages": MESSAGES}}]}
    has(one(tmp_path, BASE | {"request": listed, "response": {}}, 'format = "anthropic"'), operation="batch")
    told = BASE | {"operation": "batch", "path": "/v1/chat/completions", "request": {"messages": MESSAGES}}
    has(one(tmp_path, told, 'format = "openai"'), operation="batch")


def test_of_several_choices_the_first_counts_whatever_their_order_and_a_refusal_is_an_answer(tmp_path: Path) -> None:
    choices = [
        {"index": i, "finish_reason": why, "message": {"content": why}} for i, why in ((1, "stop"), (0, "length"))
    ]
    row = one(tmp_path, BASE | {"request": {"messages": MESSAGES}, "response": {"choices": choices}})
    has(row, response_text="length", stop_reason="length")
    refused = {"choices": [{"message": {"content": None, "refusal": "No."}, "finish_reason": "stop"}]}
    has(one(tmp_path, BASE | {"request": {"messages": MESSAGES}, "response": refused}), response_text="No.")


def test_the_first_key_whose_value_can_be_a_column_s_fills_it(tmp_path: Path) -> None:
    told = {
        "status": "success",
        "status_code": 429,
        "account_id": {"id": 1},
        "account": "beta",
        "request": {"input": ASKED},
    }
    has(one(tmp_path, BASE | told, 'format = "openai"'), status=429, account_id="beta")


def test_nobody_vouches_for_an_end_user_who_is_none(tmp_path: Path) -> None:
    asked = {"messages": MESSAGES, "user": "None"}
    row = one(tmp_path, BASE | {"request": asked}, 'format = "openai"')
    has(row, end_user_id=None, end_user_provenance=None)


@pytest.mark.parametrize(("more", "left"), [({}, False), ({"tools": [{"type": "function"}]}, True)])
def test_a_request_without_its_redacted_prompt_is_no_prompt(more: Row, left: bool, tmp_path: Path) -> None:
    asked = {"model": "m", "messages": [{"role": "user", "content": "[REDACTED]"}]} | more
    assert ("messages" in one(tmp_path, BASE | {"request": asked}, 'format = "openai"')) is left


# ---- answers under a field map ---------------------------------------------------------------------------------------

MAP = 'format = "jsonl_map"\n[fields]\naccount_id = "a"\nts = "t"\nmessages = "q"\nresponse_text = "r"\n'


@pytest.mark.parametrize(
    "answer",
    [STREAM, CHUNKS, json.dumps(CHUNKS), {"streamed_data": CHUNKS}],
    ids=["text", "list", "list in text", "Helicone"],
)
def test_a_streamed_answer_is_put_together_under_a_map_too(answer: object, tmp_path: Path) -> None:
    line = {"a": "acme", "t": "2026-03-01T10:00:00Z", "q": {"messages": MESSAGES}, "r": answer}
    row = one(tmp_path, line, MAP)
    has(row, response_text="The Po.", stop_reason="stop", input_tokens=21, output_tokens=4, operation="chat")


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ({"error": {"message": "Slow down", "type": "requests"}}, None),
        ("[draft] data: none", "[draft] data: none"),
        ("data: I have none", "data: I have none"),
        ('{"error": "is what the model was asked to write"}', '{"error": "is what the model was asked to write"}'),
    ],
)
def test_an_error_is_no_answer_and_prose_that_begins_like_a_stream_is_one(
    answer: object, kept: object, tmp_path: Path
) -> None:
    line = {"a": "acme", "t": "2026-03-01T10:00:00Z", "q": {"messages": MESSAGES}, "r": answer}
    has(one(tmp_path, line, MAP), response_text=kept)


# ---- single gateways -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("called", "model"),
    [
        ("amazon.m-1", "amazon.m-1"),
        ("arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.m-1", "eu.amazon.m-1"),
        ("arn:aws:bedrock:eu-west-1::foundation-model/amazon.m-1", "amazon.m-1"),
        ("arn:aws:bedrock:eu-west-1:123456789012:provisioned-model/x1", None),
    ],
)
def test_bedrock_counts_cached_tokens_as_input_and_a_model_has_one_name(
    called: str, model: str | None, tmp_path: Path
) -> None:
    counts = {"inputTokenCount": 10, "cacheReadInputTokenCount": 100, "cacheWriteInputTokenCount": 5}
    line = BEDROCK | {"operation": "InvokeModel", "modelId": called, "input": counts | {"inputBodyJson": {}}}
    has(one(tmp_path, line), model=model or called, input_tokens=115, cached_tokens=100)
    usage = {"inputTokens": 7, "outputTokens": 4, "cacheReadInputTokens": 100, "cacheWriteInputTokens": 5}
    line = BEDROCK | {"operation": "Converse", "input": {"inputBodyJson": {"messages": []}, "inputTokenCount": 7}}
    has(one(tmp_path, line | {"output": {"outputBodyJson": {"usage": usage}}}), input_tokens=112, cached_tokens=100)


def test_bodies_that_bedrock_stored_apart_are_said(tmp_path: Path) -> None:
    apart = BEDROCK | {"input": {"inputBodyS3Path": "s3://logs/a.json.gz", "inputTokenCount": 9}}
    rows, rejected, warnings = read(tmp_path, apart, BEDROCK | {"requestId": "b-2", "input": {"inputBodyJson": {}}})
    assert len(rows) == 2 and not rejected
    stored = "Bedrock stored their bodies in objects of their own (inputBodyS3Path), which are not read"
    assert [w.partition(": ")[2] for w in warnings] == [f"1 records have no prompt: {stored}"]


@pytest.mark.parametrize(
    ("failed", "status"),
    [("Too Many Requests", 429), ("service unavailable", 503), ("I found too many requests", None), ("OK", None)],
)
def test_a_failed_span_may_say_its_status_in_words(failed: str, status: int | None, tmp_path: Path) -> None:
    line = span({"gen_ai.request.model": "m"}, status={"code": 2, "message": failed})
    has(one(tmp_path, line), status=status)


def test_stop_strings_in_a_tag_are_a_list(tmp_path: Path) -> None:
    given = {"gen_ai.request.model": "m", "gen_ai.request.stop_sequences": '["END"]'}
    assert json.loads(one(tmp_path, span(given))["messages"])["stop"] == ["END"]


def test_failures_of_litellm_that_reached_no_server_have_a_status(tmp_path: Path) -> None:
    line = {
        "id": "1",
        "litellm_call_id": "1",
        "call_type": "acompletion",
        "startTime": 1772359200.5,
        "status": "failure",
    }
    line |= {"metadata": {"user_api_key_user_id": "acme"}, "error_information": {"error_class": "APIConnectionError"}}
    has(one(tmp_path, line), status=500)


# ---- a map over a preset ---------------------------------------------------------------------------------------------

ACCESS = {"msec": "1772359200.250", "request_id": "n-1", "status": "200", "request_time": "0.5", "tenant": "acme"}


def test_a_map_may_be_over_a_preset_too(tmp_path: Path) -> None:
    probe = ACCESS | {"request_id": "n-2", "tenant": "", "http_user_agent": "kube-probe/1.29"}
    mapping = 'format = "nginx"\n[where]\ntenant = {present = true}\n[fields]\naccount_id = "tenant"\n'
    rows, rejected, warnings = read(tmp_path, ACCESS | {"uri": "/v1/embeddings"}, probe, mapping=mapping)
    assert not rejected and len(rows) == 1
    has(rows[0], account_id="acme", exchange_id="n-1", status=200, latency_ms=500, operation="embedding")
    assert "1 rows are left out" in warnings[0]
    one(tmp_path, ACCESS, 'format = "nginx"\n[constants]\naccount_id = "acme"\n')
