"""The page on audits names every command of an audit with every option, and nothing that does not exist."""

import re
from pathlib import Path

import pytest
import typer

from clonewatch.cli.main import app

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "using" / "audit.md").read_text(encoding="utf-8")
AUDIT = typer.main.get_command(app).commands["audit"]  # type: ignore[attr-defined]
ROWS = dict(re.findall(r"^\| `clonewatch audit ([a-z-]+)[^`]*` \| (.*) \|$", PAGE, re.M))


def test_the_table_has_every_command_and_no_other() -> None:
    assert set(ROWS) == set(AUDIT.commands)


@pytest.mark.parametrize("name", sorted(AUDIT.commands))
def test_a_row_has_every_option_and_no_other(name: str) -> None:
    options = {o for p in AUDIT.commands[name].params if p.param_type_name == "option" for o in p.opts if o[:2] == "--"}
    assert set(re.findall(r"`(--[a-z-]+)`", ROWS[name])) == options


@pytest.mark.parametrize("name", sorted(AUDIT.commands))
def test_every_command_teaches_by_example(name: str) -> None:
    assert f"clonewatch audit {name} " in (AUDIT.commands[name].help or "")
    assert all(parameter.help for parameter in AUDIT.commands[name].params)


def test_every_option_of_an_example_is_one_of_its_command() -> None:
    for line in re.findall(r"^\$ clonewatch audit (.+)$", PAGE, re.M):
        name = line.split()[0]
        known = {o for p in AUDIT.commands[name].params for o in p.opts}
        assert set(re.findall(r"(--[a-z-]+)", line)) <= known, line
