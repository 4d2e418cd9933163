"""A plug-in is one file: nothing outside its shelf knows it by name, so that a file can come and go alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from clonewatch.model import schema
from clonewatch.pipeline.detection.signals import SIGNALS, TESTS
from clonewatch.pipeline.intake.staging import ACCOUNT_SCHEMA, EVENT_SCHEMA, EXCHANGE_SCHEMA

SOURCE = Path(__file__).resolve().parents[2] / "src" / "clonewatch"
SHELVES = (SOURCE / "links" / "signals", SOURCE / "behaviour" / "tests")
# The laboratory and the audit have a vocabulary of their own.
ELSEWHERE = (*SHELVES, SOURCE / "lab", SOURCE / "audit", SOURCE / "fingerprints")
COLUMNS = {
    *(column.name for table in (schema.EXCHANGES, schema.ACCOUNTS, schema.EVENTS) for column in table.columns),
    *EXCHANGE_SCHEMA.names,
    *ACCOUNT_SCHEMA.names,
    *EVENT_SCHEMA.names,
    *schema.EGRESS,
}
# A signal named like a column of the log: the word means the column.
PLUG_INS = {*SIGNALS.names(), *TESTS.names()} - COLUMNS
MODULES = sorted(m for m in SOURCE.rglob("*.py") if not any(place in m.parents for place in ELSEWHERE))


def literals(module: Path) -> Iterator[str]:
    """String literals of a module, but for docstrings."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


def names_in(literal: str) -> set[str]:
    """Plug-ins that a literal names: by itself, as a word of two parts, or as part of a table's name."""
    words = set(re.findall(r"\w+", literal)) - COLUMNS
    found = {literal} & PLUG_INS | {name for name in words & PLUG_INS if "_" in name}
    prefixes = ("behaviour", "carried", "rare", "popular", "top")
    return found | {n for n in PLUG_INS for w in words if w.startswith(f"{n}_") or w in {f"{p}_{n}" for p in prefixes}}


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.relative_to(SOURCE).as_posix())
def test_no_module_outside_the_shelves_names_a_plug_in(module: Path) -> None:
    assert {(name, text) for text in literals(module) for name in names_in(text)} == set()


def test_a_name_in_a_literal_is_found() -> None:
    assert names_in("synchrony") == {"synchrony"}
    assert names_in('SELECT * FROM "behaviour_regularity"') == {"regularity"}
    assert names_in("SELECT * FROM synchrony_null") == {"synchrony"}
    assert names_in("it is a release of mine") == set()


def test_a_name_is_used_once_over_both_shelves() -> None:
    """A report and a table of evidence tell signals by their names."""
    assert set(SIGNALS.names()) & set(TESTS.names()) == set()
