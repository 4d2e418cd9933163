"""The page on the policy lab names every command with its options, every knob and every card as it is."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from clonewatch.cli.main import app
from clonewatch.lab.adversary.bound import table
from clonewatch.lab.adversary.cards import cards
from clonewatch.lab.adversary.strategy import knobs

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "lab.md").read_text(encoding="utf-8")
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands["lab"].commands  # type: ignore[attr-defined]


def rows(head: str) -> list[list[str]]:
    """The rows of the table with this head."""
    held = PAGE.split(f"| {head} |", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in held.splitlines()[2:]]


def test_the_commands_and_their_options_are_those_there_are() -> None:
    said = {row[0].split()[2]: set(re.findall(r"`(--[a-z-]+)`", row[1])) for row in rows("command")}
    assert said == {
        name: {o for p in c.params if p.param_type_name == "option" for o in p.opts if o[:2] == "--"}
        for name, c in COMMANDS.items()
    }


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_teaches_by_an_example(name: str) -> None:
    assert f"clonewatch lab {name} " in (COMMANDS[name].help or "")


def test_the_knobs_are_those_there_are() -> None:
    said = {row[0].strip("`"): row[1] for row in rows("knob")}
    assert said == {name: ", ".join(knob.choices) or f"{knob.low:g} to {knob.high:g}" for name, knob in knobs().items()}


def test_the_cards_are_those_there_are() -> None:
    said = [[row[0].strip("`"), *row[1:]] for row in rows("card")]
    assert said == [
        [name, f"{c.value:g}", f"{c.low:g} to {c.high:g}", c.unit, c.source, str(c.date)]
        for name, c in cards().held.items()
    ]


def test_the_bound_is_what_the_program_computes() -> None:
    assert rows("trusted accounts") == [
        [f"{100 * one.trusted:g} %", one.threshold, str(one.users), f"{one.sources:,}", f"{one.usd:,.0f}"]
        for one in table((0.1, 0.2, 0.3), 25_000, cards())
    ]
