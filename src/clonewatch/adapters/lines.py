"""Splits a stream into lines, or into JSON documents, of limited length."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import msgspec

from clonewatch.adapters.streams import limits_of
from clonewatch.model.limits import Limits

MOST_ROWS = 32_768  # rows per batch
_CHUNK = 1 << 20
_BOM = b"\xef\xbb\xbf"
_BOM_IN_LINES = b"\n" + _BOM
_STRUCTURE = re.compile(rb'["{}]')
_BRACKETS = re.compile(rb'["{}\[\]]')
# A key before its list, which may be cut by the border of a chunk.
_KEY_BEFORE = re.compile(rb'"([\w.-]+)"\s*:\s*$')
_LONGEST_KEY = 64
_ARRAY = re.compile(rb"\[\s*(?:\{|\]|\[|$)")
# Lines before the first JSON of a file: a banner, comments.
_MOST_BANNER = 20
_REST_OF_STRING = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


class Lines(NamedTuple):
    """Some lines without line endings, their 1-based numbers, those of oversized lines, whether the last is torn."""

    lines: list[bytes]
    numbers: list[int]
    oversized: list[int]
    torn: bool = False


def lines(stream: BinaryIO) -> Iterator[Lines]:
    r"""Lines in batches bounded by rows and bytes; empty ones are counted but left out, a byte order mark is dropped.

    torn: the last line has no line ending, so it may have been cut off while it was written.

    >>> import io
    >>> batch, = lines(io.BytesIO(b"one\r\n\ntwo"))
    >>> batch.lines, batch.numbers, batch.torn
    ([b'one\r', b'two'], [1, 3], True)
    """
    held: list[bytes] = []
    numbers: list[int] = []
    oversized: list[int] = []
    size, number, tail, skipping = 0, 0, [b""], False
    limits = limits_of(stream)
    tail_size = 0
    for chunk in _chunks(stream):
        parts = chunk.split(b"\n")
        if len(parts) == 1:
            tail_size += len(chunk)
            if tail_size > limits.row:
                skipping, tail = True, []
            if not skipping:
                tail.append(chunk)
            continue
        parts[0] = b"".join(tail) + parts[0]
        if skipping or len(parts[0]) > limits.row:
            oversized.append(number + 1)
            parts[0] = b""
        last = parts.pop()
        tail, tail_size, skipping = [last], len(last), False
        if b"" in parts or b"\r" in parts:
            filled = [n for n, part in enumerate(parts, number + 1) if part and part != b"\r"] if any(parts) else []
            held += [parts[n - number - 1] for n in filled]
            numbers += filled
        else:
            held += parts
            numbers += range(number + 1, number + 1 + len(parts))
        number += len(parts)
        size += len(chunk)
        if len(held) >= MOST_ROWS or size >= limits.batch or len(oversized) >= MOST_ROWS:
            yield Lines(held, numbers, oversized)
            held, numbers, oversized, size = [], [], [], 0
    rest = b"".join(tail)
    if skipping or len(rest) > limits.row:
        oversized.append(number + 1)
        rest = b""
    if rest.strip():
        held.append(rest)
        numbers.append(number + 1)
    if held or oversized:
        yield Lines(held, numbers, oversized, torn=bool(rest.strip()))


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    """The bytes of a stream without byte order marks at the start of a line: files are put together with theirs."""
    begins = True
    while chunk := stream.read(_CHUNK):
        if begins and chunk.startswith(_BOM):
            chunk = chunk[len(_BOM) :]
        begins = chunk.endswith(b"\n")
        if _BOM[:1] in chunk and _BOM_IN_LINES in chunk:  # the first is found fast, and rare
            chunk = chunk.replace(_BOM_IN_LINES, b"\n")
        if chunk:
            yield chunk


def is_spread(head: bytes) -> bool:
    r"""Whether JSON documents span several lines, are in one array or follow each other, rather than one per line.

    >>> is_spread(b'[{"a": 1}]'), is_spread(b'{\n "a": 1}'), is_spread(b'{"a": 1}\n')
    (True, True, False)
    >>> is_spread(b'{"a": 1}{"a": 2}'), is_spread(b'{"a": 1,\n "b": 2}\n'), is_spread(b'{"a": 1}\r{"a": 2}\r')
    (True, True, True)
    """
    text = head.removeprefix(_BOM).lstrip()
    for line in text.split(b"\n", _MOST_BANNER)[:_MOST_BANNER]:
        if line.lstrip()[:1] in (b"{", b"["):
            break
        text = text[len(line) + 1 :]
    text = text.lstrip()
    first = text.split(b"\n", 1)[0]
    if _ARRAY.match(text) or first.strip() == b"{":
        return True
    if text[:1] != b"{" or _is_json(first):
        return False
    document = next(_scanned(io.BytesIO(text)), None) or b""
    return bool(document) and text[len(document) :].lstrip()[:1] in (b"", b"{") and _is_json(document)


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


def documents(stream: BinaryIO) -> Iterator[Lines]:
    """JSON objects of an array, or concatenated in any layout, in the same form as `lines`.

    Numbers count objects, not lines. Only strings and braces are examined; the decoder checks everything else.
    """
    yield from _batched(_scanned(stream), limits_of(stream))


def elements(stream: BinaryIO, key: bytes, level: int = 1) -> Iterator[Lines]:
    """JSON objects of the list under a key of every outer object, or so many levels deep, in the form of `documents`.

    >>> import io
    >>> [batch.lines for batch in elements(io.BytesIO(b'{"data": [{"a": {}}, {"b": 1}], "page": {}}'), b"data")]
    [[b'{"a": {}}', b'{"b": 1}']]
    """
    yield from _batched(_scanned(stream, key, level), limits_of(stream))


def _batched(objects: Iterator[bytes | None], limits: Limits) -> Iterator[Lines]:
    held: list[bytes] = []
    numbers: list[int] = []
    oversized: list[int] = []
    size, number = 0, 0
    for document in objects:
        number += 1
        if document is None:
            oversized.append(number)
        else:
            held.append(document)
            numbers.append(number)
            size += len(document)
        if len(held) >= MOST_ROWS or size >= limits.batch or len(oversized) >= MOST_ROWS:
            yield Lines(held, numbers, oversized)
            held, numbers, oversized, size = [], [], [], 0
    if held or oversized:
        yield Lines(held, numbers, oversized, torn=True)


def _scanned(stream: BinaryIO, key: bytes = b"", level: int = 0) -> Iterator[bytes | None]:
    """Each outermost {...}, or each {...} in the list under a key at a level; None for one that is too long.

    An incomplete last one is given as it is.
    """
    parts: list[bytes] = []
    length, depth, in_string, escaped = 0, 0, False, False
    most = limits_of(stream).row
    floor = level + 1 if level else 0  # brackets that are open around an element
    inside, listed = False, not level  # within an element; where an object is an element
    before = b""  # the end of the chunk before
    search = _BRACKETS.search if level else _STRUCTURE.search
    for chunk in _chunks(stream):
        start, at = 0, 0
        while True:
            if in_string:
                at, escaped = at + escaped, False
                found = _REST_OF_STRING.match(chunk, at)
                if not found:
                    # An odd number of backslashes at the end escapes the first byte of the next chunk.
                    trailing = len(chunk) - len(chunk.rstrip(b"\\"))
                    escaped = min(trailing, len(chunk) - at) % 2 == 1
                    break
                at, in_string = found.end(), False
            found = search(chunk, at)
            if not found:
                break
            at = found.end()
            mark = found[0]
            if mark == b'"':
                in_string = depth > 0
            elif mark == b"{":
                if depth == floor and listed:
                    start, parts, length, inside, search = found.start(), [], 0, True, _STRUCTURE.search
                depth += 1
            elif mark == b"[":
                depth += depth > 0
                listed = listed or (depth == floor and _ends_in_key(key, before, chunk, at - 1))
            elif depth:
                depth -= 1
                if depth > floor:
                    continue
                if inside and depth == floor:
                    whole = b"".join(parts) + chunk[start:at]
                    yield whole if length + at - start <= most else None
                    parts, length, inside = [], 0, False
                    search = _BRACKETS.search if level else search
                listed = listed and depth >= floor
        if inside:
            length += len(chunk) - start
            parts = [*parts, chunk[start:]] if length <= most else []
        before = chunk[-_LONGEST_KEY:] if level else b""
    if inside:
        yield b"".join(parts) if length <= most else None


def _ends_in_key(key: bytes, before: bytes, chunk: bytes, at: int) -> bool:
    """Whether this key stands in front of a place in a chunk."""
    text = chunk[max(at - _LONGEST_KEY, 0) : at]
    found = _KEY_BEFORE.search(text if len(text) == _LONGEST_KEY else before + text)
    return found is not None and found[1] == key
