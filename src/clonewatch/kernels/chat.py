"""Finds the user's last words in logged chat messages without building a Python object per row.

One pass over the JSON of each row finds the last user message with text, the system prompt, and the positions of the
tool schemas, the answer format and the stop strings. Accepted shapes:

- `[{"role": "user", "content": "..."}, ...]`, as in OpenAI's and Anthropic's chat APIs; `content` may be a list of
  parts, of which those with a `text` string count (several are concatenated with line breaks; images and tool results
  are skipped);
- `{"messages": [...], "system": "..." , "tools": [...], "response_format": {...}, "stop": ...}`: a whole request body
  (`functions`, `stop_sequences`, `output_format`, `input` and the format inside `text` are understood too);
- a JSON string, or text that is not JSON: one user message.

JSON that a logger truncated yields the part before the cut.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clonewatch.kernels.buffers import Text
from clonewatch.kernels.compiling import compiled
from clonewatch.kernels.json_text import (
    CURLY,
    QUOTE,
    SQUARE,
    UNSQUARE,
    after_colon,
    after_comma,
    after_string,
    after_value,
    is_name,
    skip_space,
    unescape,
)

Bytes = npt.NDArray[np.uint8]

# Fields whose raw JSON is located, in the order of `Chats.spans`.
SPANS = ("tools", "format", "stop")
_CONTENT = np.frombuffer(b"content", np.uint8)
_DEVELOPER = np.frombuffer(b"developer", np.uint8)
_FORMAT = np.frombuffer(b"format", np.uint8)
_FUNCTIONS = np.frombuffer(b"functions", np.uint8)
_HUMAN = np.frombuffer(b"human", np.uint8)
_INPUT = np.frombuffer(b"input", np.uint8)
_INSTRUCTIONS = np.frombuffer(b"instructions", np.uint8)
_MESSAGES = np.frombuffer(b"messages", np.uint8)
_OUTPUT_FORMAT = np.frombuffer(b"output_format", np.uint8)
_PROMPT = np.frombuffer(b"prompt", np.uint8)
_RESPONSE_FORMAT = np.frombuffer(b"response_format", np.uint8)
_ROLE = np.frombuffer(b"role", np.uint8)
_STOP = np.frombuffer(b"stop", np.uint8)
_STOP_SEQUENCES = np.frombuffer(b"stop_sequences", np.uint8)
_SYSTEM = np.frombuffer(b"system", np.uint8)
_TEXT = np.frombuffer(b"text", np.uint8)
_TOOLS = np.frombuffer(b"tools", np.uint8)
_USER = np.frombuffer(b"user", np.uint8)
_SPAN_SLOTS = 16  # where[]: 0-1 user, 2-3 system, 4-9 the spans, 10-15 the parts of the current message
_SYSTEM_BYTES = 4096  # the part of a system prompt that fingerprints read


class Chats(NamedTuple):
    """What was found in N rows.

    user, system: decoded text, not valid if there was none. spans: int64[N, 3, 2], start and end in the input
    bytes of the raw JSON of `SPANS`; equal if absent.
    """

    user: Text
    system: Text
    spans: npt.NDArray[np.int64]


def read_chats(messages: Text) -> Chats:
    """Find the last user message and the system prompt of every row; see the module for the shapes."""
    rows = len(messages.valid)
    total = int(messages.offsets[-1] - messages.offsets[0])
    user, system = np.empty(total, np.uint8), np.empty(min(total, rows * _SYSTEM_BYTES), np.uint8)
    user_offsets, system_offsets = np.zeros(rows + 1, np.int64), np.zeros(rows + 1, np.int64)
    spans = np.zeros((rows, len(SPANS), 2), np.int64)
    found = np.zeros((rows, 2), np.bool_)
    _read_rows(*messages, user, user_offsets, system, system_offsets, spans, found)
    user.flags.writeable = system.flags.writeable = False
    return Chats(Text(user, user_offsets, found[:, 0].copy()), Text(system, system_offsets, found[:, 1].copy()), spans)


@compiled(nogil=True)
def _read_rows(
    data: Bytes,
    offsets: npt.NDArray[np.int64],
    valid: npt.NDArray[np.bool_],
    user: Bytes,
    user_offsets: npt.NDArray[np.int64],
    system: Bytes,
    system_offsets: npt.NDArray[np.int64],
    spans: npt.NDArray[np.int64],
    found: npt.NDArray[np.bool_],
) -> None:
    zero: Any = np.int64(0)  # a literal 0 has its own type: a kernel that takes it would be compiled twice
    at_user, at_system = zero, zero
    where = np.empty(_SPAN_SLOTS, np.int64)
    for row in range(len(valid)):
        if valid[row]:
            start, end = offsets[row], offsets[row + 1]
            for k in range(_SPAN_SLOTS):
                where[k] = -1
            _locate(data, start, end, where)
            if where[0] >= 0:
                if data[where[0]] == QUOTE or data[where[0]] == SQUARE:
                    at_user = _decode(data, where[0], where[1], user, at_user, at_user + (end - start))
                else:  # not JSON: the row itself
                    for i in range(start, end):
                        user[at_user] = data[i]
                        at_user += 1
                found[row, 0] = True
            if where[2] >= 0:
                at_system = _decode(data, where[2], where[3], system, at_system, at_system + _SYSTEM_BYTES)
                found[row, 1] = True
            for k in range(3):
                if where[4 + 2 * k] >= 0:
                    spans[row, k, 0], spans[row, k, 1] = where[4 + 2 * k], where[5 + 2 * k]
        user_offsets[row + 1] = at_user
        system_offsets[row + 1] = at_system


@compiled()
def _locate(data: Bytes, start: int, end: int, where: npt.NDArray[np.int64]) -> None:
    """Fill `where` for one row."""
    i = skip_space(data, start, end)
    if i == end:
        return
    if data[i] == QUOTE:
        where[0], where[1] = i, after_string(data, i, end)
    elif data[i] == SQUARE and _opens_list_of_messages(data, i, end):
        _messages(data, i, end, where)
    elif data[i] == CURLY and _opens_object(data, i, end):
        _body(data, i, end, where)
    else:
        where[0], where[1] = i, end
        if data[i] == SQUARE:  # text that starts with a bracket: skip it, so that it is not read as parts
            where[0] = i + 1 if i + 1 < end else i
            while where[0] < end - 1 and (data[where[0]] == QUOTE or data[where[0]] == SQUARE):
                where[0] += 1


@compiled()
def _opens_object(data: Bytes, i: int, end: int) -> bool:
    i = skip_space(data, i + 1, end)
    return i < end and data[i] == QUOTE


@compiled()
def _opens_list_of_messages(data: Bytes, i: int, end: int) -> bool:
    i = skip_space(data, i + 1, end)
    return i < end and (data[i] == CURLY or data[i] == UNSQUARE)


@compiled()
def _body(data: Bytes, i: int, end: int, where: npt.NDArray[np.int64]) -> None:
    """An object: a whole request body, or one message."""
    _forget(where)
    i += 1
    while i < end:
        i = skip_space(data, i, end)
        if i >= end or data[i] != QUOTE:
            break
        k = i + 1
        i = after_string(data, i, end)
        size = i - 1 - k
        i = after_colon(data, i, end)
        value, i = i, after_value(data, i, end)
        if value >= end:
            break
        list_like = data[value] == SQUARE
        if list_like and (is_name(data, k, size, _MESSAGES) or is_name(data, k, size, _INPUT)):
            _messages(data, value, i, where)
        elif is_name(data, k, size, _PROMPT) or is_name(data, k, size, _INPUT):
            if data[value] == QUOTE:
                where[0], where[1] = value, i
        elif is_name(data, k, size, _SYSTEM) or is_name(data, k, size, _INSTRUCTIONS):
            if data[value] == QUOTE or list_like:
                where[2], where[3] = value, i
        elif is_name(data, k, size, _TOOLS) or is_name(data, k, size, _FUNCTIONS):
            where[4], where[5] = value, i
        elif is_name(data, k, size, _RESPONSE_FORMAT) or is_name(data, k, size, _OUTPUT_FORMAT):
            where[6], where[7] = value, i
        elif data[value] == CURLY and is_name(data, k, size, _TEXT):
            _format(data, value, i, where)
        elif is_name(data, k, size, _STOP) or is_name(data, k, size, _STOP_SEQUENCES):
            where[8], where[9] = value, i
        else:
            _note(data, k, size, value, i, where)
        i = after_comma(data, i, end)
    _settle(data, where)


@compiled()
def _format(data: Bytes, i: int, end: int, where: npt.NDArray[np.int64]) -> None:
    """The answer format inside `text`, where the Responses API has it."""
    i += 1
    while i < end:
        i = skip_space(data, i, end)
        if i >= end or data[i] != QUOTE:
            return
        k = i + 1
        i = after_string(data, i, end)
        size = i - 1 - k
        i = after_colon(data, i, end)
        value, i = i, after_value(data, i, end)
        if value < end and data[value] == CURLY and is_name(data, k, size, _FORMAT):
            where[6], where[7] = value, i
        i = after_comma(data, i, end)


@compiled()
def _messages(data: Bytes, i: int, end: int, where: npt.NDArray[np.int64]) -> None:
    """A list of messages."""
    i += 1
    while i < end:
        i = skip_space(data, i, end)
        if i >= end or data[i] != CURLY:
            return
        i += 1
        _forget(where)
        while i < end:
            i = skip_space(data, i, end)
            if i >= end or data[i] != QUOTE:
                break
            k = i + 1
            i = after_string(data, i, end)
            size = i - 1 - k
            i = after_colon(data, i, end)
            value, i = i, after_value(data, i, end)
            if value < end:
                _note(data, k, size, value, i, where)
            i = after_comma(data, i, end)
        _settle(data, where)
        i = after_comma(data, i + 1, end)


@compiled()
def _forget(where: npt.NDArray[np.int64]) -> None:
    """Reset the current message."""
    for k in range(10, _SPAN_SLOTS):
        where[k] = -1


@compiled()
def _note(data: Bytes, k: int, size: int, value: int, after: int, where: npt.NDArray[np.int64]) -> None:
    """Remember a message's role (1 user, 2 system) and content until the message is complete."""
    if is_name(data, k, size, _ROLE):
        length = after - value - 2
        if is_name(data, value + 1, length, _USER) or is_name(data, value + 1, length, _HUMAN):
            where[10] = 1
        elif is_name(data, value + 1, length, _SYSTEM) or is_name(data, value + 1, length, _DEVELOPER):
            where[10] = 2
        else:
            where[10] = 0
    elif is_name(data, k, size, _CONTENT) and (data[value] == QUOTE or data[value] == SQUARE):
        where[11], where[12] = value, after


@compiled()
def _settle(data: Bytes, where: npt.NDArray[np.int64]) -> None:
    """End a message: keep it if it is the latest user message with text, or the first system message."""
    role, value, after = where[10], where[11], where[12]
    _forget(where)
    if value < 0 or (data[value] == SQUARE and not _has_text(data, value, after)):
        return
    if role == 1:
        where[0], where[1] = value, after
    elif role == 2 and where[2] < 0:
        where[2], where[3] = value, after


@compiled()
def _has_text(data: Bytes, i: int, end: int) -> bool:
    start, _, _ = _next_text(data, i + 1, end)
    return start >= 0


@compiled()
def _next_text(data: Bytes, i: int, end: int) -> tuple[int, int, int]:
    """The next part with text in a list of parts: start and end of its string, where to continue; start -1 if none."""
    while i < end:
        i = skip_space(data, i, end)
        if i >= end or data[i] == UNSQUARE:
            break
        if data[i] == QUOTE:
            after = after_string(data, i, end)
            return i, after, after_comma(data, after, end)
        if data[i] != CURLY:
            break
        start, after = -1, -1
        i += 1
        while i < end:
            i = skip_space(data, i, end)
            if i >= end or data[i] != QUOTE:
                break
            k = i + 1
            i = after_string(data, i, end)
            size = i - 1 - k
            i = after_colon(data, i, end)
            value, i = i, after_value(data, i, end)
            if value < end and data[value] == QUOTE and is_name(data, k, size, _TEXT):
                start, after = value, i
            i = after_comma(data, i, end)
        i = after_comma(data, i + 1, end)
        if start >= 0:
            return start, after, i
    return -1, -1, end


@compiled()
def _decode(data: Bytes, start: int, end: int, out: Bytes, at: int, limit: int) -> int:
    """Write a string, or the texts of a list of parts, to `out[at:limit]`; returns where it ended."""
    if data[start] == QUOTE:
        return unescape(data, start + 1, end, out, at, limit)
    i = start + 1
    first = True
    while i < end:
        text, after, i = _next_text(data, i, end)
        if text < 0:
            break
        if not first and at < limit:
            out[at] = 10
            at += 1
        first = False
        at = unescape(data, text + 1, after, out, at, limit)
    return at
