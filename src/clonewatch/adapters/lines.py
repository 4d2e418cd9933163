"""Splits a stream into lines, or into JSON documents, of limited length."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

MOST_LINE = 16 << 20  # bytes; longer requests are images and files, and the bound keeps memory small
MOST_ROWS = 32_768  # rows per batch
MOST_BYTES = 32 << 20  # bytes of text per batch
_CHUNK = 1 << 20
_BOM = b"\xef\xbb\xbf"
_STRUCTURE = re.compile(rb'["{}]')
_BRACKETS = re.compile(rb'["{}\[\]]')
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
    tail_size = 0
    for chunk in _chunks(stream):
        parts = chunk.split(b"\n")
        if len(parts) == 1:
            tail_size += len(chunk)
            if tail_size > MOST_LINE:
                skipping, tail = True, []
            if not skipping:
                tail.append(chunk)
            continue
        parts[0] = b"".join(tail) + parts[0]
        if skipping or len(parts[0]) > MOST_LINE:
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
        if len(held) >= MOST_ROWS or size >= MOST_BYTES or len(oversized) >= MOST_ROWS:
            yield Lines(held, numbers, oversized)
            held, numbers, oversized, size = [], [], [], 0
    rest = b"".join(tail)
    if skipping or len(rest) > MOST_LINE:
        oversized.append(number + 1)
        rest = b""
    if rest.strip():
        held.append(rest)
        numbers.append(number + 1)
    if held or oversized:
        yield Lines(held, numbers, oversized, torn=bool(rest.strip()))


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    first = True
    while chunk := stream.read(_CHUNK):
        if first and chunk.startswith(_BOM):
            chunk = chunk[len(_BOM) :]
        first = False
        if chunk:
            yield chunk


def is_spread(head: bytes) -> bool:
    r"""Whether JSON documents span several lines or are in one array, rather than one per line.

    >>> is_spread(b'[{"a": 1}]'), is_spread(b'{\n "a": 1}'), is_spread(b'{"a": 1}\n')
    (True, True, False)
    """
    text = head.removeprefix(_BOM).lstrip()
    for line in text.split(b"\n", _MOST_BANNER)[:_MOST_BANNER]:
        if line.lstrip()[:1] in (b"{", b"["):
            break
        text = text[len(line) + 1 :]
    text = text.lstrip()
    return bool(_ARRAY.match(text)) or text.split(b"\n", 1)[0].strip() == b"{"


def documents(stream: BinaryIO) -> Iterator[Lines]:
    """JSON objects of an array, or concatenated in any layout, in the same form as `lines`.

    Numbers count objects, not lines. Only strings and braces are examined; the decoder checks everything else.
    """
    yield from _batched(_objects(stream))


def elements(stream: BinaryIO) -> Iterator[Lines]:
    """JSON objects of the lists in outer objects, such as `{"data": [...]}`, in the same form as `documents`.

    >>> import io
    >>> [batch.lines for batch in elements(io.BytesIO(b'{"data": [{"a": {}}, {"b": 1}], "page": {}}'))]
    [[b'{"a": {}}', b'{"b": 1}']]
    """
    yield from _batched(_elements(stream))


def _batched(objects: Iterator[bytes | None]) -> Iterator[Lines]:
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
        if len(held) >= MOST_ROWS or size >= MOST_BYTES or len(oversized) >= MOST_ROWS:
            yield Lines(held, numbers, oversized)
            held, numbers, oversized, size = [], [], [], 0
    if held or oversized:
        yield Lines(held, numbers, oversized, torn=True)


def _objects(stream: BinaryIO) -> Iterator[bytes | None]:
    """Each outermost {...}, None for one that is too long; an incomplete last one as it is."""
    parts: list[bytes] = []
    length, depth, in_string, escaped = 0, 0, False, False
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
            found = _STRUCTURE.search(chunk, at)
            if not found:
                break
            at = found.end()
            mark = found[0]
            if mark == b'"':
                in_string = depth > 0
            elif mark == b"{":
                if depth == 0:
                    start, parts, length = found.start(), [], 0
                depth += 1
            elif mark == b"}" and depth:
                depth -= 1
                if depth == 0:
                    whole = b"".join(parts) + chunk[start:at]
                    yield whole if length + at - start <= MOST_LINE else None
                    parts, length = [], 0
        if depth:
            length += len(chunk) - start
            parts = [*parts, chunk[start:]] if length <= MOST_LINE else []
    if depth:
        yield b"".join(parts) if length <= MOST_LINE else None


def _elements(stream: BinaryIO) -> Iterator[bytes | None]:
    """Each object directly in a list of an outermost object, None for one that is too long."""
    parts: list[bytes] = []
    length, in_string, escaped = 0, False, False
    depth = inside = 0  # open braces and brackets; those open around the current element, 0 outside of one
    listed = False  # whether the innermost open bracket outside of an element is a list in the outer object
    for chunk in _chunks(stream):
        start, at = 0, 0
        while True:
            if in_string:
                at, escaped = at + escaped, False
                found = _REST_OF_STRING.match(chunk, at)
                if not found:
                    trailing = len(chunk) - len(chunk.rstrip(b"\\"))
                    escaped = min(trailing, len(chunk) - at) % 2 == 1
                    break
                at, in_string = found.end(), False
            found = _BRACKETS.search(chunk, at)
            if not found:
                break
            at = found.end()
            mark = found[0]
            if mark == b'"':
                in_string = True
            elif mark in b"{[":
                if mark == b"{" and depth == 2 and listed and not inside:
                    start, parts, length, inside = found.start(), [], 0, depth
                depth += 1
                listed = listed or (depth == 2 and mark == b"[")
            elif depth:
                depth -= 1
                if inside and depth == inside:
                    whole = b"".join(parts) + chunk[start:at]
                    yield whole if length + at - start <= MOST_LINE else None
                    parts, length, inside = [], 0, 0
                listed = listed and depth >= 2
        if inside:
            length += len(chunk) - start
            parts = [*parts, chunk[start:]] if length <= MOST_LINE else []
    if inside:
        yield b"".join(parts) if length <= MOST_LINE else None
