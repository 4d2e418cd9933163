"""Decisions: what each action does, and that whatever is missing, over or incomplete is only observed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.gateway_stand import DAY, HOUR, NOW, entry, listed, published, read

from clonewatch.cases.measures import MEASURES
from clonewatch.model import gateway_actions
from clonewatch_gateway import Decision, Facts, decide
from clonewatch_gateway.bodies import changed
from clonewatch_gateway.counters import Minutes
from clonewatch_gateway.known_actions import ACTIONS

NONE = Facts()
ENFORCING = [name for name in ACTIONS if name != "observe"]


def notice(decision: Decision) -> str:
    return dict(decision.headers).get("account-notice", "")


def test_policies_and_gateways_know_the_same_actions_with_the_same_ranks_and_persons() -> None:
    ranked = sorted(ACTIONS.values(), key=lambda action: action.rank)
    assert [(one.name, one.persons) for one in ranked] == [
        (a.name, a.persons) for a in gateway_actions.ACTIONS.values()
    ]
    assert [one.rank for one in ranked] == list(range(8))
    assert {a.measure for a in gateway_actions.ACTIONS.values()} - {""} == set(MEASURES)
    for name, action in gateway_actions.ACTIONS.items():
        assert not ACTIONS[name].faults(dict.fromkeys(action.bound, 1)), name
        assert ACTIONS[name].faults({**dict.fromkeys(action.bound, 1), "more": 1}), name
        assert not action.bound or ACTIONS[name].faults(dict.fromkeys(action.bound, 0)), name


def test_whoever_is_not_listed_is_served_and_nothing_is_said() -> None:
    assert decide("a", NONE, None, NOW) == Decision("observe", "no_list", "", 0, "", False)


@pytest.mark.parametrize("action", ENFORCING)
def test_an_action_says_to_the_client_what_is_done_why_until_when_and_where_to_appeal(
    tmp_path: Path, action: str
) -> None:
    facts = Facts(attributes=frozenset({"template:0123456789abcdef"}))
    found = decide(action, facts, listed(tmp_path, action), NOW)
    assert (found.action, found.case, found.expiry, found.origin) == (action, "K0001", NOW + HOUR, "accounts 1")
    assert not found.simulated
    assert notice(found) == (
        f'{action}; reason="linked_campaign"; case="K0001"; until="2026-05-07T09:00:00Z"; '
        'appeal="https://api.example.com/appeal"'
    )


@pytest.mark.parametrize("action", ENFORCING)
def test_in_shadow_it_is_said_what_would_have_been_done_and_the_client_hears_nothing(
    tmp_path: Path, action: str
) -> None:
    found = decide(action, NONE, listed(tmp_path, action, mode="shadow", approved_by=[], appeal="", case=""), NOW)
    assert found.simulated and found.action == action
    assert (found.headers, found.status, found.changes) == ((), 0, ())
    assert found.would == (403 if action in ("suspend", "verify") else 0)


@pytest.mark.parametrize("action", ENFORCING)
@pytest.mark.parametrize(
    "lacking",
    [{"approved_by": []}, {"appeal": ""}, {"expires": 0}, {"case": ""}, {"reason": ""}, {"expires": NOW + 2 * DAY}],
    ids=lambda lacking: next(iter(lacking)),
)
def test_without_approver_appeal_expiry_case_or_reason_nothing_is_done(
    tmp_path: Path, action: str, lacking: dict[str, object]
) -> None:
    found = decide(action, NONE, listed(tmp_path, action, **lacking), NOW)
    assert (found.action, found.status, found.headers, found.changes) == ("observe", 0, (), ())
    assert found.reason == "incomplete_decision"


@pytest.mark.parametrize("by", [["ana"], ["ana", " Ana "], ["ana", ""]])
def test_a_suspension_needs_two_different_persons(tmp_path: Path, by: list[str]) -> None:
    assert decide("suspend", NONE, listed(tmp_path, "suspend", approved_by=by), NOW).reason == "incomplete_decision"


def test_two_persons_suspend_until_it_lapses(tmp_path: Path) -> None:
    watch = listed(tmp_path, "suspend")
    assert decide("suspend", NONE, watch, NOW + HOUR - 1).status == 403
    lapsed = decide("suspend", NONE, watch, NOW + HOUR)
    assert (lapsed.action, lapsed.reason, lapsed.status) == ("observe", "lapsed", 0)


def test_a_stale_list_and_one_from_the_future_are_only_observed(tmp_path: Path) -> None:
    watch = listed(tmp_path, "suspend", expires=NOW + 3 * DAY, ends=NOW + 3 * DAY)
    assert decide("suspend", NONE, watch, NOW + DAY - 1).status == 403
    assert decide("suspend", NONE, watch, NOW + DAY)[:2] == ("observe", "stale_list")
    assert decide("suspend", NONE, watch, NOW - DAY)[:2] == ("observe", "list_from_the_future")
    assert decide("suspend", NONE, watch, NOW - 60).status == 403  # clocks differ a little


def test_an_action_that_this_version_does_not_know_is_observed(tmp_path: Path) -> None:
    found = decide("poison_answers", NONE, listed(tmp_path, "poison_answers"), NOW)
    assert (found.action, found.reason, found.status) == ("observe", "unknown_action", 0)


def test_whoever_verified_since_is_served_as_before(tmp_path: Path) -> None:
    watch = listed(tmp_path, "verify")
    asked = decide("verify", Facts(verified_at=NOW - 1), watch, NOW + 9)
    assert (asked.status, asked.reason) == (403, "verification_required") and notice(asked)
    done = decide("verify", Facts(verified_at=NOW + 5), watch, NOW + 9)
    assert (done.status, done.reason, done.headers) == (0, "verified_since", ())


def test_all_accounts_of_a_campaign_share_one_budget(tmp_path: Path) -> None:
    published(tmp_path, {"a": entry("budget"), "b": entry("budget"), "c": entry("budget", campaign="K0002")})
    watch, counters = read(tmp_path), Minutes()

    def ask(account: str, tokens: int, now: float) -> Decision:
        found = decide(account, Facts(tokens, spent=counters.at(now)), watch, now)
        if found.charge:
            counters.add(found.charge, tokens, now)
        return found

    assert ask("a", 600, NOW).reason == "within_budget"
    refused = ask("b", 600, NOW + 1)
    assert (refused.status, refused.reason) == (429, "budget_spent")
    assert dict(refused.headers)["retry-after"] == "59" and notice(refused)
    assert ask("b", 400, NOW + 2).status == 0
    assert ask("c", 600, NOW + 2).status == 0
    assert ask("a", 600, NOW + 90).status == 429  # half of the minute before still counts: 500
    assert ask("a", 600, NOW + 121).status == 0


def test_a_throttle_touches_the_slice_of_the_campaign_and_nothing_else(tmp_path: Path) -> None:
    watch = listed(tmp_path, "throttle_slice")
    mine = frozenset({"template:0123456789abcdef", "client:1"})
    spent = {"K0001/slice": 900.0}
    assert decide("throttle_slice", Facts(200, mine, spent=spent), watch, NOW).status == 429
    within = decide("throttle_slice", Facts(100, mine, spent=spent), watch, NOW)
    assert (within.status, within.charge) == (0, "K0001/slice")
    other = decide("throttle_slice", Facts(200, frozenset({"template:ff"}), spent=spent), watch, NOW)
    assert (other.status, other.reason, other.charge, other.headers) == (0, "outside_slice", "", ())
    assert decide("throttle_slice", Facts(200, spent=spent), watch, NOW).reason == "slice_unknown"


def test_what_is_dropped_and_shortened_is_told_and_what_is_less_already_stays(tmp_path: Path) -> None:
    watch = listed(tmp_path, "drop_logprobs", "shorten_reasoning")
    less = decide("drop_logprobs", NONE, watch, NOW)
    include = ["message.output_text.logprobs", "file_search_call.results"]
    body = {"model": "m", "logprobs": True, "top_logprobs": 5, "include": list(include)}
    assert changed(body, less.changes) == ["logprobs", "top_logprobs", "include"]
    assert body == {"model": "m", "include": include[1:]} and notice(less)
    short = decide("shorten_reasoning", NONE, watch, NOW)
    for before, after in (
        ({"reasoning_effort": "high"}, {"reasoning_effort": "low"}),
        ({"reasoning_effort": "minimal"}, {"reasoning_effort": "minimal"}),
        ({"reasoning": {"effort": "medium"}}, {"reasoning": {"effort": "low"}}),
        ({"thinking": {"budget_tokens": 512}}, {"thinking": {"budget_tokens": 512}}),
        ({"thinking": {"budget_tokens": 9_000}}, {"thinking": {"budget_tokens": 1_024}}),
        ({"generationConfig": {"thinkingConfig": {"thinkingBudget": -1}}},
         {"generationConfig": {"thinkingConfig": {"thinkingBudget": 1_024}}}),
        ({"thinking": "on", "generationConfig": []}, {"thinking": "on", "generationConfig": []}),
    ):  # fmt: skip
        changed(before, short.changes)
        assert before == after


def test_a_clock_that_jumps_invents_no_count() -> None:
    counters = Minutes()
    counters.add("x", 100, NOW)
    assert counters.at(NOW - 60)["x"] == 100
    assert "x" not in counters.at(NOW + DAY) and len(counters) == 0
    counters.add("x", -5, NOW + DAY)
    assert counters.at(NOW + DAY)["x"] == 0 and list(counters) == ["x"]
