"""JSON read where it stands: the end of a string or value, and the text inside a string. No object is built.

Broken JSON never raises: what cannot be read ends at the end of the row. Places are byte offsets.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from clonewatch.kernels.compiling import compiled

Bytes = npt.NDArray[np.uint8]

QUOTE, BACKSLASH, COMMA, COLON = 34, 92, 44, 58
SQUARE, UNSQUARE, CURLY, UNCURLY = 91, 93, 123, 125
# Strings are searched in blocks of this many bytes, which compiles to vector instructions: a fixed number too large to
# be unrolled, and a result kept in one byte.
_BLOCK = 64


@compiled()
def unescape(data: Bytes, i: int, end: int, out: Bytes, at: int, limit: int) -> int:
    """Decode the inside of a JSON string up to its closing quote; never longer than its source."""
    limit = min(limit, len(out))
    while i < end and at < limit:
        c = data[i]
        if c == QUOTE:
            break
        if c != BACKSLASH:
            plain = min(_after_plain(data, i, end) - i, limit - at)
            _copy(data, i, out, at, plain)
            at += plain
            i += plain
            continue
        if i + 1 >= end:
            break
        c = data[i + 1]
        i += 2
        if c != 117:  # u
            out[at] = 10 if c == 110 else 9 if c == 116 else 13 if c == 114 else 8 if c == 98 else 12 if c == 102 else c
            at += 1
            continue
        code, i = _hex4(data, i, end), min(i + 4, end)
        if 0xD800 <= code < 0xDC00 and i + 5 < end and data[i] == BACKSLASH and data[i + 1] == 117:
            low = _hex4(data, i + 2, end)
            if 0xDC00 <= low < 0xE000:
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
                i += 6
        if at + 4 > limit:
            break
        at = write_point(out, at, code)
    return at


@compiled()
def _copy(data: Bytes, start: int, out: Bytes, at: int, size: int) -> None:
    i, o = np.uint64(start), np.uint64(at)
    for k in range(np.uint64(size)):
        out[o + k] = data[i + k]


@compiled()
def write_point(out: Bytes, at: int, code: int) -> int:
    """Write one code point as UTF-8; returns where it ended."""
    if code < 0x80:
        out[at] = code
        return at + 1
    if code < 0x800:
        out[at], out[at + 1] = 0xC0 | code >> 6, 0x80 | code & 63
        return at + 2
    if code < 0x10000:
        out[at], out[at + 1], out[at + 2] = 0xE0 | code >> 12, 0x80 | code >> 6 & 63, 0x80 | code & 63
        return at + 3
    out[at], out[at + 1] = 0xF0 | code >> 18, 0x80 | code >> 12 & 63
    out[at + 2], out[at + 3] = 0x80 | code >> 6 & 63, 0x80 | code & 63
    return at + 4


@compiled()
def _hex4(data: Bytes, i: int, end: int) -> int:
    code: Any = 0
    for j in range(i, min(i + 4, end)):
        c = np.int64(data[j])
        digit = c - 48 if 48 <= c <= 57 else (c | 32) - 87 if 97 <= (c | 32) <= 102 else 0
        code = code << 4 | digit
    return int(code)


@compiled()
def skip_space(data: Bytes, i: int, end: int) -> int:
    """The place of the next byte that is no blank."""
    while i < end and (data[i] == 32 or 9 <= data[i] <= 13):
        i += 1
    return i


@compiled()
def after_string(data: Bytes, i: int, end: int) -> int:
    """The place after the closing quote of the string that opens at `i`."""
    i += 1
    while i < end:
        c = data[i]
        if c == QUOTE:
            return i + 1
        i = i + 2 if c == BACKSLASH else _after_plain(data, i, end)
    return end


@compiled()
def _after_plain(data: Bytes, i: int, end: int) -> int:
    """The place of the next quote or backslash; the end where there is none."""
    at, last = np.uint64(i), np.uint64(end)
    while at < last and at + np.uint64(_BLOCK) <= np.uint64(len(data)):
        plain = _plain_in_block(data, at)
        if plain < _BLOCK:
            at += np.uint64(plain)
            break
        at += np.uint64(_BLOCK)  # not `plain`: the next block need not wait for the sum of this one
    while at < last and data[at] != np.uint8(QUOTE) and data[at] != np.uint8(BACKSLASH):
        at += np.uint64(1)
    place: Any = np.int64(min(at, last))
    return int(place)


@compiled()
def _plain_in_block(data: Bytes, at: np.uint64) -> int:
    """How many bytes of a block come before its first quote or backslash."""
    rest = np.uint8(0)
    for j in range(_BLOCK):
        c = data[at + np.uint64(j)]
        marked = np.uint8(c == np.uint8(QUOTE)) | np.uint8(c == np.uint8(BACKSLASH))
        rest = np.uint8(max(rest, np.uint8(_BLOCK - j) if marked else np.uint8(0)))
    return _BLOCK - int(rest)


@compiled()
def after_value(data: Bytes, i: int, end: int) -> int:
    """The place after the JSON value that starts at `i`."""
    if i >= end:
        return end
    if data[i] == QUOTE:
        return after_string(data, i, end)
    depth = 0
    while i < end:
        c = data[i]
        if c == QUOTE:
            i = after_string(data, i, end)
            continue
        if c == CURLY or c == SQUARE:
            depth += 1
        elif c == UNCURLY or c == UNSQUARE:
            if depth <= 1:
                return i + 1 if depth == 1 else i
            depth -= 1
        elif c == COMMA and depth == 0:
            return i
        i += 1
    return end


@compiled()
def after_colon(data: Bytes, i: int, end: int) -> int:
    """The place of the value after the colon that comes next; the end where there is none."""
    i = skip_space(data, i, end)
    return skip_space(data, i + 1, end) if i < end and data[i] == COLON else end


@compiled()
def after_comma(data: Bytes, i: int, end: int) -> int:
    """The place after the comma that comes next, if one does."""
    i = skip_space(data, i, end)
    return i + 1 if i < end and data[i] == COMMA else i


@compiled()
def is_name(data: Bytes, start: int, size: int, name: Bytes) -> bool:
    """Whether these bytes are this name."""
    if size != len(name):
        return False
    for j in range(size):
        if data[start + j] != name[j]:
            return False
    return True
