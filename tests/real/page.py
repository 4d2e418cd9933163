"""Fills the page of what was measured: a table of field by source, totals, what sources say otherwise, versions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from comparing import FIELDS, MISSING, OTHER, RIGHT, UNREAD, WRONG, Found
from runs import Source

_VERDICTS = (RIGHT, MISSING, OTHER, UNREAD, WRONG)
_SHORT = {MISSING: "missing", OTHER: "other", UNREAD: "not read", WRONG: "WRONG"}
_LONGEST = 60


def write(page: Path, sources: Sequence[Source], found: Sequence[Found], versions: Mapping[str, str]) -> None:
    """Replace what stands between the marks of the page."""
    text = page.read_text(encoding="utf-8")
    for mark, made in (
        ("totals", _totals(sources, found, versions)),
        ("fields", _fields(found)),
        ("others", _others(found)),
    ):
        marks = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- end -->)", re.DOTALL)
        if marks.search(text) is None:
            raise RuntimeError(f"{page} has no mark {mark}")
        text = marks.sub(lambda m, made=made: m[1] + made + m[2], text)
    page.write_text(text, encoding="utf-8")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _totals(sources: Sequence[Source], found: Sequence[Found], versions: Mapping[str, str]) -> str:
    rows = []
    for source, one in zip(sources, found, strict=True):
        name = source.distribution or "nginx"
        total = one.total()
        calls = sum(one.counts["call"].values())
        rows.append([one.source, f"{name} {versions.get(name, '')}", str(calls), *(f"{total[v]:,}" for v in _VERDICTS)])
    return _table(["source", "written by", "calls", *_VERDICTS], rows)


def _cell(one: Found, name: str) -> str:
    """Counts of a field: those that are right, then the others with a word."""
    counts = one.counts[name]
    parts = [str(counts[RIGHT])] if counts[RIGHT] else []
    parts += [f"{counts[v]} {word}" for v, word in _SHORT.items() if counts[v]]
    return ", ".join(parts) or "·"


def _fields(found: Sequence[Found]) -> str:
    rows = [[f"`{name}`" if name != "call" else "the call itself", *(_cell(one, name) for one in found)]
            for name in FIELDS]  # fmt: skip
    return _table(["field", *(one.source for one in found)], rows)


def _others(found: Sequence[Found]) -> str:
    rows = [
        [one.source, f"`{name}`", str(one.counts[name][OTHER]), _plain(one.examples[name, OTHER])]
        for one in found
        for name in FIELDS
        if one.counts[name][OTHER]
    ]
    return _table(["source", "field", "calls", "the first of them"], rows)


def _plain(example: str) -> str:
    """An example that stays the same from run to run, and short: no times, no long texts."""
    example = re.sub(r"\d{10}\.\d+|\d+(\.\d+)? ms|\d\.\d+ s", "...", example)
    example = re.sub(rf"'([^']{{{_LONGEST}}})[^']*'", r"'\1...'", example)
    return "`" + example.replace("|", "/").replace("\\n", " ").replace("`", "'") + "`"
