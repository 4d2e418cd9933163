"""From matches and measures that people approved to the entries of a watch list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from clonewatch.model.gateway_actions import RANK
from clonewatch.model.repeats import lengthened
from clonewatch.policy.canary import ACTION, BOUND, TABLE, Canary
from clonewatch.policy.matching import Match
from clonewatch.policy.policy_file import ENFORCE, SHADOW, Policy

DAY, HOUR = 86_400, 3_600
# Attributes of requests that make a slice, the heaviest first.
MOST_SLICE = 64
_SAFE = " !#$&'()*+,-./:;<=>?@[]^_`{|}~"
_MOST_TEXT = 200


class Measure(NamedTuple):
    """A measure in force against an account. case: its case. by: who asked and who approved.

    begins, ends: seconds since 1970. repeats: earlier measures that made it longer.
    """

    measure: str
    case: str
    by: tuple[str, ...]
    begins: int
    ends: int
    repeats: int = 0

    def until(self, days: int) -> int:
        """When a rule that holds for some days is over under it, in seconds since 1970."""
        return min(self.ends, self.begins + lengthened(days, self.repeats) * DAY)


class Chosen(NamedTuple):
    """What a list says of which accounts. numbers: account -> number of its entry. rules: account -> id of its rule.

    enforced, simulated: accounts of either kind by rule. unbound: accounts under a measure for which no rule has the
    bounds, by measure: nothing is enforced against them.
    """

    entries: list[dict[str, Any]]
    numbers: dict[str, int]
    rules: dict[str, str]
    enforced: dict[str, int]
    simulated: dict[str, int]
    unbound: dict[str, int]


def chosen(
    policy: Policy,
    matches: Iterable[Match],
    measures: Mapping[str, Sequence[Measure]],
    slices: Mapping[str, Sequence[str]],
    now: int,
) -> Chosen:
    """The entry of every account for which a rule holds.

    A rule is enforced where it says so, a measure of its kind stands that enough people approved, and the account's
    holder can appeal; everything else is simulated, and so is what is about accounts that joined since the scan. Of
    several rules the strictest that is enforced counts, else the strictest. measures: those in force, by account.
    slices: attributes by group. now: seconds since 1970.
    """
    best: dict[str, tuple[tuple[bool, int], Match, Measure | None]] = {}
    for match in matches:
        account = match.member.account
        measure = enforcing(policy, match, measures.get(account, ()), now)
        order = (measure is not None, RANK[match.rule.action.name])
        if account not in best or order > best[account][0]:
            best[account] = (order, match, measure)
    made: dict[str, int] = {}
    entries: list[dict[str, Any]] = []
    found = Chosen(entries, {}, {}, {}, {}, {})
    for account, (_, match, measure) in sorted(best.items()):
        cases = [held.case for held in measures.get(account, ())]
        one = _entry(policy, match, measure, slices, now, cases[0] if cases else "")
        number = made.setdefault(repr(sorted(one.items())), len(entries))
        if number == len(entries):
            entries.append(one)
        found.numbers[account] = number
        found.rules[account] = match.rule.id
        counts = found.enforced if measure else found.simulated
        counts[match.rule.id] = counts.get(match.rule.id, 0) + 1
    for account, standing in measures.items():
        if account not in best or best[account][2] is None:
            for measure in standing:
                found.unbound[measure.measure] = found.unbound.get(measure.measure, 0) + 1
    return found


def with_canary(made: Chosen, held: Canary, appeal_url: str, now: int) -> Chosen:
    """What a list says, and that the canary is limited from now on. now: seconds since 1970."""
    ends = now + held.seconds
    entry = {
        "action": ACTION,
        "appeal": appeal_url,
        "approved_by": [plain(held.approved_by)] if held.mode == ENFORCE else [],
        "bound": dict(BOUND),
        "campaign": TABLE,
        "case": TABLE,
        "ends": ends,
        "expires": ends,
        "mode": held.mode,
        "reason": TABLE,
        "since": now,
        "slice": [],
    }
    return made._replace(entries=[*made.entries, entry], numbers={**made.numbers, held.account: len(made.entries)})


def enforcing(policy: Policy, match: Match, measures: Iterable[Measure], now: int) -> Measure | None:
    """The measure under which a rule is enforced against an account; None where it is only simulated.

    Of several the one that lasts longest.
    """
    rule = match.rule
    if rule.mode != ENFORCE or not policy.appeal_url or match.member.growth:
        return None
    held = [one for one in measures if _allows(one, match, now)]
    return max(held, key=lambda one: one.until(rule.days), default=None)


def _allows(measure: Measure, match: Match, now: int) -> bool:
    rule = match.rule
    allowed = rule.action.measure in ("", measure.measure)
    persons = len({name.strip().casefold() for name in measure.by} - {""})
    return allowed and persons >= rule.approvals and measure.begins <= now < measure.until(rule.days)


def _entry(
    policy: Policy,
    match: Match,
    measure: Measure | None,
    slices: Mapping[str, Sequence[str]],
    now: int,
    case: str,
) -> dict[str, Any]:
    """measure: under which it is enforced; None in shadow. case: to which the account belongs, if any."""
    rule, group = match.rule, match.member.group
    lapses = ends = now + policy.lapse_hours * HOUR
    if measure:
        case, ends = measure.case, measure.until(rule.days)
    return {
        "action": rule.action.name,
        "appeal": policy.appeal_url,
        "approved_by": [plain(name) for name in measure.by] if measure else [],
        "bound": dict(rule.bound),
        # What is simulated is counted apart: it spends no budget of accounts against which one is enforced.
        "campaign": plain(case if measure else group),
        "case": plain(case),
        "ends": ends,
        "expires": min(lapses, ends),
        "mode": ENFORCE if measure else SHADOW,
        # Clients are told the reason of what is enforced: that of an account which joined is for whoever watches.
        "reason": plain(match.member.growth) or rule.reason,
        "since": measure.begins if measure else now,
        "slice": list(slices.get(group, ()))[:MOST_SLICE] if rule.action.name == "throttle_slice" else [],
    }


def plain(text: str) -> str:
    """A text as it can stand in a header: other characters are percent-encoded, so that different ones stay different.

    >>> plain("Ana"), plain("Зоя"[:1])
    ('Ana', '%D0%97')
    """
    return quote(text, safe=_SAFE)[:_MOST_TEXT]
