"""Excerpts of what real software wrote in `tests/real`, where a reader once missed or mistook a value."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from clonewatch.adapters.reading import open_log
from clonewatch.kernels.buffers import text_buffers
from clonewatch.kernels.chat import SPANS, read_chats
from clonewatch.model.errors import MappingError

Row = dict[str, Any]
IDS = {"traceId": "2bd3d1b966f957a28a521f397531ae32", "spanId": "b46e66d13c8e33d0"}
ASKED = [{"role": "user", "parts": [{"content": "Name a river", "type": "text"}]}]
SAID = {"role": "assistant", "parts": [{"content": "The Po.", "type": "text"}], "finish_reason": "stop"}


def read(
    folder: Path, *lines: Row, mapping: str = "", log: Path | None = None
) -> tuple[list[Row], list[str], list[str]]:
    """The exchanges without empty values, the reasons of rejected rows, the warnings. log: one that is written."""
    if log is None:
        log = folder / "log.ndjson"
        log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    field_map = Path(mapping) if mapping else None
    if mapping and not mapping.isidentifier():
        field_map = folder / "map.toml"
        field_map.write_text(mapping)
    opened = open_log(log, mapping=field_map)
    rejected: list[Any] = []
    rows = [row for batch in opened.batches(rejected.extend) for row in batch.to_pylist()]
    kept = [{k: v for k, v in row.items() if v is not None} for row in rows]
    return kept, [r.reason for r in rejected], list(opened.warnings)


def value(given: object) -> Row:
    """A value as OTLP/JSON writes it."""
    if isinstance(given, dict):
        return {"kvlistValue": {"values": pairs(given)}}
    if isinstance(given, list):
        return {"arrayValue": {"values": [value(one) for one in given]}}
    return {"stringValue": given} if isinstance(given, str) else {"intValue": str(given)}


def pairs(given: Row) -> list[Row]:
    return [{"key": key, "value": value(held)} for key, held in given.items()]


def span(attributes: Row, **more: Any) -> Row:
    times = {"startTimeUnixNano": "1795825895158785770", "endTimeUnixNano": "1795825895183776053"}
    made = IDS | times | {"attributes": pairs({"user.id": "acct-01"} | attributes)} | more
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [made]}]}]}


def record(event: str, body: Row, **attributes: Any) -> Row:
    made = IDS | {"observedTimeUnixNano": "1795825895183600877", "eventName": event, "body": value(body)}
    made["attributes"] = pairs(attributes)
    return {"resourceLogs": [{"resource": {}, "scopeLogs": [{"logRecords": [made]}]}]}


def chat(row: Row) -> Row:
    """What fingerprinting finds in the messages of a row."""
    text = text_buffers(pa.array([row["messages"]], pa.string()))
    found = read_chats(text)
    spans = {name: bytes(text.data[a:b]).decode() for name, (a, b) in zip(SPANS, found.spans[0], strict=True)}
    parts = {"user": found.user, "system": found.system}
    said = {name: bytes(part.data[part.offsets[0] : part.offsets[1]]).decode() for name, part in parts.items()}
    return {name: held for name, held in (spans | said).items() if held}


# ---- OpenTelemetry ---------------------------------------------------------------------------------------------------

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.response.id": "chatcmpl-1"}
DETAILS = "gen_ai.client.inference.operation.details"


def details() -> Row:
    texts = {"gen_ai.input.messages": ASKED, "gen_ai.output.messages": [SAID, SAID]}
    return record(DETAILS, {}, **CHAT, **texts)


@pytest.mark.parametrize("order", [1, -1])
def test_a_record_with_all_texts_of_a_call_is_joined_to_its_span(order: int, tmp_path: Path) -> None:
    rows, rejected, warnings = read(tmp_path, *[span(CHAT), details()][::order])
    assert len(rows) == 1 and not rejected and not warnings
    assert rows[0]["account_id"] == "acct-01" and rows[0]["stop_reason"] == "stop"
    assert chat(rows[0])["user"] == "Name a river" and rows[0]["response_text"] == "The Po."


@pytest.mark.parametrize("order", [1, -1])
def test_a_record_that_repeats_what_its_span_says_is_no_second_call(order: int, tmp_path: Path) -> None:
    whole = span(CHAT | {"gen_ai.input.messages": json.dumps(ASKED)})
    rows, rejected, _ = read(tmp_path, *[whole, details()][::order])
    assert len(rows) == 1 and not rejected


def test_a_record_whose_span_is_not_exported_is_a_call(tmp_path: Path) -> None:
    alone = details()
    alone["resourceLogs"][0]["resource"] = {"attributes": pairs({"user.id": "acct-01"})}
    rows, _, _ = read(tmp_path, alone)
    assert [chat(row)["user"] for row in rows] == ["Name a river"]


def test_prompts_in_log_records_are_joined_to_a_span_with_stop_strings(tmp_path: Path) -> None:
    asked = CHAT | {"gen_ai.request.stop_sequences": ["END"], "gen_ai.openai.request.response_format": "json_object"}
    told = [record("gen_ai.developer.message", {"content": "Be brief"}),
            record("gen_ai.user.message", {"content": "Name a river"})]  # fmt: skip
    (row,), _, _ = read(tmp_path, *told, span(asked))
    assert chat(row) == {"system": "Be brief", "user": "Name a river", "stop": '["END"]',
                         "format": '{"type":"json_object"}'}  # fmt: skip


def test_of_several_answers_the_first_counts_and_says_why_it_ended(tmp_path: Path) -> None:
    other = SAID | {"parts": [{"content": "The Don.", "type": "text"}], "finish_reason": "length"}
    (row,), _, _ = read(tmp_path, span(CHAT | {"gen_ai.output.messages": json.dumps([SAID, other])}))
    assert (row["response_text"], row["stop_reason"]) == ("The Po.", "stop")


def test_openinference_answers_give_their_id_and_their_end(tmp_path: Path) -> None:
    asked = {"model": "m", "max_tokens": 64, "stop_sequences": ["END"], "metadata": {"user_id": "person-1"},
             "messages": [{"role": "user", "content": "Name a river"}]}  # fmt: skip
    said = {
        "id": "msg_1",
        "type": "message",
        "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "The Po."}],
    }
    attributes = {
        "openinference.span.kind": "LLM",
        "llm.model_name": "m",
        "input.value": json.dumps(asked),
        "output.value": json.dumps(said),
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": "Name a river",
    }
    (row,), _, _ = read(tmp_path, span(attributes))
    assert (row["exchange_id"], row["stop_reason"], row["end_user_id"]) == ("msg_1", "end_turn", "person-1")
    assert chat(row) == {"user": "Name a river", "stop": '["END"]'} and row["response_text"] == "The Po."


def test_of_several_choices_in_a_whole_answer_the_first_counts(tmp_path: Path) -> None:
    choices = [{"index": i, "message": {"role": "assistant", "content": f"Answer {i}"}} for i in range(2)]
    attributes = {"openinference.span.kind": "LLM", "output.value": json.dumps({"choices": choices})}
    (row,), _, _ = read(tmp_path, span(attributes))
    assert row["response_text"] == "Answer 0"


# ---- nginx, bodies, LiteLLM ------------------------------------------------------------------------------------------

ACCESS = {"msec": "1795825881.855", "request_id": "n-1", "account_id": "acct-01", "status": "200"}


def test_a_call_in_an_access_log_begins_when_it_arrived(tmp_path: Path) -> None:
    lines = [ACCESS | {"request_time": "0.405"}, ACCESS | {"request_id": "n-2"}]
    rows, _, _ = read(tmp_path, *lines, mapping="nginx")
    assert [row["ts"].isoformat() for row in rows] == [
        "2026-11-28T00:31:21.450000+00:00",
        "2026-11-28T00:31:21.855000+00:00",
    ]


@pytest.mark.parametrize(
    ("time", "end"),
    [
        ("auto", "2026-11-28T00:31:21.855Z"),
        ("ms", 1795825881855),
        ("%Y-%m-%d %H:%M:%S.%f", "2026-11-28 00:31:21.855"),
    ],
)
def test_a_map_takes_a_duration_off_a_time(time: str, end: object, tmp_path: Path) -> None:
    mapping = f'format = "jsonl_map"\ntime = "{time}"\n[fields]\naccount_id = "a"\nts = {{path = "e", minus = "d"}}\n'
    (row,), _, _ = read(tmp_path, {"a": "acme", "e": end, "d": 1.855}, mapping=mapping)
    assert row["ts"].isoformat() == "2026-11-28T00:31:20+00:00"


@pytest.mark.parametrize("time", ["auto", "each", "s"])
def test_a_duration_is_taken_off_alike_however_the_others_of_the_file_are_written(time: str, tmp_path: Path) -> None:
    """Plain decimal text is taken off at once; one value of another kind and all are taken off one by one."""
    mapping = f'format = "jsonl_map"\ntime = "{time}"\n[fields]\naccount_id = "a"\nts = {{path = "e", minus = "d"}}\n'
    lines: list[Row] = [
        {"a": "acme", "e": f"1795825881.{i:03}", "d": d} for i, d in enumerate(["0.405", "604801.0", "0.000"])
    ]
    alone, _, _ = read(tmp_path, *lines, mapping=mapping)
    beside, _, _ = read(tmp_path, *lines, {"a": "acme", "e": "2026-11-28T00:31:21Z", "d": "-"}, mapping=mapping)
    assert [row["ts"] for row in alone] == [row["ts"] for row in beside][:3]


def test_a_duration_is_taken_off_times_alone(tmp_path: Path) -> None:
    mapping = 'format = "jsonl_map"\n[fields]\naccount_id = "a"\nts = "t"\nlatency_ms = {path = "l", minus = "d"}\n'
    with pytest.raises(MappingError, match="minus"):
        read(tmp_path, {"a": "acme", "t": 1795825881}, mapping=mapping)


def test_a_duration_is_taken_off_in_csv_too(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("a,e,d\nacme,1795825881.855,0.855\n")
    mapping = tmp_path / "map.toml"
    mapping.write_text('format = "csv_map"\n[fields]\naccount_id = "a"\nts = {path = "e", minus = "d"}\n')
    rows = [r for b in open_log(tmp_path / "log.csv", mapping=mapping).batches(list) for r in b.to_pylist()]
    assert rows[0]["ts"].isoformat() == "2026-11-28T00:31:21+00:00"


def test_an_anthropic_body_in_an_access_log_names_its_end_user(tmp_path: Path) -> None:
    body = {
        "model": "c",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "x"}],
        "metadata": {"user_id": "p-1"},
    }
    (row,), _, _ = read(tmp_path, ACCESS | {"request_body": json.dumps(body)}, mapping="nginx")
    assert (row["end_user_id"], row["end_user_provenance"]) == ("p-1", "claimed")


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ('{"verbosity": "low", "format": {"type": "json_object"}}', '{"type": "json_object"}'),
        ('{"verbosity": "low"}', None),
        ('"format"', None),
        ('{"format"', None),
    ],
)
def test_the_answer_format_of_the_responses_api_is_found(text: str, form: str | None) -> None:
    found = chat({"messages": f'{{"input": "Name a river", "text": {text}}}'})
    assert found.get("format") == form and found["user"] == "Name a river"


PAYLOAD = {"id": "msg_1", "litellm_call_id": "l-1", "call_type": "anthropic_messages", "status": "success",
           "startTime": 1795825855.765, "endTime": 1795825855.773, "model": "c",
           "metadata": {"user_api_key_user_id": "acct-01", "user_api_key_hash": "ab"},
           "messages": [{"role": "user", "content": "Name a river"}]}  # fmt: skip


def test_stop_strings_of_anthropic_calls_through_litellm_are_read(tmp_path: Path) -> None:
    (row,), _, _ = read(tmp_path, PAYLOAD | {"model_parameters": {"max_tokens": 64, "stop_sequences": ["END"]}})
    assert chat(row)["stop"] == '["END"]'


def test_the_client_of_a_failed_call_stands_beside_the_body_that_litellm_kept(tmp_path: Path) -> None:
    about = {"requester_ip_address": "203.0.113.7", "headers": {"x-stainless-lang": "python",
             "x-stainless-package-version": "2.14.0", "user-agent": "Anthropic/Python 2.14.0"}}  # fmt: skip
    kept = {"model": "c", "messages": [{"role": "user", "content": "x"}], "litellm_metadata": about}
    row = {"request_id": "r-1", "call_type": "anthropic_messages", "api_key": "ab", "user": "acct-01", "spend": 0.0,
           "startTime": "2026-11-28T00:31:07.845099+00:00", "endTime": "2026-11-28T00:31:07.908493+00:00",
           "requester_ip_address": None, "proxy_server_request": json.dumps(kept)}  # fmt: skip
    (read_row,), _, _ = read(tmp_path, row)
    assert read_row["client_ip"] == "203.0.113.7" and read_row["sdk"] == "python 2.14.0"
    assert read_row["user_agent"] == "Anthropic/Python 2.14.0"


PAYLOAD: Row = {
    "litellm_call_id": "l-1", "call_type": "acompletion", "startTime": 1772359200.25, "model": "m",
    "messages": [{"role": "user", "content": "Name a river"}], "status": "success",
    "model_parameters": {"temperature": 0.5, "max_tokens": 64, "stream": True},
    "metadata": {
        "user_api_key_user_id": "acme", "usage_object": {"completion_tokens_details": {"reasoning_tokens": 3}},
    },
    "response": {"choices": [{"message": {"content": "The Po."}, "finish_reason": "stop"}]},
}  # fmt: skip


@pytest.mark.parametrize("inside", ["model_parameters", "metadata", "response", "messages"])
def test_objects_that_a_store_put_into_text_are_read_as_objects(inside: str, tmp_path: Path) -> None:
    plain, _, _ = read(tmp_path, PAYLOAD)
    assert plain[0]["reasoning_tokens"] == 3 and plain[0]["max_tokens"] == 64
    assert read(tmp_path, PAYLOAD | {inside: json.dumps(PAYLOAD[inside])})[0] == plain


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("litellm.RateLimitError: OpenAIException - Error code: 429 - {'error': 1}", 429),
        ("Error code: 529 - {'type': 'error'}", 529),
        ("litellm.ContextWindowExceededError: too long, 12500 tokens", 400),
        ("Connection error.", None),
        ("the user wrote 'the litellm.RateLimitError: class'", None),
    ],
)
def test_the_message_of_a_failed_call_has_its_status(error: str, status: int | None, tmp_path: Path) -> None:
    (row,), _, _ = read(tmp_path, PAYLOAD | {"status": "failure", "response": None, "error_str": error})
    assert row.get("status") == status


def test_a_spend_row_has_the_headers_beside_the_body_that_the_proxy_received(tmp_path: Path) -> None:
    request = {"url": "/v1/chat/completions", "headers": {"user-agent": "demo/1.0"}, "body": {"messages": SAID}}
    made = {"request_id": "r-1", "call_type": "acompletion", "api_key": "k", "spend": 0.1, "startTime": 1772359200.25}
    (row,), _, _ = read(tmp_path, made | {"user": "acme", "model": "m", "proxy_server_request": request})
    assert row["user_agent"] == "demo/1.0"


def test_a_request_in_base64_gives_its_parameters_too(tmp_path: Path) -> None:
    body = {"model": "m", "max_tokens": 64, "messages": [{"role": "user", "content": "Name a river"}]}
    packed = b64encode(json.dumps(body).encode()).decode()
    made = {"ts": 1772359200, "account_id": "acme", "response": {"id": "c-1", "choices": []}}
    (row,), _, _ = read(tmp_path, made | {"request": packed})
    assert (row["max_tokens"], chat(row)["user"]) == (64, "Name a river")
