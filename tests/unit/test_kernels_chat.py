"""Finding the user's words in logged messages."""

import json

import pyarrow as pa
import pytest

from clonewatch.kernels.buffers import text_buffers
from clonewatch.kernels.chat import SPANS, read_chats

AWKWARD = 'ünïc "q" \\ back \n line \t tab 中文 \U0001f600 / end'


def found(message: str | None) -> tuple[str | None, str | None]:
    chats = read_chats(text_buffers(pa.array([message], pa.string())))
    return tuple(t.bytes_at(0).decode() if t.valid[0] else None for t in (chats.user, chats.system))  # type: ignore[return-value]


def say(role: str, content: object) -> dict[str, object]:
    return {"role": role, "content": content}


def part(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def test_the_last_user_message_and_the_first_system_prompt_are_found() -> None:
    talk = [
        say("system", "be kind"),
        say("user", "one"),
        say("assistant", "no"),
        say("user", "two"),
        say("assistant", "x"),
    ]
    assert found(json.dumps(talk)) == ("two", "be kind")
    assert found(json.dumps([say("developer", "rules"), say("human", "hi")])) == ("hi", "rules")


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("repeat", [1, 40])
def test_text_is_decoded_as_json_decodes_it(ascii_only: bool, repeat: int) -> None:
    text = AWKWARD * repeat
    assert found(json.dumps([say("user", text)], ensure_ascii=ascii_only))[0] == text


def test_parts_with_text_are_concatenated_and_others_skipped() -> None:
    parts = [part("A"), {"type": "image", "source": {"data": ']}"text'}}, part("B")]
    assert found(json.dumps([say("user", parts)]))[0] == "A\nB"


def test_a_turn_of_tool_results_is_not_what_the_person_typed() -> None:
    result = {"type": "tool_result", "content": [part("42 files")]}
    assert found(json.dumps([say("user", "count the files"), say("user", [result])]))[0] == "count the files"


def test_a_whole_request_body_is_understood() -> None:
    body = {
        "model": "m",
        "system": [part("S1"), part("S2")],
        "tools": [{"name": "f", "note": ']}"'}],
        "stop": ["END"],
        "messages": [say("user", "go")],
        "response_format": {"type": "json_object"},
    }
    text = json.dumps(body, indent=1)
    chats = read_chats(text_buffers(pa.array([None, text])))
    assert (chats.user.bytes_at(1), chats.system.bytes_at(1)) == (b"go", b"S1\nS2")
    raw = {name: json.loads(text[slice(*chats.spans[1, k])]) for k, name in enumerate(SPANS)}
    assert raw == {"tools": body["tools"], "format": body["response_format"], "stop": ["END"]}


@pytest.mark.parametrize("text", ["plain words", "[sic] words", "{not json}", '["a"]', "# title", "3 apples"])
def test_text_that_is_no_chat_is_one_user_message(text: str) -> None:
    assert found(text) == (text, None)


def test_a_json_string_is_one_user_message() -> None:
    assert found(json.dumps(AWKWARD))[0] == AWKWARD


def test_a_message_that_a_logger_truncated_is_still_read() -> None:
    whole = json.dumps([say("system", "be kind"), say("user", "tell me about rivers")])
    assert found(whole[:-12]) == ("tell me abo", "be kind")


@pytest.mark.parametrize(
    "text", [None, "", "   ", "[]", '{"a": 1}', '[{"role": "assistant", "content": "hi"}]', "[{", '{"a":']
)
def test_where_nobody_spoke_nothing_is_found(text: str | None) -> None:
    assert found(text) == (None, None)
