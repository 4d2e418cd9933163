"""A plug-in is one file: no other module knows its name, so a file can be added or removed by itself."""

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
FOLDERS = (SOURCE / "links" / "signals", SOURCE / "behaviour" / "tests")
# The lab, the audit and the fingerprints use these words with meanings of their own; sharing lists by name what may be
# told to other providers, so that a new plug-in does not join by itself.
EXEMPT = (*FOLDERS, *(SOURCE / name for name in ("lab", "audit", "fingerprints", "sharing", "peering")))
COLUMNS = {
    *(column.name for table in (schema.EXCHANGES, schema.ACCOUNTS, schema.EVENTS) for column in table.columns),
    *EXCHANGE_SCHEMA.names,
    *ACCOUNT_SCHEMA.names,
    *EVENT_SCHEMA.names,
    *schema.EGRESS,
}
# Where a signal has the name of a column, the word means the column.
PLUG_INS = {*SIGNALS.names(), *TESTS.names()} - COLUMNS
# What the words for account holders are about: families of evidence, of which two are called like their only test.
CARDS = [kind.load(name).signal.card for kind in (SIGNALS, TESTS) for name in kind.names()]
FAMILIES = {SOURCE / "cases" / "notices.py": {card.family for card in CARDS}}
MODULES = sorted(m for m in SOURCE.rglob("*.py") if not any(place in m.parents for place in EXEMPT))


def literals(module: Path) -> Iterator[str]:
    """String literals of a module, without docstrings."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def names_in(literal: str) -> set[str]:
    """Plug-ins that a literal names: as the whole literal, as a compound word, or within the name of a table."""
    words = set(re.findall(r"\w+", literal)) - COLUMNS
    found = {literal} & PLUG_INS | {name for name in words & PLUG_INS if "_" in name}
    prefixes = ("behaviour", "carried", "rare", "popular", "top")
    return found | {n for n in PLUG_INS for w in words if w.startswith(f"{n}_") or w in {f"{p}_{n}" for p in prefixes}}


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.relative_to(SOURCE).as_posix())
def test_no_other_module_names_a_plug_in(module: Path) -> None:
    texts = [text for text in literals(module) if text not in FAMILIES.get(module, ())]
    assert {(name, text) for text in texts for name in names_in(text)} == set()


def test_a_name_in_a_literal_is_found() -> None:
    assert names_in("synchrony") == {"synchrony"}
    assert names_in('SELECT * FROM "behaviour_regularity"') == {"regularity"}
    assert names_in("SELECT * FROM synchrony_null") == {"synchrony"}
    assert names_in("it is a release of mine") == set()


def test_no_name_is_used_for_both_kinds_of_signal() -> None:
    """The report and the table of evidence identify signals by name."""
    assert set(SIGNALS.names()) & set(TESTS.names()) == set()
