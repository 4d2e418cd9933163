"""The command-line page names every command and every option, and nothing that does not exist."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import typer

from clonewatch.cli.main import app
from clonewatch.model.questions import QUESTIONS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "using" / "command-line.md"
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def section(name: str) -> str:
    """The part of the page under a command's heading."""
    found = re.search(rf"^## `clonewatch {name}`\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert found, f"no section for {name}"
    return found[1]


# Former names that still work.
OLD_NAMES = {"--replay", "--mend"}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_of_a_command_is_in_its_section(name: str) -> None:
    held = section(name)
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "argument":
            assert (parameter.metavar or parameter.name.upper()).removesuffix("...") in held
        else:
            for spelling in set(parameter.opts) - OLD_NAMES:
                assert f"`{spelling}" in held, f"{name} {spelling} is not in the docs"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_section_names_no_option_that_the_command_lacks(name: str) -> None:
    named = set(re.findall(r"`(--[a-z-]+)", section(name)))
    assert named <= {spelling for parameter in COMMANDS[name].params for spelling in parameter.opts}


def test_the_page_has_no_section_for_a_command_that_is_gone() -> None:
    named = set(re.findall(r"^## `clonewatch ([a-z-]+)`", PAGE.read_text(encoding="utf-8"), re.M))
    assert named == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_teaches_by_example(name: str) -> None:
    assert f"clonewatch {name} " in (COMMANDS[name].help or "")
    assert all(parameter.help for parameter in COMMANDS[name].params)


def test_every_command_that_the_program_names_has_the_options_it_names() -> None:
    root = typer.main.get_command(app)
    checked = 0
    for module in (PAGE.parents[2] / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            said = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            for line in re.findall(r"clonewatch ([a-z][^`\n]*)", said):
                command: Any = root
                for word in line.split():
                    if word not in getattr(command, "commands", {}):
                        break
                    command = command.commands[word]
                named = set(re.findall(r"(?<!\S)--[a-z][a-z-]*", line)) - {"--help"}
                if command is not root and named:
                    checked += 1
                    known = {spelling for parameter in command.params for spelling in parameter.opts}
                    assert named <= known - OLD_NAMES, f"{module.name}: clonewatch {line}"
    assert checked > 20


def test_the_page_on_reports_lists_every_question_with_its_bits() -> None:
    page = (PAGE.parent / "reading-a-report.md").read_text(encoding="utf-8")
    for question in QUESTIONS:
        bits = " | ".join(f"{b:+g}" if b else "0" for b in (question.yes_bits, question.no_bits, question.shape_bits))
        assert f"| `{question.id}` | {question.asks} | {bits} | {question.why} |" in page
