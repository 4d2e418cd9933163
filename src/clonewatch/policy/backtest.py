"""What a policy would have done on kept results: what it stops, what leaks before, and whom it touches.

Results are taken in the order in which their windows end; a policy decides at the end of each window. Groups of several
results are the same where they have half of their accounts in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from clonewatch.kernels.overlap import SAME
from clonewatch.policy.groups import Ruled
from clonewatch.policy.matching import BYSTANDER, Member, matched
from clonewatch.policy.policy_file import Policy

# What is known of an account that a rule matches: the ruling on its case, or that a measure against it did not hold.
INNOCENT, CLEARED, UNKNOWN = "innocent", "overturned", "unknown"


class Kept(NamedTuple):
    """A kept result. last: end of its window. harvested: group -> day -> exchanges attributed to it on that day.

    accounts: rows of table `members`, for the exchanges of accounts.
    """

    last: datetime
    members: list[Member]
    accounts: Sequence[Mapping[str, Any]]
    harvested: Mapping[str, Mapping[datetime, int]]


class Campaign(NamedTuple):
    """One group over all results. group: its id in the newest result that has it. first: when a rule first matched.

    harvested: attributed exchanges on all days. leaked: those up to the day of `first`; all if no rule matched.
    preventable: the others, times the share of the harvest that matched accounts have: an upper bound, since actions
    allow less and do not stop everything.
    """

    group: str
    outcome: str
    first: datetime | None
    rules: tuple[str, ...]
    accounts: int
    touched: int
    harvested: int
    leaked: int
    preventable: int


class Touched(NamedTuple):
    """Accounts that a rule matched in any result, by what is known of them. other: their exchanges not attributed."""

    accounts: dict[str, int]
    other: dict[str, int]


class Outcome(NamedTuple):
    """What a backtest found. rules: rule -> accounts it matched in any result. bystanders: accounts left out."""

    campaigns: list[Campaign]
    touched: Touched
    rules: dict[str, int]
    bystanders: int


def backtest(
    policy: Policy, kept: Iterable[Kept], ruled: Iterable[Ruled] = (), cleared: frozenset[str] = frozenset()
) -> Outcome:
    """Apply a policy to every kept result. Rules count whether they are in shadow or enforced.

    Whoever was cleared counts as touched: the policy would have acted before anybody cleared them.
    """
    cases = list(ruled)
    tracks: list[_Track] = []
    rules: dict[str, set[str]] = {}
    worst: dict[str, int] = {}
    bystanders: set[str] = set()
    for one in sorted(kept, key=lambda one: one.last):
        found = matched(policy, one.members)
        exchanges = {(row["campaign_id"], row["account_id"]): row for row in one.accounts}
        bystanders |= {member.account for member in one.members if member.facts["role"] == BYSTANDER}
        hit: dict[str, dict[str, str]] = {}
        for match in found.matches:
            hit.setdefault(match.member.group, {}).setdefault(match.member.account, match.rule.id)
        for group, accounts in _groups(one.members).items():
            track = _track(tracks, accounts)
            track.follow(one, group, accounts, hit.get(group, {}), exchanges)
        for group, of in hit.items():
            for account, rule in of.items():
                rules.setdefault(rule, set()).add(account)
                row = exchanges[group, account]
                worst[account] = max(worst.get(account, 0), (row["exchanges"] or 0) - (row["harvested_exchanges"] or 0))
    return Outcome(
        [track.summed() for track in tracks if track.flagged or track.touched],
        _touched(worst, cases, cleared),
        {rule: len(accounts) for rule, accounts in sorted(rules.items())},
        len(bystanders),
    )


class _Track:
    """A group over several results."""

    def __init__(self, accounts: set[str]) -> None:
        self.accounts = accounts
        self.touched: set[str] = set()
        self.rules: dict[str, None] = {}
        self.first: datetime | None = None
        self.flagged = False
        self.days: dict[datetime, int] = {}
        self.group, self.outcome, self.share = "", "", 0.0

    def follow(
        self,
        kept: Kept,
        group: str,
        accounts: set[str],
        hit: Mapping[str, str],
        exchanges: Mapping[tuple[str, str], Mapping[str, Any]],
    ) -> None:
        """Take in the group as a newer result has it. hit: account -> the rule that matched."""
        self.accounts |= accounts
        self.touched |= hit.keys()
        self.rules |= dict.fromkeys(hit.values())
        self.group = group
        self.outcome = next(member.campaign["outcome"] for member in kept.members if member.group == group)
        self.flagged = self.flagged or self.outcome == "flagged"
        if hit and self.first is None:
            self.first = kept.last
        # A newer result says better what was harvested on a day that both have.
        self.days |= kept.harvested.get(group, {})
        whole = sum(exchanges[group, account]["harvested_exchanges"] or 0 for account in accounts)
        mine = sum(exchanges[group, account]["harvested_exchanges"] or 0 for account in accounts & self.touched)
        self.share = mine / whole if whole else 0.0

    def summed(self) -> Campaign:
        """What became of it. The day in which a rule first matched counts as leaked."""
        whole = sum(self.days.values())
        after = sum(n for day, n in self.days.items() if self.first and day >= _next_day(self.first))
        return Campaign(
            self.group,
            self.outcome,
            self.first,
            tuple(self.rules),
            len(self.accounts),
            len(self.touched),
            whole,
            whole - after,
            round(after * self.share),
        )


def _next_day(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def _groups(members: Iterable[Member]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for member in members:
        if member.facts["role"] != BYSTANDER:
            found.setdefault(member.group, set()).add(member.account)
    return found


def _track(tracks: list[_Track], accounts: set[str]) -> _Track:
    """The track with which these accounts have most in common, if half; else a new one."""
    best = max(tracks, key=lambda track: len(track.accounts & accounts), default=None)
    if best is not None and len(best.accounts & accounts) >= SAME * len(accounts):
        return best
    tracks.append(_Track(set()))
    return tracks[-1]


def _touched(worst: Mapping[str, int], cases: Sequence[Ruled], cleared: frozenset[str]) -> Touched:
    """Accounts by what is known of them. worst: account -> most exchanges of it that were no harvest."""
    known = dict.fromkeys(cleared, CLEARED)
    for case in cases:
        kind = f"look-alike: {case.explanation or UNKNOWN}" if case.ruling == INNOCENT else case.ruling
        known |= {account: kind for account in case.accounts if account not in cleared or case.ruling == INNOCENT}
    counts: dict[str, int] = {}
    other: dict[str, int] = {}
    for account, exchanges in worst.items():
        kind = known.get(account, UNKNOWN)
        counts[kind] = counts.get(kind, 0) + 1
        other[kind] = other.get(kind, 0) + exchanges
    return Touched(dict(sorted(counts.items())), dict(sorted(other.items())))
