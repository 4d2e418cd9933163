"""The page on cases names every command on cases and their log with every option, and nothing that does not exist."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from clonewatch.cli.main import app
from clonewatch.model.questions import BY_ID
from clonewatch.model.same_evidence import COVERED, MORE_BITS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "using" / "cases.md").read_text(encoding="utf-8")
GROUPS = {name: typer.main.get_command(app).commands[name] for name in ("cases", "log")}  # type: ignore[attr-defined]
COMMANDS: dict[str, Any] = {f"{group} {name}": c for group, held in GROUPS.items() for name, c in held.commands.items()}
ROWS = dict(re.findall(r"^\| `clonewatch ((?:cases|log) [a-z-]+)[^`]*` \| (.*) \|$", PAGE, re.M))


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
    for line in re.findall(rf"clonewatch {name} .*", COMMANDS[name].help + PAGE):
        assert set(re.findall(r"(?<!\S)(--[a-z-]+)", line.partition("`")[0])) <= options(name), line


def test_the_help_names_every_innocent_explanation() -> None:
    assert all(question in COMMANDS["cases rule"].help for question in BY_ID)


def test_the_page_says_what_counts_as_the_same_evidence() -> None:
    assert "at least three quarters of the group's accounts" in PAGE and COVERED == 0.75
    assert "at most 2 bits, a factor of four" in PAGE and MORE_BITS == 2.0
