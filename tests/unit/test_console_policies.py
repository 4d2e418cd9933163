"""Policies in the console: backtests with their pictures, whom they would touch, decisions that gateways were given."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.unit.console_stand import Console, version_in
from tests.unit.evidence_stand import showing
from tests.unit.gateway_stand import SIGNING
from tests.unit.kept_results import ENFORCED, policy, results

from clonewatch.cases.arrivals import arrive, groups
from clonewatch.enforcement.publication import Place, Publisher
from clonewatch.pipeline.scan_result import read_summary, table_paths
from clonewatch.policy.published import in_place
from clonewatch.service.views import trials

ROLES = ("viewer", "analyst", "approver")


class Stand(NamedTuple):
    """A console with a policy, kept results, and the folder of a list."""

    held: Console
    home: Path
    kept: list[Path]

    def see(self, path: str, role: str = "viewer") -> str:
        page = self.held.as_[role].get(path)
        assert page.status_code == 200, page.text
        assert not re.search(r"\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|<style", page.text)
        return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.text))

    def publish(self) -> Any:
        place = Place(self.home / "list", "accounts", SIGNING, 3_600)
        publisher = Publisher(self.home / "policy.toml", [self.kept[-1]], self.held.store, place)
        return publisher.publish(int(time.time()))

    def contain(self) -> None:
        """Two persons decide on a budget for the accounts of C1."""
        analyst = self.held.as_["analyst"]
        for path, fields in (
            ("rule", {"ruling": "confirmed"}),
            ("contain", {"measure": "budget", "ground": "Section 4", "why": "seen twice"}),
        ):
            version = version_in(analyst.get("/cases/K0003").text)
            assert analyst.post(f"/cases/K0003/{path}", version=version, **fields).status_code == 303
        assert self.held.as_["approver"].post("/containments/B0001/begin").status_code == 303


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    kept = results(tmp_path, 4, 14, 24)
    held = showing(tmp_path, kept[-1], ROLES)
    with held.store.writing() as change:
        arrive(change, groups(table_paths(kept[-1]), read_summary(kept[-1])), "the test", held.clock.now)
    more = {"policies": (policy(tmp_path, ENFORCED),), "kept": tuple(kept), "watch_list": tmp_path / "list"}
    held.app.state.settings = held.app.state.settings._replace(**more)
    return Stand(held, tmp_path, kept)


def test_a_policy_is_shown_with_its_backtest_and_tried_once_for_each_state(stand: Stand) -> None:
    trials._tried.cache_clear()
    page = stand.see("/policies")
    assert "strict, version 3" in page and "Tried on 3 kept results, 22 April 2026 to 24 May 2026" in page
    assert "accounts touched" in page and "23 unknown" in page and "2 customers of proxies left out" in page
    assert '<svg xmlns="http://www.w3.org/2000/svg" class="chart"' in stand.held.as_["viewer"].get("/policies").text
    stand.see("/policies")
    assert trials._tried.cache_info()[:2] == (2, 1)
    shorter = stand.see("/policies?since=2026-05-01&until=2026-05-20")
    assert "Tried on 2 kept results, 1 May 2026 to 20 May 2026" in shorter
    stand.contain()
    # What was ruled is known from now on; the days before saw nothing of it.
    assert "23 unknown" not in stand.see("/policies") and "confirmed" in stand.see("/policies")


def test_a_policy_with_faults_is_said_by_line_and_days_that_cannot_be_are_refused(stand: Stand) -> None:
    policy(stand.home, ENFORCED.replace("campaign.outcome", "campaign.country", 1))
    page = stand.see("/policies")
    assert "This file cannot be used" in page and "Line 8: campaign.country is refused" in page
    assert "1 policy has a fault and is left out" in stand.see("/campaigns/C1/policies")
    assert stand.held.as_["viewer"].get("/policies?since=yesterday").status_code == 400
    policy(stand.home, ENFORCED)
    assert "no result ends from 2027-01-01" in stand.see("/policies?since=2027-01-01&until=2027-01-02").lower()


def test_the_page_of_a_group_leads_to_whom_policies_would_touch(stand: Stand) -> None:
    assert "Whom policies would touch" in stand.see("/campaigns/C1")
    page = stand.see("/campaigns/C1/policies")
    assert re.search(r"share budget enforce 0 18 0", page) and re.search(r"tell notify shadow 0 0 0", page)
    assert "All 18 accounts" in page and "C1-acct-00000" in page and "C1-acct-00009" not in page, "no bystander"
    stand.contain()
    assert re.search(r"share budget enforce 18 0 0", stand.see("/campaigns/C1/policies"))
    assert stand.held.as_["viewer"].get("/campaigns/nobody/policies").status_code == 404


def test_decisions_are_those_that_gateways_were_given_and_are_lifted_from_their_page(stand: Stand) -> None:
    assert "No measure is in force" in stand.see("/decisions") and "Nothing was published yet" in stand.see(
        "/decisions"
    )
    stand.contain()
    assert "Nothing was published yet" in stand.see("/decisions")
    stand.publish()
    # The console's clock stands in May; what was published by the clock of this machine is of later.
    page = stand.see("/decisions")
    assert "B0001 : budget, K0003" in page and "18 accounts of 18" in page
    assert "Lift for all accounts" not in page and "Lift for all accounts" in stand.see("/decisions", "analyst")
    assert stand.held.as_["analyst"].post("/containments/B0001/end", note="enough").status_code == 303
    assert "No measure is in force" in stand.see("/decisions")


def test_a_list_is_counted_by_decision_with_what_a_delta_changed(stand: Stand) -> None:
    assert in_place(stand.home / "list") is None
    stand.publish()
    whole = in_place(stand.home / "list")
    assert whole and [(one.entry["action"], one.entry["mode"], one.accounts) for one in whole.decisions] == [
        ("budget", "shadow", 18),
        ("notify", "shadow", 5),
    ]
    policy(stand.home, ENFORCED.replace('["flagged", "review"]', '["flagged"]'))
    assert stand.publish().done.kind == "delta"
    after = in_place(stand.home / "list")
    assert after and [(one.entry["action"], one.accounts) for one in after.decisions] == [("budget", 18)]
    assert after.serial == whole.serial + 1
