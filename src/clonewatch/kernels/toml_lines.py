"""TOML files whose faults are named by line: where tables and keys stand, which the standard library does not say."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

_TABLE = re.compile(r"\s*\[(\[)?\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+|\"[^\"]*\")\s*[=.]")
_SYNTAX = re.compile(r"(.*) \(at line (\d+), column (\d+)\)")
_LONG = ('"""', "'''")


class Fault(NamedTuple):
    """Something wrong in a file. line: from 1. fix: a sentence, or empty."""

    line: int
    what: str
    fix: str = ""


class Lines:
    """Where things stand in a TOML file. The first line is 1."""

    def __init__(self, text: str) -> None:
        self._found: dict[tuple[str, int, str], int] = {}
        table, place, counts = "", 0, dict[str, int]()
        for line, held in _outside(text):
            head = _TABLE.match(held)
            if head:
                table = head[2]
                place = counts[table] = counts.get(table, -1) + 1 if head[1] else 0
                self._found.setdefault((table, place, ""), line)
            elif key := _KEY.match(held):
                self._found.setdefault((table, place, key[1].strip('"')), line)

    def of(self, table: str, place: int, key: str = "") -> int:
        r"""The line of a key in a table, by its place among tables of that name; else of the table; else the first.

        >>> Lines('a = 1\n[[rules]]\n[[rules]]\nwhen = "x"').of("rules", 1, "when")
        4
        """
        return self._found.get((table, place, key)) or self._found.get((table, place, "")) or 1


def tables(data: bytes) -> tuple[dict[str, Any], Lines] | Fault:
    """What the bytes of a TOML file hold, and where; or why they hold nothing."""
    try:
        text = data.decode("utf-8")
        return tomllib.loads(text), Lines(text)
    except UnicodeDecodeError as error:
        return Fault(data.count(b"\n", 0, error.start) + 1, "this is no UTF-8")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        place = _SYNTAX.fullmatch(str(error))
        line = int(place[2]) if place else data.count(b"\n") + 1
        return Fault(line, f"no TOML: {place[1] + f' at column {place[3]}' if place else error}")


def shaped(error: msgspec.ValidationError, lines: Lines, table: str, place: int) -> Fault:
    """A fault of the shape of a table, on the line of the key that it is about."""
    said = str(error)
    path, unknown = re.search(r"`\$\.([\w.]+)", said), re.search(r"unknown field `(\w+)`", said)
    inner = path[1].removeprefix(table).lstrip(".").partition(".")[0] if path else ""
    key = inner or (unknown[1] if unknown else "")
    return Fault(lines.of(table, place, key), said.partition(" - at ")[0].replace("Object", "the table"))


def _outside(text: str) -> Iterator[tuple[int, str]]:
    """The lines that begin outside of a string of several lines, with their numbers."""
    open_ = ""
    for number, line in enumerate(text.split("\n"), 1):
        if not open_:
            yield number, line
        rest = line
        while True:
            if open_:
                _, found, rest = rest.partition(open_)
                if not found:
                    break
                open_ = ""
            else:
                first = (
                    min((at, mark) for mark in _LONG if (at := rest.find(mark)) >= 0)
                    if any(mark in rest for mark in _LONG)
                    else None
                )
                if first is None or "#" in rest[: first[0]]:
                    break
                open_, rest = first[1], rest[first[0] + 3 :]
