"""Which facts the reader takes from a row: every value that real software wrote, as what it means."""

import json
from pathlib import Path
from typing import Any

import pytest

from clonewatch.adapters.reading import open_log
from clonewatch.model.errors import MappingError
from clonewatch.model.read_results import Rejected
from clonewatch.pipeline.look import look

Row = dict[str, Any]
CALL = {"ts": 1772359200, "account_id": "acme", "status": 200}
SPAN = {
    "traceId": "5b8efff798038103d269b633813fc60c",
    "spanId": "eee19b7ec3c1b174",
    "startTimeUnixNano": "1772359200250000000",
    "endTimeUnixNano": "1772359201500000000",
}


def read(
    folder: Path, lines: list[Row] | str, mapping: str = "", name: str = "log.ndjson"
) -> tuple[list[Row], list[str]]:
    """The exchanges of a log without empty values, then reasons of rejected rows and warnings."""
    log = folder / name
    log.write_text(lines if isinstance(lines, str) else "".join(json.dumps(line) + "\n" for line in lines))
    field_map: Path | None = None
    if mapping.isidentifier():
        field_map = Path(mapping)
    elif mapping:
        field_map = folder / "map.toml"
        field_map.write_text(mapping)
    rejected: list[Rejected] = []
    opened = open_log(log, mapping=field_map)
    rows = [row for batch in opened.batches(rejected.extend) for row in batch.to_pylist()]
    kept = [{k: v for k, v in row.items() if v is not None} for row in rows]
    return kept, [r.reason for r in rejected] + [w.partition(": ")[2] for w in opened.warnings]


def one(folder: Path, line: Row, mapping: str = "") -> Row:
    rows, told = read(folder, [line], mapping)
    assert len(rows) == 1 and not told
    return rows[0]


def attributes(values: Row) -> list[Row]:
    kinds = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue"}
    return [{"key": key, "value": {kinds[type(value)]: value}} for key, value in values.items()]


def spans(*given: Row, **more: Any) -> Row:
    made = [
        {**SPAN, "spanId": f"eee19b7ec3c1b1{i:02d}", "attributes": attributes({"user.id": "acme", **g}), **more}
        for i, g in enumerate(given)
    ]
    return {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"spans": made}]}]}


def has(row: Row, **wanted: Any) -> None:
    assert {key: row.get(key) for key in wanted} == wanted


# ---- addresses and accounts -----------------------------------------------------------------------------------------


def test_connections_from_one_address_have_one_address(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, [CALL | {"exchange_id": f"e-{i}", "client_ip": f"203.0.113.7:5000{i}"} for i in range(3)])
    assert [row["client_ip"] for row in rows] == ["203.0.113.7"] * 3


@pytest.mark.parametrize(
    ("settings", "listed", "client"),
    [
        ("", "203.0.113.7, 10.0.0.1", "203.0.113.7"),
        ("", "198.51.100.9, 203.0.113.7, 10.0.0.1", "203.0.113.7"),
        ("trusted_hops = 1\n", "198.51.100.9, 203.0.113.7, 192.0.2.1", "203.0.113.7"),
        ("trusted_hops = 0\n", "198.51.100.9, 203.0.113.7", "203.0.113.7"),
        ('trusted_proxies = ["192.0.2.0/24"]\n', "203.0.113.7, 192.0.2.9", "203.0.113.7"),
        ("", "10.1.2.3, 10.0.0.1", "10.1.2.3"),
        ("", "[2001:db8::7]:443, 10.0.0.1", "2001:db8::7"),
        ("", "unknown", None),
        ("trusted_hops = 9\n", "203.0.113.7, 10.0.0.1", "203.0.113.7"),
    ],
)
def test_the_client_of_a_forwarded_list_is_the_last_address_outside(
    settings: str, listed: str, client: str | None, tmp_path: Path
) -> None:
    line = {"exchange_id": "e", "t": 1772359200, "a": "acme", "xff": listed}
    text = f'format = "jsonl_map"\n{settings}[fields]\nexchange_id = "exchange_id"\nts = "t"\naccount_id = "a"\n'
    assert one(tmp_path, line, text + 'client_ip = "xff"\n').get("client_ip") == client


def test_a_preset_takes_the_client_of_a_forwarded_list(tmp_path: Path) -> None:
    line = {
        "start_time": "2026-03-01T10:00:00Z",
        "account_id": "a",
        "response_code": 200,
        "x-forwarded-for": "203.0.113.7, 10.0.0.1",
    }
    has(one(tmp_path, line, "envoy"), client_ip="203.0.113.7", status=200)


@pytest.mark.parametrize("nobody", ["None", "null", "-", "unknown", "default_user_id", "anonymous", " NULL "])
def test_a_word_for_nobody_is_no_account(nobody: str, tmp_path: Path) -> None:
    lines = [CALL | {"exchange_id": "a"}, CALL | {"exchange_id": "b", "account_id": nobody}]
    rows, told = read(tmp_path, lines)
    assert [row["exchange_id"] for row in rows] == ["a"] and told == ["account_id: missing"]


def test_the_sessions_of_a_role_are_one_account(tmp_path: Path) -> None:
    role = "arn:aws:sts::123456789012:assumed-role/AppRole"
    lines = [
        {
            "schemaType": "ModelInvocationLog",
            "timestamp": "2026-03-01T10:00:00Z",
            "requestId": f"b-{i}",
            "identity": {"arn": f"{role}/session-{i}"},
            "operation": "InvokeModel",
            "modelId": "anthropic.m",
        }
        for i in range(3)
    ]
    rows, _ = read(tmp_path, lines)
    assert {row["account_id"] for row in rows} == {role}
    assert [(row["end_user_id"], row["end_user_provenance"]) for row in rows] == [
        (f"session-{i}", "claimed") for i in range(3)
    ]
    mapped, _ = read(
        tmp_path,
        [{"t": 1772359200, "who": f"{role}/s-{i}"} for i in range(2)],
        'format = "jsonl_map"\n[fields]\nts = "t"\naccount_id = "who"\n',
    )
    assert {row["account_id"] for row in mapped} == {role}


# ---- bodies ---------------------------------------------------------------------------------------------------------


def test_a_body_that_was_encoded_twice_is_read(tmp_path: Path) -> None:
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hello you"}]}
    answer = {"object": "chat.completion", "choices": []}
    row = one(tmp_path, CALL | {"request_id": "r", "request": json.dumps(json.dumps(body)), "response": answer})
    has(row, max_tokens=5, model="m")
    assert json.loads(row["messages"])["messages"] == body["messages"]
    mapped = one(
        tmp_path,
        {"t": 1772359200, "a": "acme", "b": json.dumps(json.dumps(body))},
        'format = "jsonl_map"\n[fields]\nts = "t"\naccount_id = "a"\nmessages = "b"\n',
    )
    has(mapped, max_tokens=5, model="m")
    assert json.loads(mapped["messages"])["messages"] == body["messages"]


@pytest.mark.parametrize(
    "headers",
    [
        {"User-Agent": ["demo/1.0"], "X-Stainless-Lang": ["python"]},
        [["user-agent", "demo/1.0"], ["x-stainless-lang", "python"]],
        [{"name": "User-Agent", "value": "demo/1.0"}, {"name": "X-Stainless-Lang", "value": "python"}],
        ["User-Agent: demo/1.0", "X-Stainless-Lang: python"],
        json.dumps({"user-agent": "demo/1.0", "x-stainless-lang": "python"}),
    ],
)
def test_headers_are_read_however_they_are_logged(headers: object, tmp_path: Path) -> None:
    line = CALL | {"request_id": "r", "headers": headers, "request": {"model": "m", "messages": []}}
    has(one(tmp_path, line), user_agent="demo/1.0", sdk="python")


def test_a_gemini_call_is_read(tmp_path: Path) -> None:
    request = {
        "contents": [{"role": "user", "parts": [{"text": "Name a river of Peru please"}]}],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {"temperature": 0.25, "maxOutputTokens": 64},
        "tools": [{"functionDeclarations": [{"name": "f"}]}],
    }
    answer = {
        "candidates": [{"content": {"parts": [{"text": "The Rhine."}]}}],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 4},
    }
    row = one(tmp_path, CALL | {"path": "/v1beta/models/g-1:generateContent", "request": request, "response": answer})
    has(
        row,
        model="g-1",
        temperature=0.25,
        max_tokens=64,
        tools_count=1,
        input_tokens=9,
        output_tokens=4,
        response_text="The Rhine.",
        stream=False,
    )
    body = json.loads(row["messages"])
    assert body["system"] == "Be brief." and body["messages"][0]["content"] == "Name a river of Peru please"


def test_a_gemini_call_as_the_python_library_writes_it_is_read(tmp_path: Path) -> None:
    request = {
        "model": "g-1",
        "contents": [{"role": "user", "parts": [{"text": "Name a river"}]}],
        "system_instruction": {"parts": [{"text": "Be brief."}]},
        "generation_config": {
            "max_output_tokens": 64,
            "top_p": 0.5,
            "stop_sequences": ["x"],
            "response_logprobs": True,
        },
    }
    usage = {"prompt_token_count": 9, "candidates_token_count": 4, "thoughts_token_count": 3}
    answer = {
        "candidates": [{"content": {"parts": [{"text": "The Po."}]}, "finish_reason": "MAX_TOKENS"}],
        "usage_metadata": usage | {"cached_content_token_count": 2},
        "model_version": "g-1-001",
    }
    row = one(tmp_path, CALL | {"request": request, "response": answer})
    has(row, model="g-1", max_tokens=64, top_p=0.5, stop_reason="MAX_TOKENS", logprobs=True, response_text="The Po.")
    has(row, input_tokens=9, output_tokens=7, reasoning_tokens=3, cached_tokens=2)
    assert json.loads(row["messages"])["stop"] == ["x"]


@pytest.mark.parametrize(
    ("request_body", "answer", "wanted", "prompt"),
    [
        (
            {"inputText": "Name a river", "textGenerationConfig": {"temperature": 0.5, "maxTokenCount": 64}},
            {
                "inputTextTokenCount": 9,
                "results": [{"outputText": "The Po.", "tokenCount": 4, "completionReason": "FINISH"}],
            },
            {"temperature": 0.5, "max_tokens": 64, "response_text": "The Po.", "stop_reason": "FINISH"},
            {"prompt": "Name a river"},
        ),
        (
            {"message": "Name a river", "preamble": "Be brief.", "temperature": 0.5, "p": 0.75, "max_tokens": 64},
            {"text": "The Po.", "finish_reason": "COMPLETE", "generation_id": "g"},
            {
                "temperature": 0.5,
                "top_p": 0.75,
                "max_tokens": 64,
                "response_text": "The Po.",
                "stop_reason": "COMPLETE",
            },
            {"messages": [{"role": "user", "content": "Name a river"}], "system": "Be brief."},
        ),
        (
            {
                "messages": [{"role": "user", "content": [{"text": "Name a river"}]}],
                "system": [{"text": "Be brief."}],
                "inferenceConfig": {"maxTokens": 64},
                "toolConfig": {"tools": [{"toolSpec": {"name": "f"}}]},
            },
            {"output": {"message": {"content": [{"text": "The Po."}]}}, "stopReason": "end_turn"},
            {"max_tokens": 64, "tools_count": 1, "response_text": "The Po.", "stop_reason": "end_turn"},
            {
                "messages": [{"role": "user", "content": [{"text": "Name a river"}]}],
                "system": [{"text": "Be brief."}],
                "tools": [{"toolSpec": {"name": "f"}}],
            },
        ),
    ],
    ids=["titan", "cohere", "converse"],
)
def test_bodies_of_cloud_apis_are_read(
    request_body: Row, answer: Row, wanted: Row, prompt: Row, tmp_path: Path
) -> None:
    line = {
        "schemaType": "ModelInvocationLog",
        "timestamp": "2026-03-01T10:00:00Z",
        "requestId": "b",
        "identity": {"arn": "arn:aws:iam::123456789012:user/acme"},
        "operation": "InvokeModel",
        "modelId": "m",
        "input": {"inputBodyJson": request_body},
        "output": {"outputBodyJson": answer},
    }
    row = one(tmp_path, line)
    has(row, **wanted)
    assert json.loads(row["messages"]) == prompt


def test_a_mapped_body_gives_model_and_parameters(tmp_path: Path) -> None:
    body = {
        "model": "m-1",
        "temperature": 0.25,
        "stream": True,
        "tools": [{}],
        "user": "end-7",
        "messages": [{"role": "user", "content": "Hi"}],
    }
    line = {
        "msec": "1772359200.250",
        "request_id": "n",
        "account_id": "acme",
        "request_time": "0.950",
        "request_body": json.dumps(body),
    }
    has(
        one(tmp_path, line, "nginx"),
        model="m-1",
        temperature=0.25,
        stream=True,
        tools_count=1,
        end_user_id="end-7",
        end_user_provenance="claimed",
        latency_ms=950,
        operation="chat",
    )


def test_an_empty_body_is_told_with_its_remedy(tmp_path: Path) -> None:
    line = {"msec": "1772359200.250", "account_id": "acme", "request_body": ""}
    rows, told = read(
        tmp_path, [line | {"request_id": "a"}, line | {"request_id": "b", "request_body": '{"prompt": "x"}'}], "nginx"
    )
    assert len(rows) == 2 and "client_body_buffer_size" in told[0]


@pytest.mark.parametrize(
    "content", ["redacted-by-litellm", "[REDACTED]", "<redacted>", "data:image/png;base64,iVBORw0KGgo="]
)
def test_what_a_logger_put_in_place_of_a_prompt_is_no_prompt(content: str, tmp_path: Path) -> None:
    messages = [{"role": "user", "content": content}]
    assert "messages" not in one(tmp_path, CALL | {"exchange_id": "e", "messages": messages})
    row = one(tmp_path, CALL | {"request_id": "r", "request": {"model": "m", "messages": messages}})
    assert content not in row.get("messages", "")


def test_a_body_in_base64_is_read_and_an_encrypted_one_is_no_prompt(tmp_path: Path) -> None:
    text = 'format = "jsonl_map"\n[fields]\nts = "t"\naccount_id = "a"\nexchange_id = "i"\nmessages = "b"\n'
    line = {"t": 1772359200, "a": "acme", "i": "e"}
    held = "eyJtZXNzYWdlcyI6IFt7InJvbGUiOiAidXNlciIsICJjb250ZW50IjogIkhpIn1dfQ=="
    assert json.loads(one(tmp_path, line | {"b": held}, text)["messages"])["messages"][0]["content"] == "Hi"
    assert "messages" not in one(tmp_path, line | {"b": "q83vEjRWeJq83vEjRWeJq83vEjRWeJq83vEjRWeJq80="}, text)


# ---- LiteLLM --------------------------------------------------------------------------------------------------------

PAYLOAD = {
    "id": "c1",
    "litellm_call_id": "l1",
    "call_type": "acompletion",
    "status": "success",
    "startTime": 1772359200.25,
    "endTime": 1772359201.5,
    "model": "m1",
    "metadata": {"user_api_key_user_id": "acme"},
    "model_parameters": {},
}


def test_a_litellm_payload_of_the_responses_api_is_read(tmp_path: Path) -> None:
    answer = {
        "object": "response",
        "status": "completed",
        "usage": {"input_tokens": 9, "output_tokens": 4},
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "The Po."}]}],
    }
    row = one(
        tmp_path,
        PAYLOAD
        | {
            "call_type": "aresponses",
            "response": answer,
            "model_parameters": {"instructions": "You are a harness.", "max_output_tokens": 77},
            "messages": [{"role": "user", "content": "Name a river"}],
        },
    )
    has(row, max_tokens=77, response_text="The Po.", stop_reason="completed", operation="chat", input_tokens=9)
    assert json.loads(row["messages"])["instructions"] == "You are a harness."


def test_what_litellm_redacted_is_no_prompt(tmp_path: Path) -> None:
    row = one(tmp_path, PAYLOAD | {"messages": [{"role": "user", "content": "redacted-by-litellm"}]})
    assert "messages" not in row
    has(row, status=200, operation="chat")


@pytest.mark.parametrize(
    ("call_type", "operation"),
    [
        ("acompletion", "chat"),
        ("anthropic_messages", "chat"),
        ("atext_completion", "completion"),
        ("aembedding", "embedding"),
    ],
)
def test_kinds_of_litellm_calls_are_operations(call_type: str, operation: str, tmp_path: Path) -> None:
    has(one(tmp_path, PAYLOAD | {"call_type": call_type}), operation=operation)


def test_failures_of_litellm_have_a_status(tmp_path: Path) -> None:
    failed = PAYLOAD | {"status": "failure", "error_information": {"error_class": "RateLimitError", "error_code": ""}}
    has(one(tmp_path, failed), status=429)
    has(one(tmp_path, failed | {"error_information": {"error_code": "503"}}), status=503)


def test_everything_inside_a_spend_row_is_read(tmp_path: Path) -> None:
    row = {
        "request_id": "r-1",
        "call_type": "acompletion",
        "api_key": "ab12",
        "spend": 0.001,
        "prompt_tokens": 21,
        "completion_tokens": 4,
        "startTime": "2026-03-01 10:00:00.25",
        "endTime": "2026-03-01 10:00:01.5",
        "model": "openai/m1",
        "model_group": "m1",
        "user": "acme",
        "status": "success",
        "messages": {},
        "metadata": {
            "usage_object": {
                "prompt_tokens_details": {"cached_tokens": 3},
                "completion_tokens_details": {"reasoning_tokens": 2},
            }
        },
        "request_tags": ["User-Agent: demo", "User-Agent: demo/1.0"],
        "response": {"choices": [{"message": {"content": "The Po."}, "finish_reason": "stop"}]},
        "proxy_server_request": {
            "model": "m1",
            "tools": [{"type": "function"}],
            "stream": True,
            "max_tokens": 64,
            "temperature": 0.25,
            "messages": [{"role": "user", "content": "Hi"}],
        },
    }
    has(
        one(tmp_path, row),
        stream=True,
        temperature=0.25,
        max_tokens=64,
        tools_count=1,
        cached_tokens=3,
        reasoning_tokens=2,
        user_agent="demo/1.0",
        status=200,
        response_text="The Po.",
        stop_reason="stop",
        latency_ms=1250,
    )
    failed = row | {"status": "failure", "metadata": {"error_information": {"error_code": "429"}}}
    has(one(tmp_path, failed), status=429)
    has(one(tmp_path, row | {"call_type": "anthropic_messages"}), operation="chat")
    has(one(tmp_path, row | {"user": "default_user_id", "team_id": None}), account_id="ab12")


# ---- telemetry ------------------------------------------------------------------------------------------------------


def test_parts_and_tools_of_openinference_are_read(tmp_path: Path) -> None:
    prefix = "llm.input_messages.0.message"
    row = one(
        tmp_path,
        spans(
            {
                "llm.model_name": "m",
                f"{prefix}.role": "user",
                f"{prefix}.contents.0.message_content.type": "text",
                f"{prefix}.contents.0.message_content.text": "Name a river",
                "llm.tools.0.tool.json_schema": '{"name": "f"}',
            }
        ),
    )
    has(row, tools_count=1)
    body = json.loads(row["messages"])
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Name a river"}]}]
    assert body["tools"] == [{"name": "f"}]


def test_the_whole_request_in_a_span_gives_parameters_and_answer(tmp_path: Path) -> None:
    request = {
        "model": "m",
        "instructions": "Be brief.",
        "max_output_tokens": 77,
        "input": "Name a river",
        "tools": [{"type": "function", "name": "f"}],
    }
    answer = {"output": [{"type": "message", "content": [{"type": "output_text", "text": "The Po."}]}]}
    row = one(
        tmp_path,
        spans(
            {"openinference.span.kind": "LLM", "input.value": json.dumps(request), "output.value": json.dumps(answer)}
        ),
    )
    has(row, max_tokens=77, model="m", tools_count=1, response_text="The Po.", operation="chat")
    assert json.loads(row["messages"])["instructions"] == "Be brief."


def test_failed_calls_and_embeddings_are_exchanges(tmp_path: Path) -> None:
    given = (
        {"openinference.span.kind": "LLM", "llm.invocation_parameters": '{"model": "m"}'},
        {"openinference.span.kind": "EMBEDDING", "embedding.model_name": "e", "llm.token_count.prompt": 9},
        {"gen_ai.operation.name": "image_generation", "gen_ai.request.model": "i"},
        {"openinference.span.kind": "TOOL", "llm.model_name": "m"},
    )
    rows, told = read(tmp_path, [spans(*given, status={"code": 2, "message": "RateLimitError: 429"})])
    assert [(r["model"], r.get("operation"), r["status"]) for r in rows] == [
        ("m", "chat", 429),
        ("e", "embedding", 429),
        ("i", None, 429),
    ]
    assert told == ["1 spans and log records that are not model calls were skipped"]


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"error.type": "429"}, 429),
        ({"error.type": "openai.RateLimitError"}, 429),
        ({"error.type": "timeout"}, None),
        ({"http.response.status_code": 503, "error.type": "429"}, 503),
    ],
)
def test_the_error_of_a_span_is_its_status(given: Row, status: int | None, tmp_path: Path) -> None:
    assert one(tmp_path, spans({"gen_ai.request.model": "m"} | given, status={"code": 2})).get("status") == status


def test_tool_definitions_are_tools(tmp_path: Path) -> None:
    row = one(
        tmp_path,
        spans(
            {
                "gen_ai.request.model": "m",
                "gen_ai.tool.definitions": '[{"type": "function", "name": "f"}]',
                "gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "Name a river"}]}]',
            }
        ),
    )
    has(row, tools_count=1)
    assert json.loads(row["messages"])["tools"] == [{"type": "function", "name": "f"}]
    spread = one(
        tmp_path,
        spans({"gen_ai.request.model": "m", "llm.request.functions.0.name": "f", "llm.request.functions.1.name": "g"}),
    )
    has(spread, tools_count=2)


@pytest.mark.parametrize("first", ["span", "record"])
def test_a_prompt_in_a_log_record_is_joined_to_its_span(first: str, tmp_path: Path) -> None:
    record = {
        "traceId": SPAN["traceId"],
        "spanId": "eee19b7ec3c1b100",
        "eventName": "gen_ai.user.message",
        "timeUnixNano": "1772359200250000000",
        "attributes": attributes({"gen_ai.system": "openai"}),
        "body": {"kvlistValue": {"values": attributes({"content": "Name a river"})}},
    }
    lines: list[Row] = [
        spans({"gen_ai.request.model": "m"}),
        {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]},
    ]
    rows, told = read(tmp_path, lines if first == "span" else lines[::-1])
    assert [json.loads(r["messages"]) for r in rows] == [[{"role": "user", "content": "Name a river"}]] and not told


def test_the_inner_span_of_the_vercel_sdk_is_the_call(tmp_path: Path) -> None:
    given = {
        "ai.model.id": "m",
        "ai.prompt.messages": '[{"role": "user", "content": "Name a river"}]',
        "ai.usage.promptTokens": 9,
        "ai.prompt.tools": '[{"name": "f"}]',
        "ai.response.text": "The Po.",
        "ai.settings.temperature": 0.25,
    }
    line = spans(
        given | {"operation.name": "ai.generateText f"}, given | {"ai.operationId": "ai.generateText.doGenerate"}
    )
    rows, _ = read(tmp_path, [line])
    assert len(rows) == 1
    has(rows[0], model="m", input_tokens=9, operation="chat", tools_count=1, response_text="The Po.", temperature=0.25)


def test_protocol_names_and_base64_ids_are_understood(tmp_path: Path) -> None:
    span = {
        "trace_id": "W47/95gDgQPSabYzgT/GDA==",
        "span_id": "7uGbfsPBsXQ=",
        "start_time_unix_nano": "1772359200250000000",
        "attributes": [
            {"key": "user.id", "value": {"string_value": "acme"}},
            {"key": "gen_ai.request.model", "value": {"string_value": "m-1"}},
            {"key": "gen_ai.usage.input_tokens", "value": {"int_value": "21"}},
        ],
    }
    row = one(tmp_path, {"resource_spans": [{"resource": {}, "scope_spans": [{"spans": [span]}]}]})
    has(
        row,
        account_id="acme",
        model="m-1",
        input_tokens=21,
        exchange_id="5b8efff798038103d269b633813fc60c-eee19b7ec3c1b174",
    )


def test_cached_tokens_that_are_counted_apart_are_input(tmp_path: Path) -> None:
    usage = {"input": 86, "input_cached_tokens": 17817, "output": 5}
    given = {"langfuse.observation.type": "generation", "langfuse.observation.model.name": "m"}
    has(
        one(tmp_path, spans(given | {"langfuse.observation.usage_details": json.dumps(usage)})),
        input_tokens=17903,
        cached_tokens=17817,
    )
    whole = usage | {"input": 17903, "total": 17908}
    has(one(tmp_path, spans(given | {"langfuse.observation.usage_details": json.dumps(whole)})), input_tokens=17903)


# ---- field maps -----------------------------------------------------------------------------------------------------

HEAD = 'format = "{}_map"\n'
FIELDS = '[fields]\nexchange_id = "id"\nts = "t"\naccount_id = "a"\n'
ROW = {"id": "e", "t": 1772359200, "a": "acme"}


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ('type = "GENERATION"', ["1"]),
        ('type = ["GENERATION", "EVENT"]', ["1", "3"]),
        ('type = {not = "SPAN"}', ["1", "3", "4"]),
        ("type = {present = true}", ["1", "2", "3"]),
        ("type = {present = false}", ["4"]),
        ('"deep.n" = 7', ["2"]),
        ("ok = true", ["3"]),
    ],
)
def test_conditions_choose_rows(where: str, kept: list[str], tmp_path: Path) -> None:
    lines = [
        ROW | {"id": "1", "type": "GENERATION"},
        ROW | {"id": "2", "type": "SPAN", "deep": {"n": 7}},
        ROW | {"id": "3", "type": "EVENT", "ok": True},
        ROW | {"id": "4"},
    ]
    rows, told = read(tmp_path, lines, HEAD.format("jsonl") + f"[where]\n{where}\n" + FIELDS)
    assert [row["exchange_id"] for row in rows] == kept
    assert told == [f"{4 - len(kept)} rows are left out, as [where] in the field map says"]


def test_a_list_is_unpacked_with_the_fields_around_it(tmp_path: Path) -> None:
    line = {"a": "acme", "calls": [{"t": 1772359200, "m": "m-1"}, {"t": 1772359201, "m": "m-2"}, "odd"]}
    text = HEAD.format("jsonl") + 'each = "calls"\n[fields]\nts = "t"\naccount_id = "a"\nmodel = "m"\n'
    rows, _ = read(tmp_path, [line, {"a": "beta", "t": 1772359202}], text)
    assert [(r["account_id"], r.get("model")) for r in rows] == [("acme", "m-1"), ("acme", "m-2"), ("beta", None)]
    assert len({r["exchange_id"] for r in rows}) == 3


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ('{path = "v", scale = 1000}', 1.25, 1250),
        ('{path = "v", scale = 1000}', "0.950", 950),
        ('{path = "v", scale = 1000}', "-", None),
        ('{path = "v", default = 7}', None, 7),
        ('{path = "v", match = "took (\\\\d+) ms"}', "it took 950 ms", 950),
        ('{path = "v", match = "took (\\\\d+) ms"}', "no", None),
        ('[{path = "s", scale = 1000}, "v"]', 950, 950),
    ],
)
def test_values_are_scaled_searched_and_completed(
    field: str, value: object, wanted: int | None, tmp_path: Path
) -> None:
    assert (
        one(tmp_path, ROW | {"v": value}, HEAD.format("jsonl") + FIELDS + f"latency_ms = {field}\n").get("latency_ms")
        == wanted
    )


def test_a_pattern_stays_fast_on_hostile_text(tmp_path: Path) -> None:
    text = HEAD.format("jsonl") + FIELDS + 'model = {path = "v", match = "^((a+)+)$"}\n'
    assert "model" not in one(tmp_path, ROW | {"v": "a" * 4000 + "!"}, text)
    assert "model" not in one(tmp_path, ROW | {"v": "a" * 100_000}, text)


def test_a_path_steps_into_json_in_a_cell(tmp_path: Path) -> None:
    body = json.dumps({"temperature": 0.5, "messages": [{"role": "user", "content": "hi"}]}).replace('"', '""')
    log = f'id,when,who,body\n1,2026-03-01T10:00:00Z,"{{""id"": ""a""}}","{body}"\n'
    text = HEAD.format("csv") + '[fields]\nexchange_id = "id"\nts = "when"\naccount_id = "who.id"\nmessages = "body"\n'
    (row,), _ = read(tmp_path, log, text, "log.csv")
    has(row, account_id="a", temperature=0.5)


def test_a_map_over_a_format_chooses_and_changes_as_well(tmp_path: Path) -> None:
    line = CALL | {"request": {"model": "m", "messages": []}, "seconds": 0.5}
    text = (
        'format = "openai"\n[where]\nstatus = 200\n[fields]\nlatency_ms = {path = "seconds", scale = 1000}\n'
        '[constants]\nend_user_provenance = "signed"\n'
    )
    rows, told = read(tmp_path, [line | {"request_id": "a"}, line | {"request_id": "b", "status": 401}], text)
    assert [r["exchange_id"] for r in rows] == ["a"] and told
    has(rows[0], latency_ms=500, model="m", end_user_provenance="signed")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[fields]\nmodel = {pth = "x"}', "Did you mean 'path'"),
        ('[fields]\nmodel = {path = "x", match = "("}', "no regular expression with a group"),
        ('[fields]\nmodel = {path = "x", match = "a"}', "no regular expression with a group"),
        ('[fields]\nlatency_ms = {path = "x", scale = -1}', "no number above 0"),
        ('[where]\ntype = {nt = "x"}', "Did you mean 'not'"),
        ("trusted_hops = -1", "no small number"),
        ('trusted_proxies = ["x"]', "no list of networks"),
        ("trusted_hop = 1", "Did you mean 'trusted_hops'"),
        ("each = 7", "not the path of a list"),
        ('time = "%d"', "unknown value of `time`"),
    ],
)
def test_a_wrong_rule_of_a_map_is_named(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=told):
        text = text if text.startswith(("[fields]", "[where]")) else f"{text}\n[constants]\n"
        own = text.replace("[fields]\n", FIELDS) if "[fields]" in text else text + "\n" + FIELDS
        read(tmp_path, [ROW], HEAD.format("jsonl") + own)


@pytest.mark.parametrize(
    "spelling",
    [
        "2026-03-01T10:00:00Z",
        "2026-03-01 10:00:00 UTC",
        "Sun, 01 Mar 2026 10:00:00 GMT",
        "01/Mar/2026:10:00:00 +0000",
        "2026-03-01 10:00:00,000",
        "2026-03-01T10:00:00.0000000Z",
        "2026-03-01T12:00:00+02:00",
        "2026-03-01 12:00:00 +0200",
        "2026/03/01 10:00:00",
        "Sun Mar  1 10:00:00 2026",
        "2026-03-01T09:59:60Z",
        "Sun Mar 1 10:00:00 UTC 2026",
        "2026-03-01 10:00:00 +0000 UTC",
        1772359200,
        1772359200.0,
        1772359200000,
        "1772359200000000",
        "1772359200000000000",
        "1772359200,000",
        "2026-03-01T10:00:00Z[UTC]",
        "2026-03-01T11:00:00+01:00[Europe/Paris]",
        "Sun Mar 01 2026 10:00:00 GMT+0000 (Coordinated Universal Time)",
        "/Date(1772359200000)/",
        "01/Mar/2026:10:00:00.000",
        "2026-03-01 10:00:00 AM",
        "2026/03/01 10:00:00 am",
    ],
)
def test_times_are_read_in_the_usual_spellings(spelling: object, tmp_path: Path) -> None:
    row = one(tmp_path, ROW | {"t": spelling}, HEAD.format("jsonl") + FIELDS)
    assert row["ts"].isoformat() == "2026-03-01T10:00:00+00:00"


def test_an_unknown_spelling_is_told_from_another_century_and_can_be_given(tmp_path: Path) -> None:
    odd = "Mar 1, 2026, 10:00:00 AM"
    text = HEAD.format("jsonl") + FIELDS
    rows, told = read(tmp_path, [ROW, ROW | {"t": odd}, ROW | {"t": "1997-03-01T10:00:00Z"}], text)
    assert len(rows) == 1 and "unknown way" in told[0] and "time = " in told[0]
    assert told[1] == "ts: not a time between 2000 and 2100"
    given = HEAD.format("jsonl") + 'time = "%b %d, %Y, %I:%M:%S %p"\n' + FIELDS
    assert one(tmp_path, ROW | {"t": odd}, given)["ts"].isoformat() == "2026-03-01T10:00:00+00:00"


# ---- who vouches for an end user ------------------------------------------------------------------------------------


def test_an_end_user_says_who_vouches_for_it(tmp_path: Path) -> None:
    call = CALL | {"request_id": "r", "request": {"model": "m", "messages": [], "user": "end-7"}}
    has(one(tmp_path, call), end_user_id="end-7", end_user_provenance="claimed")
    has(one(tmp_path, call | {"end_user_id": "end-8"}), end_user_id="end-8", end_user_provenance="gateway")
    signed = call | {"end_user_id": "end-8", "end_user_provenance": "signed"}
    has(one(tmp_path, signed), end_user_id="end-8", end_user_provenance="signed")


def test_sign_up_facts_are_read_at_two_moments(tmp_path: Path) -> None:
    log = tmp_path / "log.ndjson"
    log.write_text(json.dumps(CALL | {"exchange_id": "e"}) + "\n")
    accounts = tmp_path / "accounts.ndjson"
    accounts.write_text(
        json.dumps(
            {
                "account_id": "acme",
                "created_at": "2026-02-01T00:00:00Z",
                "signup_ip": "203.0.113.7:4000",
                "device_fingerprint": "d-1",
                "verified_at": "2026-02-02T00:00:00Z",
                "verification_ip": "198.51.100.7, 10.0.0.1",
                "verification_device": "d-2",
            }
        )
        + "\n"
    )
    table = open_log(log, accounts=accounts).accounts()
    assert table is not None
    (row,) = table.to_pylist()
    has(row, signup_ip="203.0.113.7", verification_ip="198.51.100.7", verification_device="d-2")


def test_json_that_people_wrote_is_no_body(tmp_path: Path) -> None:
    text = HEAD.format("jsonl") + FIELDS + 'messages = "q"\nresponse_text = "r"\n'
    row = one(tmp_path, ROW | {"q": '{"model": "x", "user": "y"}', "r": '{"results": [1], "usage": 2}'}, text)
    has(row, messages='{"model": "x", "user": "y"}', response_text='{"results": [1], "usage": 2}')
    assert not row.keys() & {"model", "end_user_id"}


def test_doctor_names_the_fields_of_a_map_that_no_row_has(tmp_path: Path) -> None:
    log, mapping = tmp_path / "x.ndjson", tmp_path / "m.toml"
    log.write_text(json.dumps(ROW) + "\n")
    mapping.write_text(HEAD.format("jsonl") + FIELDS + 'model = "modle"\n')
    assert look(open_log(log, mapping=mapping))["unfilled"] == {"model": "modle"}
