"""The documentation site: it holds every page, names only what exists, and fetches nothing from elsewhere."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import clonewatch

ROOT = Path(__file__).resolve().parents[2]
SITE = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
REFERENCE = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
NAMED = re.findall(r"^::: ([\w.]+)$", REFERENCE, re.M)
KINDS = ["Tutorial", "How-to guides", "Reference", "Explanation"]

_SPEC = importlib.util.spec_from_file_location("check_site", ROOT / ".ci" / "check_site.py")
assert _SPEC and _SPEC.loader
check_site = importlib.util.module_from_spec(_SPEC)
sys.modules["check_site"] = check_site
_SPEC.loader.exec_module(check_site)


def pages(entry: Any) -> list[str]:
    """Every page below an entry of the navigation."""
    if isinstance(entry, str):
        return [entry]
    return [page for below in (entry.values() if isinstance(entry, dict) else entry) for page in pages(below)]


def test_the_navigation_holds_every_page_once_and_no_other() -> None:
    there = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")]
    assert sorted(pages(SITE["nav"])) == sorted(p.relative_to(ROOT).as_posix() for p in there)


def test_the_navigation_and_the_index_go_by_the_four_kinds_of_documentation() -> None:
    named = [name for entry in SITE["nav"] for name in entry]
    heads = re.findall(r"^## (.+)$", (ROOT / "docs" / "index.md").read_text(encoding="utf-8"), re.M)
    assert [n for n in named if n in KINDS] == KINDS == heads[: len(KINDS)]


def test_the_reference_of_python_holds_everything_that_the_package_offers() -> None:
    offered = {f"clonewatch.{name}" for name in clonewatch.__all__ if name != "__version__"}
    assert set(NAMED) == offered


@pytest.mark.parametrize("name", NAMED)
def test_what_the_reference_names_is_there_and_explains_itself(name: str) -> None:
    held = getattr(clonewatch, name.removeprefix("clonewatch."))
    assert len(inspect.getdoc(held) or "") > 20


def test_the_site_asks_for_no_fonts_and_no_statistics() -> None:
    assert SITE["theme"]["font"] is False
    assert "analytics" not in SITE["extra"]


# ---- the check itself ---------------------------------------------------------------------------------------------


def found(site: Path, body: str, **others: str) -> list[str]:
    """What is wrong with a site of one page and other files."""
    (site / "index.html").write_text(f"<html><body>{body}</body></html>")
    for name, text in others.items():
        (site / name.replace("_", ".")).write_text(text)
    return [problem.what for problem in check_site.problems(site)]


def test_a_site_that_is_whole_passes(tmp_path: Path) -> None:
    body = '<a href="b.html#here">b</a> <a href="#top" id="top">t</a> <img src="a.svg"> <a href="https://example.org">x</a>'
    assert found(tmp_path, body, b_html='<p id="here">', a_svg="<svg/>") == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('<a href="gone.html">', "leads to gone.html, which is not there"),
        ('<a href="#gone">', "leads to #gone, where nothing has that name"),
        ('<img src="gone.png">', "leads to gone.png, which is not there"),
        ('<script src="https://example.org/x.js"></script>', "fetches https://example.org/x.js"),
        ('<link rel="stylesheet" href="//example.org/x.css">', "fetches //example.org/x.css"),
        ('<pre class="mermaid">', "holds mermaid, for which the theme fetches a script"),
    ],
)
def test_a_broken_link_and_anything_fetched_from_elsewhere_is_found(tmp_path: Path, body: str, said: str) -> None:
    assert found(tmp_path, body) == [said]


def test_a_style_sheet_that_fetches_from_elsewhere_is_found(tmp_path: Path) -> None:
    styled = (
        "@import 'https://example.org/a.css'; p { background: url(//example.org/b.png) } i { background: url(c.png) }"
    )
    assert found(tmp_path, "", a_css=styled) == ["fetches https://example.org/a.css", "fetches //example.org/b.png"]


def test_an_empty_site_does_not_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_site.main(tmp_path) == 1
    assert "there is no page" in capsys.readouterr().out
