"""Finds the ends of the variable parts of a prompt: code, quotations, braces, brackets, XML-like tags.

Each search is bounded, so that the cost of a prompt is always linear. Positions are byte offsets.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from clonewatch.kernels.compiling import compiled
from clonewatch.kernels.folding import SIZE, UPPER

Bytes = npt.NDArray[np.uint8]

# FNV-1a, 64 bits.
OFFSET, PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_FENCE_BYTES = 8192  # the longest code block, quote or brace; a longer one counts as unclosed
QUOTE_BYTES = 4096
BRACE_BYTES = 4096
_TINY_CONTENT, _SHORT_CONTENT = 4, 40  # maximum bytes inside a tag pair that can be a blank to fill in rather than data
_INCLUDE = np.frombuffer(b"include", np.uint8)
_YOUR, _HERE = np.frombuffer(b"your", np.uint8), np.frombuffer(b"here", np.uint8)
# Tags that contain the template itself rather than data (matched by their first letters).
_INSTRUCTION_TAGS = np.frombuffer(b"insttaskruleguidsystpromrequform", np.uint8)


def _fnv(word: str) -> int:
    h = int(OFFSET)
    for c in word.encode():
        h = (h ^ c) * int(PRIME) % 2**64
    return h


# Elements of web pages: pasted, not demanded.
_MARKUP = np.array(
    sorted(
        _fnv(name)
        for name in (
            "a abbr article aside audio b body br button canvas caption center circle code col div em "
            "fieldset font footer form g h1 h2 h3 h4 h5 h6 head header hr html i iframe img input label "
            "legend li link main meta nav ol option p path pre script section select small source span "
            "strong style sub sup svg table tbody td template textarea tfoot th thead title tr u ul video "
        ).split()
    ),
    np.uint64,
)


@compiled()
def point_at(data: Bytes, i: int, end: int) -> tuple[int, int]:
    """Decode the UTF-8 code point at `i` and its length; a broken sequence is one separator of one byte."""
    c = np.int64(data[i])
    code: Any = c
    size = 2 if 0xC2 <= c < 0xE0 else 3 if 0xE0 <= c < 0xF0 else 4 if 0xF0 <= c < 0xF5 else 1
    if size == 1 or i + size > end:
        return 0x20, 1
    code = c & (0x7F >> size)
    for j in range(1, size):
        follow = np.int64(data[i + j])
        if follow & 0xC0 != 0x80:
            return 0x20, 1
        code = code << 6 | (follow & 0x3F)
    return code, size


@compiled()
def letter_follows(data: Bytes, i: int, end: int, fold: npt.NDArray[np.uint32]) -> bool:
    """Whether there is a letter at `i`."""
    if i >= end:
        return False
    if data[i] < 0x80:
        c = data[i] | 32
        return bool(97 <= c <= 122)
    code, _ = point_at(data, i, end)
    return code < SIZE and 1 <= (fold[code] >> np.uint32(24)) <= UPPER


@compiled()
def after_chunk(data: Bytes, i: int, end: int) -> int:
    """The end of this run of non-space ASCII."""
    while i < end and 32 < data[i] < 0x80:
        i += 1
    return i


@compiled()
def find_ticks(data: Bytes, i: int, end: int, fence: bool) -> int:
    """The position after a closing code mark; for an unclosed block the end, for a lone tick its own position."""
    limit = min(end, i + (_FENCE_BYTES if fence else 256))
    j = i
    while j < limit:
        if data[j] == 96:
            if not fence:
                return j + 1
            if j + 2 < end and data[j + 1] == 96 and data[j + 2] == 96:
                return j + 3
        j += 1
    return limit if fence else i


@compiled()
def find_quote(data: Bytes, i: int, end: int, opening: int) -> int:
    """The position after the mark that closes a quotation, or `i` if there is none nearby."""
    limit = min(end, i + QUOTE_BYTES)
    closing = 34
    if opening == 0x201C:
        closing = 0x201D
    elif opening == 0xAB:
        closing = 0xBB
    elif opening >= 0x300A:
        closing = opening + 1
    j = i
    while j < limit:
        if closing == 34:
            if data[j] == 34:
                return j + 1
            j += 1
        elif data[j] < 0x80:
            j += 1
        else:
            code, size = point_at(data, j, end)
            j += size
            if code == closing:
                return j
    return i


@compiled()
def find_apostrophe(data: Bytes, i: int, end: int) -> int:
    """The position after a single quote that closes on the same line, before a non-letter; otherwise `i`."""
    limit = min(end, i + 200)
    j = i
    while j < limit and data[j] != 10:
        if data[j] == 39 and j > i and data[j - 1] != 32:
            following = data[j + 1] | 32 if j + 1 < end else 32
            if not 97 <= following <= 122:
                return j + 1
        j += 1
    return i


@compiled()
def find_brace(data: Bytes, i: int, end: int) -> int:
    """The position after the brace that closes the one before `i`, or `i` if there is none nearby."""
    depth = 1
    for j in range(i, min(end, i + BRACE_BYTES)):
        if data[j] == 123:
            depth += 1
        elif data[j] == 125:
            depth -= 1
            if depth == 0:
                return j + 1
    return i


@compiled()
def find_bracket(data: Bytes, i: int, end: int) -> int:
    """The position after a bracket that closes on the same line, or `i` if there is none nearby."""
    for j in range(i, min(end, i + 80)):
        if data[j] == 93:
            return j + 1
        if data[j] == 10:
            break
    return i


@compiled()
def is_code_angle(data: Bytes, start: int, i: int) -> bool:
    """Whether the `<` at `i - 1` belongs to code: `vector<int>`, `#include <vector>`."""
    before = i - 2
    if before < start:
        return False
    if data[before] == 32:
        return before - len(_INCLUDE) >= start and _starts(data, before - len(_INCLUDE), before, _INCLUDE)
    c = data[before] | 32
    return bool(97 <= c <= 122 or 48 <= data[before] <= 57 or data[before] == 58)


@compiled()
def place_of(ordered: npt.NDArray[np.uint64], value: np.uint64) -> int:
    """The index of a value in a sorted array, -1 if it is absent."""
    low, high = 0, len(ordered)
    while low < high:
        middle = (low + high) >> 1
        if ordered[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low if low < len(ordered) and ordered[low] == value else -1


@compiled()
def is_markup(token: np.uint64) -> bool:
    """Whether a hashed tag name is an element of web pages."""
    return place_of(_MARKUP, token) >= 0


@compiled()
def tag_at(data: Bytes, i: int, end: int) -> tuple[int, int]:
    """End of the name and end of the tag that starts after a `<` at `i - 1`; the second is `i` if it is not a tag."""
    j = i + 1 if i < end and data[i] == 47 else i
    first = j
    while j < end and j - first < 40:
        c = data[j]
        lower = c | 32
        if not (97 <= lower <= 122 or (j > first and (48 <= c <= 57 or c == 95 or c == 45 or c == 58))):
            break
        j += 1
    if j == first:
        return i, i
    k = j
    while k < min(end, j + 200):
        if data[k] == 62:
            return j, k + 1
        if data[k] == 10 or data[k] == 60:
            break
        k += 1
    return i, i


@compiled()
def find_closing(data: Bytes, i: int, end: int, name: int, name_end: int, budget: int) -> tuple[int, int, int]:
    """End of the content, end of the closing tag (-1 if not found), and bytes examined."""
    size = name_end - name
    limit = min(end, i + max(budget, 0))
    j = i
    while j + size + 2 < limit:
        if data[j] == 60 and data[j + 1] == 47:
            same = data[j + 2 + size] == 62
            k = 0
            while same and k < size:
                same = data[j + 2 + k] == data[name + k]
                k += 1
            if same:
                return j, j + size + 3, j - i
        j += 1
    return j, -1, j - i


@compiled()
def is_blank(data: Bytes, i: int, end: int) -> bool:
    """Whether the content of a tag is a blank to fill in (empty, "...", "{answer}", "your answer here"), not data."""
    if end - i <= _TINY_CONTENT:
        return True
    if end - i > _SHORT_CONTENT:
        return False
    for j in range(i, end - 1):
        c = data[j]
        if c == 123 or c == 91 or (c == 46 and data[j + 1] == 46):
            return True
        if ((c | 32) == 121 and _starts(data, j, end, _YOUR)) or ((c | 32) == 104 and _starts(data, j, end, _HERE)):
            return True
    return False


@compiled()
def _starts(data: Bytes, i: int, end: int, word: Bytes) -> bool:
    if i + len(word) > end:
        return False
    for k in range(len(word)):
        if data[i + k] | 32 != word[k]:
            return False
    return True


@compiled()
def holds_instructions(data: Bytes, name: int, name_end: int) -> bool:
    """Whether a tag of this name contains the template itself, such as `instructions`."""
    if name_end - name < 4:
        return False
    for family in range(0, len(_INSTRUCTION_TAGS), 4):
        k = 0
        while k < 4 and data[name + k] | 32 == _INSTRUCTION_TAGS[family + k]:
            k += 1
        if k == 4:
            return True
    return False


@compiled()
def hash_bytes(data: Bytes, start: int, end: int) -> np.uint64:
    """FNV-1a of a byte range, with ASCII letters in lower case."""
    h = OFFSET
    for i in range(start, end):
        c = data[i]
        h = (h ^ np.uint64(c | 32 if 65 <= c <= 90 else c)) * PRIME
    return h
