"""The pages on cases, appeals, policies and matching name every command of theirs with every option, and no other."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from clonewatch.cases.appeal_figures import DEFINED
from clonewatch.cases.attachments import MOST_BYTES, MOST_FILES, MOST_TOTAL
from clonewatch.cases.containments import APPEAL_DAYS
from clonewatch.cases.measures import MEASURES
from clonewatch.cases.notices import SEEN
from clonewatch.cli.main import app
from clonewatch.model.gateway_actions import ACTIONS
from clonewatch.model.questions import BY_ID
from clonewatch.model.same_evidence import COVERED, MORE_BITS
from clonewatch.policy.facts import FACTS
from clonewatch.ports.shelf import Shelf

USING = Path(__file__).resolve().parents[2] / "docs" / "using"
NAMED = ("cases", "appeals", "policies", "sharing", "sharing-formats", "sharing-matching")
PAGES = {name: (USING / f"{name}.md").read_text(encoding="utf-8") for name in NAMED}
PAGE = PAGES["cases"]
BOTH = "".join(PAGES.values())
OF = ("cases", "log", "appeals", "policy", "match", "share")
GROUPS = {name: typer.main.get_command(app).commands[name] for name in OF}  # type: ignore[attr-defined]
COMMANDS: dict[str, Any] = {f"{group} {name}": c for group, held in GROUPS.items() for name, c in held.commands.items()}
ROWS = dict(re.findall(rf"^\| `clonewatch ((?:{'|'.join(OF)}) [a-z-]+)[^`]*` \| (.*) \|$", BOTH, re.M))


def options(name: str) -> set[str]:
    return {o for p in COMMANDS[name].params if p.param_type_name == "option" for o in p.opts if o[:2] == "--"}


def test_the_table_has_every_command_and_no_other() -> None:
    assert set(ROWS) == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_row_has_every_option_and_no_other(name: str) -> None:
    assert set(re.findall(r"`(--[a-z-]+)`", ROWS[name])) == options(name)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_teaches_by_examples_that_are_right(name: str) -> None:
    assert f"clonewatch {name} " in COMMANDS[name].help + " "
    assert all(parameter.help for parameter in COMMANDS[name].params)
    for line in re.findall(rf"clonewatch {name} .*", COMMANDS[name].help + BOTH):
        assert set(re.findall(r"(?<!\S)(--[a-z-]+)", line.partition("`")[0])) <= options(name), line


def test_the_help_names_every_innocent_explanation() -> None:
    assert all(question in COMMANDS["cases rule"].help for question in BY_ID)


def test_the_page_says_what_counts_as_the_same_evidence() -> None:
    assert "at least three quarters of the group's accounts" in PAGE and COVERED == 0.75
    assert "at most 2 bits, a factor of four" in PAGE and MORE_BITS == 2.0


def test_the_page_on_appeals_names_every_measure_outcome_limit_and_figure() -> None:
    page = PAGES["appeals"]
    for name in (*MEASURES, *(name.replace("_", " ") for name in DEFINED)):
        assert f"`{name}`" in page, name
    assert (
        f"{MOST_FILES} files" in page and f"{MOST_BYTES // 2**20} MiB" in page and f"{MOST_TOTAL // 2**20} MiB" in page
    )
    assert f"{APPEAL_DAYS} days" in page


def test_the_page_on_policies_names_every_fact_action_bound_measure_and_reason_for_observing() -> None:
    page = PAGES["policies"]
    for action in ACTIONS.values():
        bound = ", ".join(f"`{name}`" for name in action.bound) or "-"
        measure = f"`{action.measure}`" if action.measure else ("any" if action.persons else "-")
        assert re.search(rf"^\| `{action.name}` \| .* \| {bound} \| {action.persons} \| {measure} \|$", page, re.M), (
            action
        )
    assert all(f"`{whose}.{fact}`" in page for whose, facts in FACTS.items() for fact in facts)
    for reason in ("no_list", "stale_list", "lapsed", "unknown_action", "incomplete_decision", "slice_unknown"):
        assert f"`{reason}`" in page


def test_every_family_of_evidence_has_words_for_whoever_holds_an_account() -> None:
    signals = [Shelf("clonewatch.links.signals", "SIGNAL"), Shelf("clonewatch.behaviour.tests", "TEST")]
    held = [shelf.load(name) for shelf in signals for name in shelf.names()]
    assert {one.signal.card.family for one in held} == set(SEEN)
