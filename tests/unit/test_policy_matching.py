"""Matching, entries and backtests: what a policy does to which accounts, and what never happens."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from clonewatch.model.gateway_actions import ACTIONS
from clonewatch.policy.backtest import MINUTES, Kept, Window, backtest
from clonewatch.policy.entries import Measure, chosen, plain
from clonewatch.policy.groups import Ruled, members, slices
from clonewatch.policy.matching import matched
from clonewatch.policy.policy_file import Policy, parsed

NOW, DAY, HOUR = 1_778_058_000, 86_400, 3_600
TOML = """
schema = "clonewatch.policy.v1"
name = "p"
version = 1
appeal_url = "https://example.com/appeal"
[[rules]]
id = "tell"
when = 'campaign.outcome == "flagged"'
action = "notify"
reason = "linked"
[[rules]]
id = "share"
when = 'campaign.outcome == "flagged" && account.membership >= 0.5'
action = "budget"
bound = { tokens_per_minute = 10 }
reason = "shared"
mode = "enforce"
days = 10
[[rules]]
id = "stop"
when = 'campaign.ruling == "confirmed" && account.age_days < 90.0'
action = "suspend"
reason = "covert"
mode = "enforce"
approvals = 3
"""


def policy(text: str = TOML) -> Policy:
    held = parsed(text.encode())
    assert isinstance(held, Policy), held
    return held


def day(number: int) -> datetime:
    return datetime(2026, 5, number, tzinfo=UTC)


def campaign(name: str = "C0001", outcome: str = "flagged", **other: Any) -> dict[str, Any]:
    return {"campaign_id": name, "outcome": outcome, "odds_bits": 5.0, "families": ["load"], "ruled": [], **other}


def row(account: str, group: str = "C0001", role: str = "core", harvested: int = 8, **other: Any) -> dict[str, Any]:
    held = {"campaign_id": group, "account_id": account, "role": role, "membership": 0.9, "exchanges": 10}
    return {**held, "harvested_exchanges": harvested, "created_ts": None, "banned_ts": None, **other}


MEASURE = Measure("budget", "K0001", ("ana", "bob"), NOW - DAY, NOW + 30 * DAY)


def entries(measures: dict[str, list[Measure]], held: Policy | None = None, now: int = NOW) -> Any:
    found = matched(held or policy(), members([campaign()], [row("a"), row("b", membership=0.1)], day(1)))
    return chosen(held or policy(), found.matches, measures, {}, now)


def test_without_a_measure_the_strictest_rule_is_simulated() -> None:
    made = entries({})
    assert (made.simulated, made.enforced) == ({"share": 1, "tell": 1}, {})
    first = made.entries[made.numbers["a"]]
    assert (first["mode"], first["case"], first["approved_by"]) == ("shadow", "", [])
    assert first["expires"] == first["ends"] == NOW + 24 * HOUR


def test_under_a_measure_of_its_kind_a_rule_is_enforced_until_the_first_of_its_ends() -> None:
    made = entries({"a": [MEASURE]})
    one = made.entries[made.numbers["a"]]
    assert (one["mode"], one["case"], one["campaign"], one["approved_by"]) == (
        "enforce",
        "K0001",
        "K0001",
        ["ana", "bob"],
    )
    assert one["expires"] == NOW + 24 * HOUR and one["ends"] == NOW - DAY + 10 * DAY and one["since"] == NOW - DAY
    soon = entries({"a": [MEASURE._replace(ends=NOW + HOUR)]})
    assert soon.entries[soon.numbers["a"]]["expires"] == NOW + HOUR


@pytest.mark.parametrize(
    "other",
    [
        {"measure": "verify"},
        {"measure": "suspend"},
        {"by": ("ana",), "measure": "suspend"},
        {"by": ("", " ")},
        {"ends": NOW},
        {"begins": NOW + 1},
        {"begins": NOW - 10 * DAY},
    ],
    ids=str,
)
def test_a_measure_of_another_kind_or_time_enforces_nothing_and_is_counted(other: dict[str, Any]) -> None:
    made = entries({"a": [MEASURE._replace(**other)]})
    assert made.enforced == {} and made.unbound == {other.get("measure", "budget"): 1}


def test_a_rule_may_ask_for_more_persons_than_its_action() -> None:
    held = policy()
    found = matched(held, members([campaign()], [row("a", created_ts=day(1))], day(9), [confirmed("a")]))
    measure = Measure("suspend", "K0001", ("ana", "bob"), NOW, NOW + DAY)
    assert chosen(held, found.matches, {"a": [measure]}, {}, NOW).enforced == {}
    three = measure._replace(by=("ana", "bob", "eva"))
    assert chosen(held, found.matches, {"a": [three]}, {}, NOW).enforced == {"stop": 1}


def test_what_is_simulated_spends_no_budget_of_what_is_enforced() -> None:
    verified = MEASURE._replace(measure="verify")
    made = entries({"a": [verified]})
    assert made.entries[made.numbers["a"]]["campaign"] == "C0001" and made.entries[made.numbers["a"]]["case"] == "K0001"


def test_of_several_measures_against_an_account_each_enforces_its_rule_and_the_longest_counts() -> None:
    others = [MEASURE._replace(measure="verify"), MEASURE._replace(case="K0002", ends=NOW + HOUR)]
    for measures in ([MEASURE, *others], [*others, MEASURE]):
        made = entries({"a": measures})
        assert made.entries[made.numbers["a"]]["case"] == "K0001" and made.enforced == {"share": 1}
    made = entries({"a": others})
    assert made.entries[made.numbers["a"]]["case"] == "K0002"


def confirmed(accounts: str, ruling: str = "confirmed", explanation: str = "") -> Ruled:
    return Ruled("K0001", ruling, frozenset(accounts), day(1), explanation)


def test_an_account_in_no_group_any_more_is_counted_when_it_is_under_a_measure() -> None:
    assert entries({"z": [MEASURE]}).unbound == {"budget": 1}


def test_bystanders_and_whoever_was_cleared_match_nothing() -> None:
    held = members([campaign()], [row("a"), row("b", role="proxy_customer"), row("c")], day(1))
    found = matched(policy(), held, {"c"})
    assert {match.member.account for match in found.matches} == {"a"}
    assert (found.bystanders, found.cleared) == (1, 1)


def test_a_fact_that_is_not_known_is_counted_and_holds_for_nobody() -> None:
    found = matched(policy(), members([campaign()], [row("a")], day(1), [confirmed("a")]))
    assert found.undecided == {"stop": 1} and "stop" not in {match.rule.id for match in found.matches}


def test_a_group_has_the_ruling_of_the_case_in_which_half_of_its_accounts_are() -> None:
    rows = [row("a"), row("b"), row("c")]
    for ruled, expected in (("ab", "confirmed"), ("a", ""), ("abcd", "confirmed"), ("", "")):
        assert members([campaign()], rows, day(1), [confirmed(ruled)])[0].campaign["ruling"] == expected
    shown = campaign(ruled=[{"ruling": "innocent"}])
    assert members([shown], rows, None)[0].campaign["ruling"] == "innocent"


def test_accounts_are_decided_by_their_own_facts_and_those_of_their_own_campaign() -> None:
    rule = "[[rules]]\nid = \"r\"\nwhen = '''%s'''\naction = \"observe\"\nreason = \"x\"\n"
    when = 'campaign.families.exists(f, f == "load") && (account.role == "core" || account.membership > 0.5)'
    held = policy(TOML.partition("[[rules]]")[0] + rule % when)
    rows = [row("a"), row("b", role="fringe", membership=0.4), row("c", role="fringe"), row("d", "C0002")]
    groups = [campaign(), campaign("C0002", families=["payment"])]
    assert [m.member.account for m in matched(held, members(groups, rows, None)).matches] == ["a", "c"]
    assert (held.rules[0].when.of_campaign, held.rules[0].when.of_account) == (("families",), ("role", "membership"))
    # Facts that are made anew for each account are told apart too.
    fresh = (m._replace(campaign=dict(m.campaign, odds_bits=n)) for n, m in enumerate(members(groups, rows, None)))
    assert [m.member.account for m in matched(held, fresh).matches] == ["a", "c"]


def test_a_slice_has_attributes_of_requests_that_no_trusted_account_carries() -> None:
    def attribute(signal: str, name: str, weight: float, trusted: int = 0) -> dict[str, Any]:
        return {"campaign_id": "C0001", "signal": signal, "attribute": name, "weight": weight, "trusted": trusted}

    held = [
        attribute("template", "aa", 3.0),
        attribute("template", "bb", 9.0),
        attribute("template", "cc", 9.5, trusted=1),
        attribute("payment", "dd", 9.9),
    ]
    families = [{"signal": "template", "family": "content"}, {"signal": "payment", "family": "identity"}]
    assert slices(held, families) == {"C0001": ["template:bb", "template:aa"]}


def test_texts_for_headers_stay_different_where_people_are() -> None:
    assert plain("Ана") != plain("Боб") and plain("Ана").isascii()
    assert plain('a"b\\c\r\n') == "a%22b%5Cc%0D%0A"


def kept(number: int, accounts: list[dict[str, Any]], harvested: dict[str, dict[datetime, int]], **other: Any) -> Kept:
    groups = {one["campaign_id"] for one in accounts}
    return Kept(
        day(number), members([campaign(g, **other) for g in groups], accounts, day(number)), accounts, harvested
    )


def test_a_backtest_adds_up_what_leaked_before_and_what_could_have_been_prevented() -> None:
    days = {day(n): 100 for n in range(1, 11)}
    mine = [row("a", harvested=300), row("b", harvested=100, membership=0.1), row("c", role="proxy_customer")]
    renamed = [{**one, "campaign_id": "C0007"} for one in mine]
    early = kept(2, mine, {"C0001": {day(1): 90}}, outcome="review")
    first = kept(4, mine, {"C0001": {day(n): 100 for n in range(1, 5)}})
    late = kept(10, renamed, {"C0007": days})
    text = TOML.replace("when = 'campaign.outcome == \"flagged\"'", "when = 'account.membership > 2.0'")
    found = backtest(policy(text), [late, early, first])
    (one,) = found.campaigns
    assert (one.group, one.first, one.rules, one.accounts, one.touched) == ("C0007", day(4), ("share",), 2, 1)
    # Up to the day on which it was decided all leaked; of the rest "a" has three quarters.
    assert (one.harvested, one.leaked, one.preventable) == (1_000, 400, 450)
    assert found.rules == {"share": 1} and found.bystanders == 1


def test_a_campaign_that_no_rule_matches_leaks_all_of_it() -> None:
    (one,) = backtest(
        policy(TOML.replace("flagged", "listed")), [kept(2, [row("a")], {"C0001": {day(1): 7}})]
    ).campaigns
    assert (one.first, one.leaked, one.preventable, one.touched) == (None, 7, 0, 0)


def test_whoever_is_touched_is_split_by_what_people_know_and_what_of_theirs_was_no_harvest() -> None:
    accounts = [row(name, harvested=number) for number, name in enumerate("abcd")]
    ruled = [confirmed("a"), confirmed("b", "innocent", "one_customer")]
    found = backtest(policy(), [kept(2, accounts, {})], ruled, frozenset("bc"))
    assert found.touched.accounts == {"confirmed": 1, "look-alike: one_customer": 1, "overturned": 1, "unknown": 1}
    # Of the honest all exchanges count, though a scan attributed some of them.
    assert found.touched.other == {"confirmed": 10, "look-alike: one_customer": 10, "overturned": 10, "unknown": 7}


def test_nothing_that_is_known_to_be_honest_counts_as_yield() -> None:
    held = kept(2, [row("a"), row("b")], {"C0001": {day(1): 9, day(3): 5}})
    later = kept(4, [row("a"), row("b")], {"C0001": {day(1): 9, day(3): 5}})
    (suspected,) = backtest(policy(), [held, later]).campaigns
    assert (suspected.known, suspected.harvested, suspected.preventable) == ("unknown", 14, 5)
    (honest,) = backtest(policy(), [held, later], [confirmed("ab", "innocent", "one_customer")]).campaigns
    assert (honest.known, honest.harvested, honest.preventable) == ("look-alike: one_customer", 0, 0)
    assert honest.touched == 2


def test_a_backtest_of_a_window_sees_results_that_end_in_it_and_exchanges_of_its_days() -> None:
    days = {day(n): 10 for n in range(1, 9)}
    results = [kept(n, [row("a")], {"C0001": {d: c for d, c in days.items() if d <= day(n)}}) for n in (2, 5, 8)]
    window = Window(day(4).date(), day(7).date())
    (one,) = backtest(policy(), results, window=window).campaigns
    assert (one.first, one.harvested, one.leaked) == (day(5), 20, 20)
    (whole,) = backtest(policy(), results).campaigns
    assert (whole.first, whole.harvested, whole.leaked, whole.preventable) == (day(2), 80, 20, 60)


def test_groups_of_one_result_stay_two_and_each_day_of_theirs_counts() -> None:
    first = kept(2, [row(name) for name in "abcd"], {"C0001": {day(1): 8}})
    split = [row(name) for name in "ab"] + [row(name, "C0002") for name in "cd"]
    second = kept(4, split, {"C0001": {day(1): 4, day(3): 4}, "C0002": {day(1): 4, day(3): 5}})
    found = backtest(policy(), [first, second]).campaigns
    assert [(one.group, one.harvested) for one in found] == [("C0001", 8), ("C0002", 9)]


def test_a_policy_grows_rule_by_rule_from_the_strictest_and_work_is_counted_by_what_is_assumed() -> None:
    accounts = [row("a"), row("b", membership=0.1)]
    held = [kept(n, accounts, {"C0001": {day(1): 5, day(3): 8}}) for n in (2, 4)]
    found = backtest(policy(), held, minutes={**MINUTES, "case": 100.0, "budget": 10.0, "notify": 1.0})
    assert [(one.rule, one.accounts, one.preventable) for one in found.steps] == [
        ("stop", 0, 0),
        ("share", 1, 4),
        ("tell", 2, 8),
    ]
    assert found.rules == {"share": 1, "tell": 1} and found.minutes == 100 + 10 + 1
    assert MINUTES.keys() == {"case", *ACTIONS}
