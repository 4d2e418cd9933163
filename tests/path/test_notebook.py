"""The notebook runs from the first cell to the last, and shows what its text says."""

from __future__ import annotations

import ast
import json
import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from clonewatch import ScanResult

NOTEBOOK = json.loads((Path(__file__).resolve().parents[2] / "examples" / "first-scan.ipynb").read_text("utf-8"))
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def run(source: str, held: dict[str, Any]) -> Any:
    """Execute one cell as a kernel does: its last expression is what it shows."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), held)  # noqa: S102 - our own notebook
    return eval(compile(ast.Expression(last.value), "cell", "eval"), held) if last else None  # noqa: S307


class Walk(NamedTuple):
    """What the notebook showed. values: what each cell ended with, first to last. printed: what all of them wrote."""

    values: list[Any]
    printed: str


@pytest.fixture(scope="module")
def walk() -> Walk:
    held: dict[str, Any] = {}
    with redirect_stdout(StringIO()) as printed:
        values = [run("".join(cell["source"]), held) for cell in CODE]
    return Walk(values, printed.getvalue())


def test_the_notebook_holds_no_output_of_some_earlier_run() -> None:
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in CODE)
    assert len({cell["id"] for cell in NOTEBOOK["cells"]}) == len(NOTEBOOK["cells"])


def test_the_notebook_shows_the_result_as_a_table_of_campaigns(walk: Walk) -> None:
    (result,) = (one for one in walk.values if isinstance(one, ScanResult))
    assert result.flagged.num_rows > 0
    assert result.flagged["campaign_id"][0].as_py() in result._repr_html_()


def test_the_notebook_finds_campaigns_and_flags_nobody_honest(walk: Walk) -> None:
    found, recall, wronged = walk.values[-3]
    assert found and recall > 0.5 and wronged == {}


def test_the_notebook_reads_the_same_result_back(walk: Walk) -> None:
    assert walk.values[-2] is True


def test_the_notebook_says_what_speaks_for_a_campaign_and_why_an_account_is_in_it(walk: Walk) -> None:
    assert re.search(r"^ +\+\d+\.\d  \w+ +\w+", walk.printed, re.M)
    assert re.search(r"^\S+ is in C\d{4} as core$", walk.printed, re.M)
    assert "for example: ['" in walk.printed
