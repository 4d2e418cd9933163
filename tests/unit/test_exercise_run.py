"""A whole exercise on episodes that follow a formula: what is asked, concluded and drawn. Real ones: tests/path."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.test_exercise_playbook import EXAMPLES

from clonewatch.exercise.play_table import PlayTable
from clonewatch.exercise.playbook import Playbook, read
from clonewatch.exercise.run import run
from clonewatch.exercise.task import Group, Outcome, Task
from clonewatch.exercise.workers import Workers
from clonewatch.ports.progress import Silent
from clonewatch.report.exercise_page import exercise_page


class Formula(Workers):
    """A defence that sees shared cards and plain wordings, suspends in four days, and never touches the honest."""

    def outcomes(self, tasks: Sequence[Task], what: str) -> list[Outcome]:
        self.played += len(tasks)
        return [self.formula(task) for task in tasks]

    def formula(self, task: Task) -> Outcome:
        strategy, setting = task.strategy, task.setting
        assert strategy is not None
        seen = strategy.paraphrase < 0.7 and strategy.per_card > 2 and "suspend" in task.policy
        day = 4.0 - (2.0 if task.containment == "pool" else 0.0)
        first = strategy.accounts_for(setting.target, setting.days, setting.most)
        whole = min(setting.target, first * strategy.useful_rate * setting.days)
        share = day / setting.days if seen else 1.0
        useful = int(whole * share * (0.5 if task.warned else 1.0)) + task.seed % 7
        ratio = 1.5 if seen else 0.4
        return Outcome(
            useful=useful, before=useful, hydra=0, worth=float(useful), harvested=useful, requests=useful, first=first,
            opened=first, pools=1, checked=0, listed=1, flagged=3 if seen else None, acted=day if seen else None,
            contained=day if seen else None, honest={}, blocked={}, honest_accounts=300,
            honest_exchanges=9000, rulings=1, minutes=20.0, claimed=10,
            groups=[Group(3, "review", 0.2, 9, True, "hackathon"), Group(3, "review", ratio, first, False, "member")],
            trusted=0.25,
        )  # fmt: skip


@pytest.fixture(scope="module")
def book() -> Playbook:
    held = read(EXAMPLES / "playbook.toml")
    return held._replace(rounds=2, search=msgspec.structs.replace(held.search, trials=60, confirm=2, spread=4))


@pytest.fixture(scope="module")
def told(book: Playbook, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found = run(book, Formula(tmp_path_factory.mktemp("run"), 1, Silent()))
    return msgspec.json.decode(msgspec.json.encode(found))  # type: ignore[no-any-return]


def test_what_is_reported_is_on_the_frontier_and_was_played_on_all_seeds(told: dict[str, Any]) -> None:
    for points in told["frontiers"].values():
        assert points and all(one["seeds"] == 2 for one in points)
        assert all(one["share"][0] <= one["share"][1] <= one["share"][2] for one in points)
        means = [(one["multiple"][0], one["share"][0]) for one in points]
        assert means == sorted(means)


def test_conclusions_say_what_they_aim_at_and_whether_it_was_met(told: dict[str, Any]) -> None:
    found = {one["name"]: one for one in told["conclusions"]}
    assert list(found) == ["multiple", "before", "suspended", "blocked", "pool", "sharing"]
    assert found["suspended"]["holds"] and found["blocked"]["value"] == 0.0
    assert found["before"]["holds"] == (found["before"]["value"] <= 0.1)
    assert found["sharing"]["holds"] and found["sharing"]["value"] == pytest.approx(0.5, abs=0.01)


def test_rounds_recalibrate_above_the_nearest_honest_group_and_print_their_gap(told: dict[str, Any]) -> None:
    rounds = told["rounds"]
    assert [one["round"] for one in rounds["rounds"]] == [1, 2]
    assert all(one["gap"] == pytest.approx(one["attacker_gain"] + one["defender_gain"]) for one in rounds["rounds"])
    assert rounds["ending"] in ("fixed point", "cycle", "open")
    assert any(name.endswith("from 0.25") for name in rounds["policies"]), "0.2 of an honest group, and a margin"
    assert sum(rounds["policies"].values()) == pytest.approx(1.0, abs=1e-4)


def test_who_shares_and_is_not_flagged_is_a_finding(told: dict[str, Any]) -> None:
    assert told["bound"]["trusted"] == pytest.approx(0.25)
    # Against the first policy, which never suspends by this formula, nobody is flagged.
    for one in told["bound"]["beaten"]:
        assert one["shared"] and one["bound"] > 0


def test_the_sensitivity_names_cards_and_what_it_left_out(told: dict[str, Any]) -> None:
    held = told["sensitivity"]
    assert "payment_usd" in held["tried"] and "decision_days" in held["not_tried"]
    assert not set(held["tried"]) & set(held["not_tried"])
    assert all(one["flips"] or one["best"] != told["best"] for one in held["turned"])


def test_the_page_needs_nothing_and_says_all_of_it(told: dict[str, Any]) -> None:
    page = exercise_page(told)
    assert page == exercise_page(told)
    assert "<script" not in page and "http-equiv" in page and "<svg" in page
    for words in (
        told["best"],
        "Ways of containment",
        "Telling another provider",
        "The evasion-cost bound",
        "worth usd",
    ):
        assert words in page
    assert page.count("<tr>") > len(told["cards"])


def test_the_search_learns_what_the_defence_does_not_see(book: Playbook, tmp_path: Path) -> None:
    last = book._replace(policies=book.policies[1:])
    table = PlayTable(last, Formula(tmp_path, 1, Silent()))
    errors = table.search("suspend v1")
    assert len(errors) == 1
    found = [name for name in table.strategies if name.startswith("search-")]
    most = max(table.strategies, key=lambda name: table.point("suspend v1", name).share)
    assert found and table.outcomes("suspend v1", most)[0].flagged is None
