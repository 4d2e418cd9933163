"""Whom a policy would touch in one group of a result, before anything is published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from clonewatch.enforcement.gathering import Approved, of_scans

if TYPE_CHECKING:
    from clonewatch.policy.matching import Member
    from clonewatch.policy.policy_file import Policy, Rule

SHOWN = 50


class Row(NamedTuple):
    """A rule, and how many accounts of the group it is the one for that counts."""

    rule: Rule
    enforced: int
    simulated: int


class Reach(NamedTuple):
    """What a policy does in a group. accounts: some of them, each with the id of its rule and the mode.

    untouched: accounts for which no rule holds. bystanders, cleared: left out, whatever rules say.
    """

    policy: Policy
    rows: list[Row]
    accounts: list[tuple[str, str, str]]
    touched: int
    untouched: int
    bystanders: int
    cleared: int
    undecided: dict[str, int]


def reach(policies: Sequence[Policy], scan: Path, group: str, people: Approved, now: int) -> list[Reach]:
    """What policies do in a group of a result, had they been published now, in seconds since 1970."""
    if not policies:
        return []
    members, slices = of_scans([scan], people.ruled, group)
    return [_reach(policy, members, slices, people, now) for policy in policies]


def _reach(policy: Policy, members: list[Member], slices: dict[str, list[str]], people: Approved, now: int) -> Reach:
    from clonewatch.policy.entries import chosen
    from clonewatch.policy.matching import matched, strictest_first

    found = matched(policy, members, people.cleared)
    made = chosen(policy, found.matches, people.measures, slices, now)
    accounts = [(name, made.rules[name], made.entries[made.numbers[name]]["mode"]) for name in sorted(made.numbers)]
    return Reach(
        policy,
        [
            Row(rule, made.enforced.get(rule.id, 0), made.simulated.get(rule.id, 0))
            for rule in strictest_first(policy.rules)
        ],
        accounts[:SHOWN],
        len(made.numbers),
        len(members) - len(made.numbers) - found.bystanders - found.cleared,
        found.bystanders,
        found.cleared,
        found.undecided,
    )
