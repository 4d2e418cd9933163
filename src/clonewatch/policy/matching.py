"""Which rule of a policy each account of a scan matches."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from clonewatch.model.gateway_actions import RANK
from clonewatch.policy.facts import SAMPLE_ACCOUNT, SAMPLE_CAMPAIGN
from clonewatch.policy.policy_file import NONE, Example, Policy, Rule

# Honest customers of a campaign's own proxy: nothing is ever done to them.
BYSTANDER = "proxy_customer"


class Member(NamedTuple):
    """An account of a group, with the facts that conditions see. group: id of the group, as the scan names it.

    growth: why it joined since the scan, for an account that the scan did not see; "" for those of the scan.
    """

    account: str
    group: str
    campaign: Mapping[str, Any]
    facts: Mapping[str, Any]
    growth: str = ""


class Match(NamedTuple):
    """A rule that holds for an account."""

    member: Member
    rule: Rule


class Matched(NamedTuple):
    """What a policy says of members. matches: strictest rule first for each account. undecided: rule -> members.

    A rule is undecided for a member if a fact that it needs is not known; then it does not hold.
    """

    matches: list[Match]
    undecided: dict[str, int]
    bystanders: int
    cleared: int


def matched(policy: Policy, members: Iterable[Member], cleared: Collection[str] = ()) -> Matched:
    """Every rule that holds for every member that is no bystander, and was not cleared. cleared: account ids."""
    found: list[Match] = []
    undecided: dict[str, int] = {}
    bystanders, left_out = 0, set[str]()
    rules = strictest_first(policy.rules)
    # Accounts with the same facts are decided alike: once. Facts of a campaign are one object for all its accounts,
    # which is kept here, since another could come by its number.
    known: dict[tuple[object, ...], bool | None] = {}
    campaigns: dict[int, Mapping[str, Any]] = {}
    for member in members:
        if member.account in cleared:
            left_out.add(member.account)
            continue
        if member.facts["role"] == BYSTANDER:
            bystanders += 1
            continue
        for rule in rules:
            campaigns[id(member.campaign)] = member.campaign
            key = rule.id, id(member.campaign), *(member.facts[fact] for fact in rule.when.of_account)
            if key not in known:
                known[key] = rule.when.holds(member.campaign, member.facts)
            holds = known[key]
            if holds is None:
                undecided[rule.id] = undecided.get(rule.id, 0) + 1
            elif holds:
                found.append(Match(member, rule))
    return Matched(found, undecided, bystanders, len(left_out))


def strictest_first(rules: Sequence[Rule]) -> list[Rule]:
    """Rules by the rank of their actions, the strictest first; equal ones as in the file."""
    return sorted(rules, key=lambda rule: -RANK[rule.action.name])


class Failed(NamedTuple):
    """An example that gives another rule than it says. line: of the policy."""

    line: int
    name: str
    wanted: str
    gave: str


def failures(policy: Policy) -> Iterator[Failed]:
    """The examples that fail. Facts that an example leaves out are not known."""
    unknown = (dict.fromkeys(SAMPLE_CAMPAIGN), dict.fromkeys(SAMPLE_ACCOUNT))
    for example in policy.examples:
        gave = _gives(policy, example, unknown)
        if gave != example.gives:
            yield Failed(example.line, example.name, example.gives, gave)


def _gives(policy: Policy, example: Example, unknown: tuple[dict[str, Any], dict[str, Any]]) -> str:
    campaign, account = {**unknown[0], **example.campaign}, {**unknown[1], **example.account}
    if account["role"] == BYSTANDER:
        return NONE
    rules = strictest_first(policy.rules)
    return next((rule.id for rule in rules if rule.when.holds(campaign, account)), NONE)
