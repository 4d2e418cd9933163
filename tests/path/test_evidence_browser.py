"""The evidence in a real browser: from the queue to why an account is in a campaign, and what axe finds."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.path.test_console_browser import Person, _lacking, browsing, listening, looked_at
from tests.required import required
from tests.unit import report_tables as made
from tests.unit.console_stand import Console
from tests.unit.evidence_stand import showing, written
from tests.unit.gateway_stand import SIGNING
from tests.unit.kept_results import ENFORCED, policy

from clonewatch.cases.arrivals import arrive, groups
from clonewatch.cases.changes import Decision, Who, rule
from clonewatch.cases.containments import Plan, ask, begin
from clonewatch.enforcement.publication import Place, Publisher
from clonewatch.live.spool import Arrived
from clonewatch.live.status import Status
from clonewatch.pipeline.scan_result import read_summary, table_paths

PAGES = (
    "/campaigns/C1",
    "/campaigns/G1",
    "/campaigns/C1/accounts?sort=first",
    "/campaigns/C1/exchanges",
    "/accounts/C1-acct-00001",
    "/accounts/nobody",
    "/compare?one=C1&other=C2",
    "/pools",
    "/pools/C1",
    "/policies",
    "/campaigns/C1/policies",
    "/decisions",
    "/live",
)
# From the queue: to the case, to its evidence, to the account.
FEW_CLICKS = 3

pytestmark = required("the evidence in a browser", _lacking())


@pytest.fixture(scope="module")
def open_(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Console, str]]:
    """A console on loopback that shows a result whose groups came in, and its address."""
    home = tmp_path_factory.mktemp("evidence")
    tables = made.scan(flagged=2, linked=1, accounts=180)
    rows = tables["campaigns"].to_pylist()
    told = {"rank": 1, "odds_bits": 6.0, "evidence_odds_bits": 6.0, "families": ["identity"]}
    for place, row in enumerate(rows, 1):
        row |= told | {"rank": place, "outcome": "flagged" if row["flagged"] else "listed"}
        row |= {"limiting_criterion": "linkage", "limiting_ratio": 1.3 if row["flagged"] else 0.4}
    tables["campaigns"] = made.table(made.schema.CAMPAIGNS, rows)
    held = showing(home, written(home / "result", tables))
    with held.store.writing() as change:
        arrive(change, groups(table_paths(home / "result"), read_summary(home / "result")), "the test", held.clock.now)
    held.clock.now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    _decided(held, home)
    with listening(held) as address:
        yield held, address


def _decided(held: Console, home: Path) -> None:
    """A policy, a measure against the accounts of C2, and the list that was published."""
    ana, bob = Who("ana", held.clock.now), Who("bob", held.clock.now)
    with held.store.writing() as change:
        rule(change, ["K0004"], Decision("confirmed"), ana)
        ask(change, "K0004", Plan("budget", "Section 4"), "seen twice", ana)
        begin(change, "B0001", bob)
    files = (policy(home, ENFORCED), policy(home, "nothing", "faulty.toml"))
    place = Place(home / "list", "accounts", SIGNING, 3_600)
    Publisher(files[0], [home / "result"], held.store, place).publish(int(time.time()))
    status = Status(batches=7, exchanges=900, looks=2, flagged=1, taken_at=time.time(), looked_at=time.time() - 90)
    status.arrived([Arrived(time.time() - 60 * minute, 10 + minute % 7, 0) for minute in range(45)])
    (home / "spool").mkdir()
    status.write(home / "spool")
    (home / "canary.txt").write_text("GAP: the canary at https://api.example.com: not refused within 15 seconds\n")
    more = {"policies": files, "watch_list": home / "list", "spool": home / "spool", "canary": home / "canary.txt"}
    held.app.state.settings = held.app.state.settings._replace(**more)


@pytest.fixture(scope="module")
def browser_() -> Iterator[Any]:
    with browsing() as browser:
        yield browser


def test_a_newcomer_finds_why_an_account_is_in_within_three_clicks(browser_: Any, open_: tuple[Console, str]) -> None:
    ana = Person(browser_, open_, "viewer")
    page = ana.page
    page.goto("/")
    clicks = 0
    for link in ("K0003", "See the evidence", "C1-acct-00000"):
        page.get_by_role("link", name=link).first.click()
        clicks += 1
    page.get_by_text("It is in C1 because it shares").wait_for()
    assert page.get_by_role("heading", name="Why perhaps not").is_visible()
    assert clicks <= FEW_CLICKS
    ana.leave()


def test_a_list_is_sorted_filtered_and_turned_in_place(browser_: Any, open_: tuple[Console, str]) -> None:
    ana = Person(browser_, open_, "viewer")
    page = ana.page
    page.goto("/campaigns/C1")
    page.wait_for_function("window.htmx !== undefined")
    page.get_by_role("link", name=re.compile("^Account")).last.click()
    page.locator("th[aria-sort] a", has_text="Account").wait_for()
    page.get_by_role("link", name="Further").click()
    page.get_by_text("Page 2 of 4").wait_for()
    page.locator("#list-fate").select_option("banned")
    page.get_by_text("45 accounts of 180").wait_for()
    assert page.get_by_role("heading", name="What it would take to be wrong").is_visible(), "still the same page"
    page.get_by_label("Part of an account id").fill("00001")
    page.get_by_label("Part of an account id").press("Enter")
    page.get_by_text("1 account of 180").wait_for()
    ana.leave()


def test_a_meaning_opens_by_key_and_closes_by_key(browser_: Any, open_: tuple[Console, str]) -> None:
    ana = Person(browser_, open_, "viewer")
    page = ana.page
    page.goto("/campaigns/C1")
    page.get_by_role("button", name="What is: Attributed exchanges?").first.focus()
    page.keyboard.press("Enter")
    meaning = page.locator("#what-attributed")
    assert meaning.is_visible() and "posterior of 0.5 or more" in meaning.inner_text()
    page.keyboard.press("Escape")
    assert not meaning.is_visible()
    ana.leave()


def test_every_page_of_evidence_can_be_used_by_everybody(browser_: Any, open_: tuple[Console, str]) -> None:
    ana = Person(browser_, open_, "viewer", reduced_motion="reduce")
    faults = []
    for place in PAGES:
        ana.page.goto(place)
        faults += looked_at(ana, f"evidence{place}")
    ana.complaints = [said for said in ana.complaints if "404" not in said]
    ana.leave()
    assert faults == []
