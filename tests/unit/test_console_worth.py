"""What a group was worth, on its page: the figures and words of a dossier, and nothing where the log was not given."""

from __future__ import annotations

import html
from pathlib import Path

import pytest
from tests.path.test_dossier import EXAMPLES, ask, dossier, home
from tests.unit.cases_stand import filled
from tests.unit.console_stand import Browser, Clock, invited, settings

from clonewatch.adapters.reading import open_log
from clonewatch.service.app import create_app
from clonewatch.service.views.worth import Worths, counted

__all__ = ["home"]


def page(place: Path, result: Path, worths: Worths | None) -> str:
    store = filled(str(place / "cases.db"))
    browser = Browser(
        create_app(settings(str(place / "cases.db"), None, Clock())._replace(result=result, worths=worths))
    )
    assert browser.choose(invited(store, "viewer", "viewer")).status_code == 303
    return html.unescape(browser.get("/campaigns/C0001").text)


def test_the_page_says_what_the_dossier_says_with_definitions(home: Path, tmp_path: Path) -> None:
    log = open_log((str(home / "log"),))
    shown = page(tmp_path, home / "result", counted(home / "result", log, EXAMPLES / "prices.toml"))
    told = dossier(home / "bundle")
    assert all(said in shown for said in told["worth"].values())
    assert "tokens at list price, without discounts" in shown and 'id="worth"' in shown


def test_without_the_log_or_of_another_scan_nothing_is_said(home: Path, tmp_path: Path) -> None:
    log = open_log((str(home / "log"),))
    other = counted(home / "result", log, None)._replace(scan="another")
    for name, worths in (("none", None), ("other", other)):
        (tmp_path / name).mkdir()
        assert 'id="worth"' not in page(tmp_path / name, home / "result", worths)


@pytest.mark.parametrize("words", [("--prices", EXAMPLES / "prices.toml"), ("--log", "x")])
def test_prices_without_log_and_a_log_without_result_are_messages(tmp_path: Path, words: tuple[object, ...]) -> None:
    ran = ask("console", "--store", tmp_path / "cases.db", *words)
    assert ran.exit_code == 2 and "takes a result and the log" in ran.output
