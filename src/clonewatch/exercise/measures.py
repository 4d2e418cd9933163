"""What actions of a policy do to accounts of an exercise, and when they begin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import NamedTuple

from clonewatch.exercise.task import Task
from clonewatch.lab.ids import named
from clonewatch.model.gateway_actions import RANK
from clonewatch.policy.matching import Match, Member
from clonewatch.policy.policy_file import Rule

_BIG = 1 << 63
_MINUTES_A_DAY = 24 * 60
MILD = frozenset(("observe", "notify"))


class Measure(NamedTuple):
    """What is done to an account. day: of the window. keep: share of its requests that get through. worth: of those.

    checked: it passed an identity check.
    """

    account: str
    group: str
    rule: Rule
    day: float
    keep: float
    worth: float = 1.0
    checked: bool = False


def strictest(matches: Iterable[Match]) -> dict[str, Match]:
    """The strictest match of each account."""
    found: dict[str, Match] = {}
    for match in matches:
        held = found.get(match.member.account)
        if held is None or RANK[match.rule.action.name] > RANK[held.rule.action.name]:
            found[match.member.account] = match
    return found


def measures(
    task: Task, matches: Mapping[str, Match], members: Sequence[Member], day: float, rates: Mapping[str, float]
) -> list[Measure]:
    """What is begun because of a check on a day of the window. rates: requests a day of each account so far.

    Whatever a policy does needs a person to approve it, so it begins some days later (card `decision_days`).
    """
    begins = day + task.cards["decision_days"]
    if task.containment == "wave":
        begins = task.setting.quiet + task.wave_days * ceil((begins - task.setting.quiet) / task.wave_days)
    chosen = dict(matches)
    if task.containment == "pool":
        chosen |= _whole(matches, members)
    groups: dict[str, float] = {}
    for account, match in chosen.items():
        groups[match.member.group] = groups.get(match.member.group, 0.0) + rates.get(account, 0.0)
    found = []
    order = sorted(chosen, key=lambda one: (-(chosen[one].member.facts["membership"] or 0.0), one))
    for place, account in enumerate(order):
        match = chosen[account]
        if match.rule.action.name in MILD:
            continue
        wait = place / max(1.0, task.cards["accounts_a_day"]) if task.containment == "account" else 0.0
        found.append(_measure(task, match, begins + wait, groups[match.member.group]))
    return found


def _whole(matches: Mapping[str, Match], members: Sequence[Member]) -> dict[str, Match]:
    """Everybody of a group in which somebody is suspended, as if the rule held for them."""
    rules = {m.member.group: m.rule for m in matches.values() if m.rule.action.name == "suspend"}
    return {
        one.account: Match(one, rules[one.group])
        for one in members
        if one.group in rules and one.facts["role"] in ("core", "fringe")
    }


def _measure(task: Task, match: Match, day: float, group_rate: float) -> Measure:
    name, account, group = match.rule.action.name, match.member.account, match.member.group
    keep, worth, checked = 1.0, 1.0, False
    if name == "suspend":
        keep = 0.0
    elif name == "verify":
        checked = chance("check", task.seed, account) < task.cards["passes_check"]
        keep = 1.0 if checked else 0.0
    elif name in ("budget", "throttle_slice"):
        keep = _budget(task, match.rule, group_rate)
        if name == "throttle_slice" and task.strategy is not None:
            # Only requests with an attribute of the campaign: reworded ones carry none.
            keep = 1 - (1 - keep) * (1 - task.strategy.paraphrase)
    else:
        worth = task.cards["shortened_worth"]
    return Measure(account, group, match.rule, day, keep, worth, checked)


def _budget(task: Task, rule: Rule, group_rate: float) -> float:
    scale = task.setting.target / task.stands_for if task.stands_for else 1.0
    tokens = task.cards["input_tokens"] + task.cards["output_tokens"]
    allowed = rule.bound["tokens_per_minute"] * scale * _MINUTES_A_DAY / tokens
    return min(1.0, allowed / group_rate) if group_rate > 0 else 1.0


def chance(*parts: int | str) -> float:
    """A number from 0 to 1 that depends on these words alone."""
    return named(*parts) / _BIG
