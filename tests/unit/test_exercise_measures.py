"""What a policy's actions do in an exercise, how analysts rule, recalibration, and what outcomes come to."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from clonewatch.exercise.analysts import rulings, standing
from clonewatch.exercise.measures import Measure, measures, strictest
from clonewatch.exercise.money import money
from clonewatch.exercise.policies import can_relax, relaxed
from clonewatch.exercise.task import EPISODE_CARDS, Containment, Outcome, Task
from clonewatch.lab.adversary.cards import cards
from clonewatch.lab.adversary.strategy import Strategy
from clonewatch.lab.adversary.translation import Setting
from clonewatch.model.errors import SetupError
from clonewatch.policy.facts import SAMPLE_ACCOUNT, SAMPLE_CAMPAIGN
from clonewatch.policy.matching import Member, matched

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SUSPEND = (EXAMPLES / "policy_suspend.toml").read_text(encoding="utf-8")
DEFAULT = (EXAMPLES / "policy.toml").read_text(encoding="utf-8")
CARDS = {name: cards()[name] for name in EPISODE_CARDS}
SETTING = Setting(quiet=5, days=21, target=6000)


def task(policy: str = SUSPEND, how: Containment = "matched", **other: object) -> Task:
    made = Task(policy, Strategy(paraphrase=0.0), SETTING, (1, 3), CARDS, 1, containment=how)
    return msgspec.structs.replace(made, **other)


def member(name: str, *, ruling: str = "confirmed", role: str = "core", membership: float = 0.95) -> Member:
    campaign = {**SAMPLE_CAMPAIGN, "ruling": ruling, "outcome": "flagged"}
    return Member(name, "C1", campaign, {**SAMPLE_ACCOUNT, "role": role, "membership": membership})


def begun(one: Task, members: list[Member], rates: dict[str, float] | None = None) -> list[Measure]:
    found = strictest(matched(relaxed(one.policy, one.relaxed), members).matches)
    return measures(one, found, members, 6.0, rates or {})


PEOPLE = [member(f"a{number}", membership=0.9 + number / 1000) for number in range(90)]


def test_what_a_person_has_to_approve_begins_after_the_days_of_a_decision() -> None:
    found = begun(task(), PEOPLE)
    assert len(found) == 90
    assert {(one.day, one.keep) for one in found} == {(6.0 + CARDS["decision_days"], 0.0)}


def test_account_by_account_takes_days_and_waves_wait_for_theirs() -> None:
    slow = begun(task(how="account"), PEOPLE)
    assert max(one.day for one in slow) == pytest.approx(7.0 + 89 / CARDS["accounts_a_day"])
    assert slow[0].account == "a89", "the surest first"
    wave = begun(task(how="wave"), PEOPLE)
    assert {one.day for one in wave} == {5.0 + 7.0}


def test_the_whole_pool_goes_with_whoever_is_suspended_but_no_bystander_does() -> None:
    mixed = [*PEOPLE[:3], member("fringe", role="fringe", membership=0.3), member("by", role="proxy_customer")]
    assert {one.account for one in begun(task(), mixed) if one.keep == 0} == {"a0", "a1", "a2"}
    assert {one.account for one in begun(task(how="pool"), mixed)} == {"a0", "a1", "a2", "fringe"}


def test_a_budget_is_shared_and_shrinks_with_the_simulated_campaign() -> None:
    flagged = [member(f"a{n}", ruling="") for n in range(10)]
    rates = {f"a{n}": 10.0 for n in range(10)}
    as_it_is = begun(task(), flagged, rates)
    assert {one.keep for one in as_it_is} == {1.0}, "20,000 tokens a minute are plenty for 100 requests a day"
    small = begun(task(stands_for=28_800_000), flagged, rates)
    tokens = CARDS["input_tokens"] + CARDS["output_tokens"]
    allowed = 20_000 * 6000 / 28_800_000 * 1440 / tokens
    assert [one.keep for one in small] == pytest.approx([allowed / 100] * 10)
    reworded = begun(task(stands_for=28_800_000, strategy=Strategy(paraphrase=0.75)), flagged, rates)
    assert [one.keep for one in reworded] == pytest.approx([1 - (1 - allowed / 100) * 0.25] * 10)


def test_analysts_rule_once_by_the_labels_and_err_at_their_rates() -> None:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    groups = {"C1": frozenset("abcd"), "C2": frozenset("efgh")}
    roles = {**dict.fromkeys("abcd", "member"), **dict.fromkeys("efgh", "hackathon")}
    rows = [{"campaign_id": "C1", "outcome": "flagged"}, {"campaign_id": "C2", "outcome": "review", "rank": 1}]
    sure = task(cards={**CARDS, "missed_rulings": 0.0, "wrong_rulings": 0.0})
    found = rulings(sure, rows, groups, roles, [], at)
    assert [(one.ruling, one.explanation) for one in found] == [("confirmed", ""), ("innocent", "hackathon")]
    assert rulings(sure, rows, groups, roles, found, at) == []
    wrong = task(cards={**CARDS, "missed_rulings": 1.0, "wrong_rulings": 1.0})
    missed = rulings(wrong, rows, groups, roles, [], at)
    assert [one.ruling for one in missed] == ["needs_more", "confirmed"]
    assert [one.ruling for one in rulings(sure, rows, groups, roles, missed, at)] == ["confirmed"], "looked at again"
    blind = task(cards={**CARDS, "looked_at": 0.0})
    assert [one.case for one in rulings(blind, rows, groups, roles, [], at)] == ["C1"]
    assert standing(frozenset("abe"), roles) == (False, "hackathon")


def test_a_recalibrated_policy_holds_from_its_ratio_on_and_says_no_more() -> None:
    near = [member("a", ruling="")]
    near = [one._replace(campaign={**one.campaign, "outcome": "review", "threshold_ratio": 0.6}) for one in near]
    assert begun(task(), near) == []
    assert [one.rule.id for one in begun(task(relaxed=0.5), near)] == ["throttle-flagged"]
    assert begun(task(relaxed=0.7), near) == []
    assert can_relax(DEFAULT) and can_relax(SUSPEND)
    with pytest.raises(SetupError, match="line 1"):
        relaxed("schema = 1", 0.0)


OUTCOME = Outcome(
    useful=3000, before=500, hydra=1000, worth=3000.0, harvested=3200, requests=3200, first=40, opened=80, pools=2,
    checked=0, listed=1, flagged=3, acted=4.0, contained=4.0, honest={"hackathon": {"suspend": 2, "budget": 1}},
    blocked={"hackathon": 50.0}, honest_accounts=500, honest_exchanges=10_000, rulings=2, minutes=100.0, claimed=2000,
    groups=[], trusted=0.2,
)  # fmt: skip


def test_money_counts_what_both_sides_pay() -> None:
    held = cards()
    found = money(Strategy(), OUTCOME, SETTING, held)
    assert (found.share, found.before) == (0.5, 500 / 6000)
    assert found.usd_per_million == pytest.approx(found.spent / 3000 * 1e6)
    assert found.gain == pytest.approx(3000 * held["worth_usd"] - found.spent)
    appeals = 3 * held["appeal_share"] * 6.0
    exchange = (300 * 3.0 + 1000 * 15.0) / 1e6
    assert found.harm == pytest.approx(2 * held["honest_account_usd"] + 50 * exchange + 100 + appeals)
    assert found.stake == pytest.approx(3200 * exchange)
    none = money(Strategy(), msgspec.structs.replace(OUTCOME, useful=0, worth=0.0), SETTING, held)
    assert none.multiple == float("inf") and none.gain < 0


def test_a_task_is_named_by_all_that_it_depends_on() -> None:
    keys = {task().key, task(how="pool").key, task(seed=2).key, task(relaxed=0.5).key, task(DEFAULT).key}
    assert len(keys) == 5
    assert task().key == task().key
    assert msgspec.json.decode(msgspec.json.encode(OUTCOME), type=Outcome) == OUTCOME
