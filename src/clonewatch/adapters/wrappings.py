"""What stands around the JSON of a log: prefixes and objects of container and system loggers, and lists in an object.

A head of the file decides which way its rows are found; every row that is written another way stays as it is.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from itertools import islice
from typing import BinaryIO, NamedTuple

import msgspec

from clonewatch.adapters import cells, lines
from clonewatch.adapters.carriers import OF_A_ROW, Held, after_prefix, carried, carriers, rest, unpacked
from clonewatch.adapters.lines import Lines
from clonewatch.adapters.streams import limits_of

# Rows of a head that are examined: enough to outvote a banner, failed calls and torn lines.
SAMPLED = 200
_LONGEST_PREFIX = 512
_BOM = b"\xef\xbb\xbf"
# Names of a list of rows in an object, in any case; below one of the others, a list may be a level deeper.
_LISTS = frozenset((
    "data", "result", "results", "records", "events", "logevents", "items", "logs", "rows", "spend_logs", "hits",
    "entries", "streams", "value", "traces", "requests", "generations", "calls", "completions", "observations",
    "objects", "documents", "list", "receivedmessages",
))  # fmt: skip
_AROUND_LISTS = frozenset(("data", "hits", "log", "result", "results"))
_MESSAGES = b"Messages"  # of a queue; in lower case they are those of a chat
# Keys before the list that say nothing of a row, wherever they stand: pages, totals, the name of the stream.
_BESIDE = frozenset((
    "total", "total_pages", "total_count", "count", "page", "page_size", "pagesize", "limit", "offset", "object",
    "next", "nexttoken", "cursor", "has_more", "success", "status", "took", "timed_out", "_shards", "messagetype",
    "owner", "loggroup", "logstream", "subscriptionfilters", "resulttype", "meta", "metadata", "links", "info",
    "errors", "code", "max_score", "first_id", "last_id", "_scroll_id", "nextpagetoken", "@odata.context", "stats",
    "version",
))  # fmt: skip
_FIRST_OBJECTS = 3  # of a file, of which one must hold a list: an object about the export may come first
_TOKEN = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"(\s*:)?|[{}\[\]]', re.DOTALL)
_OBJECT_FIRST = re.compile(rb"\s*(?:[{\]]|$)")
# Messages may also be those of an API about its answer.
_OF_A_ROW = frozenset(key.lower() for key in OF_A_ROW if key != "messages")
# Kubernetes: time, stream, P for a part of a line or F for the last one.
_CRI = re.compile(rb"\S{10,40} (stdout|stderr) ([PF]) (.*)", re.DOTALL)


# Before each row of a bulk request to Elasticsearch or OpenSearch.
_ACTION = re.compile(rb'\s*\{\s*"(?:index|create|update)"\s*:\s*\{[^{}]{0,512}\}\s*\}\s*')


class Wrapping(NamedTuple):
    """How the rows of a file are found. name: in words, "" for rows that stand alone."""

    name: str
    cut: Callable[[BinaryIO], Iterator[Lines]]


@lru_cache(maxsize=4)  # asked by what recognises a file, by its reader and by what cuts its rows
def wrapping(head: bytes, kept: str = "") -> Wrapping:
    r"""The way in which the rows of a file with this head are found. kept: a list that is a value of its row.

    >>> wrapping(b'{"data": [{"a": 1}]}').name, wrapping(b'2026-03-01T10:00:00Z stdout F {"a": 1}\n').name
    ('a list in an object', 'text before the JSON')
    >>> wrapping(b'{"log": "{\\"a\\": 1}\\n", "stream": "stdout"}\n').name, wrapping(b'{"a": 1}').name
    ('lines in objects of a logger', '')
    """
    text = head.removeprefix(_BOM)
    if cells.holds_cells(text):
        return Wrapping("lists of values", unpacked(cells.objects))
    held = _list(text)
    if held is not None and held.key.decode() != kept:
        cut = partial(lines.elements, key=held.key, level=held.level)
        return Wrapping("a list in an object", _perhaps_carried(cut, head))
    if lines.is_spread(head):
        return Wrapping("", _perhaps_carried(lines.documents, head))
    rows = [line for line in islice(text.split(b"\n"), SAMPLED) if line.strip()]
    whole = rows[:-1] or rows  # the head may end within a line
    if 2 * carriers(whole) > len(whole):
        return Wrapping("lines in objects of a logger", unpacked(lines.lines))
    if 2 * sum(line.startswith(b'"{') for line in whole) > len(whole):
        return Wrapping("JSON in text", partial(_each, of=_unquoted))
    if whole and _ACTION.fullmatch(whole[0]) and 2 * sum(map(_is_action, whole)) >= len(whole) - 1:
        return Wrapping("rows after actions", partial(_each, of=_no_action))
    if 2 * sum(_is_prefixed(line) for line in whole) > len(whole):
        return Wrapping("text before the JSON", _prefixed)
    return Wrapping("", lines.lines)


def sampled(head: bytes) -> list[bytes]:
    """The first rows of a head that look like JSON objects; the last one may be cut off."""
    cut = wrapping(head).cut(io.BytesIO(head))
    rows = islice((line for batch in cut for line in batch.lines), SAMPLED)
    return [row for row in rows if row.lstrip()[:1] == b"{"]


def _perhaps_carried(cut: Callable[[BinaryIO], Iterator[Lines]], head: bytes) -> Callable[[BinaryIO], Iterator[Lines]]:
    """The way itself, or that of the rows in a logger's objects, where the first object is one."""
    first = next((line for batch in cut(io.BytesIO(head)) for line in batch.lines), b"")
    return unpacked(cut) if carried(first) else cut


# ---- lists in an object ---------------------------------------------------------------------------------------------


class _Listed(NamedTuple):
    """A list of rows: its key, how many objects are around it, and whether no unknown key stands before it."""

    key: bytes
    level: int
    sure: bool


def _list(head: bytes) -> _Listed | None:
    """The list of rows in one of the first objects of a head."""
    at = head.find(b"{")
    if at < 0 or head[:at].strip(b" \t\r\n["):
        return None
    for number in range(_FIRST_OBJECTS):
        found, end = _list_in(head, at)
        if found is not None and (found.sure or not (number or head[end:].strip(b" \t\r\n]"))):
            return found
        at = head.find(b"{", end) if end else -1
        if at < 0 or head[end:at].strip():
            return None
    return None


def _list_in(head: bytes, at: int) -> tuple[_Listed | None, int]:
    """The list of rows in the object that begins here, and where the object ends, 0 if it is cut off.

    A list counts where no key before it belongs to a row. After an unknown key it counts in an object that is alone:
    many objects of one make are rows with a list of their own.
    """
    path: list[tuple[bytes, bytes]] = []  # brackets that are open, each after its key
    key, found, unknown = b"", None, False
    for token in _TOKEN.finditer(head, at):
        mark = token[0][:1]
        if token[2] is not None:
            key = token[1]
            if len(path) == 1 and found is None:
                name = key.decode("utf-8", "replace").lower()
                if name in _OF_A_ROW:
                    return None, 0
                unknown = unknown or name not in _BESIDE | _LISTS
        elif mark in b"{[":
            if mark == b"[" and found is None and _is_list(path, key) and _OBJECT_FIRST.match(head, token.end()):
                found = _Listed(key, len(path), not unknown)
                if found.sure:
                    return found, 0
            path.append((mark, key))
            key = b""
        elif mark in b"}]":
            path.pop()
            key = b""
            if not path:
                return found, token.end()
        else:
            key = b""
    return found, len(head)


def _is_list(path: list[tuple[bytes, bytes]], key: bytes) -> bool:
    """Whether a list below these brackets, with this key, may hold rows."""
    if any(mark == b"[" for mark, _ in path):
        return False
    if key.decode("utf-8", "replace").lower() not in _LISTS and key != _MESSAGES:
        return False
    return len(path) == 1 or (len(path) == 2 and path[1][1].decode("utf-8", "replace").lower() in _AROUND_LISTS)


# ---- lines that are written another way -----------------------------------------------------------------------------


def _each(stream: BinaryIO, of: Callable[[bytes], bytes]) -> Iterator[Lines]:
    """Lines after a function, without those of which it leaves nothing."""
    for batch in lines.lines(stream):
        made = [(of(line), number) for line, number in zip(batch.lines, batch.numbers, strict=True)]
        kept = [(line, number) for line, number in made if line]
        yield batch._replace(lines=[line for line, _ in kept], numbers=[number for _, number in kept])


def _unquoted(line: bytes) -> bytes:
    """A row that was put into text as JSON; another line as it is."""
    try:
        return msgspec.json.decode(line, type=str).encode("utf-8", "replace") if line[:1] == b'"' else line
    except (msgspec.MsgspecError, ValueError):
        return line


def _is_action(line: bytes) -> bool:
    return _ACTION.fullmatch(line) is not None


def _no_action(line: bytes) -> bytes:
    return b"" if _is_action(line) else line


# ---- text before the JSON -------------------------------------------------------------------------------------------


def _is_prefixed(line: bytes) -> bool:
    return _CRI.match(line) is not None or after_prefix(line) is not None


def _prefixed(stream: BinaryIO) -> Iterator[Lines]:
    """Lines without their prefix. Parts of a line that a container runtime cut are put together."""
    held: dict[bytes, Held] = {}
    most = limits_of(stream).row
    for batch in lines.lines(stream):
        kept: list[bytes] = []
        numbers: list[int] = []
        oversized = list(batch.oversized)
        for number, line in zip(batch.numbers, batch.lines, strict=True):
            piece = _CRI.match(line)
            if piece and (piece[2] == b"P" or piece[1] in held):
                parts = held.pop(piece[1], Held([], 0, 0)).and_more(piece[3].rstrip(b"\r"), number)
                if piece[2] == b"P" and parts.size <= most:
                    held[piece[1]] = parts
                    continue
                if parts.size > most:
                    oversized.append(number)
                    continue
                line = b"".join(parts.parts)
            kept.append(_without_prefix(line))
            numbers.append(number)
        yield batch._replace(lines=kept, numbers=numbers, oversized=oversized)
    yield from rest(held)


def _without_prefix(line: bytes) -> bytes:
    at = line.find(b"{", 0, _LONGEST_PREFIX)
    return line[at:] if at > 0 and not line.startswith(b"[{") else line
