"""What a policy would have done on kept results: what it stops, what leaks before, and whom it touches.

Results are taken in the order in which their windows end; a policy decides at the end of each window. Groups of several
results are the same where they have half of the smaller one's accounts in common.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

from clonewatch.kernels.overlap import SAME, continued, overlaps
from clonewatch.model.gateway_actions import RANK
from clonewatch.policy.groups import Ruled
from clonewatch.policy.matching import BYSTANDER, Match, Member, matched, strictest_first
from clonewatch.policy.policy_file import Policy

# What is known of an account that a rule matches: the ruling on its case, or that a measure against it did not hold.
CONFIRMED, INNOCENT, CLEARED, UNKNOWN = "confirmed", "innocent", "overturned", "unknown"
LOOK_ALIKE = "look-alike: "
# Minutes of people: for each case that a rule touches which somebody approves, and for each account by the strictest
# rule, appeals included. Assumptions, not measurements: docs/using/policies.md.
CASE = "case"
MINUTES: Mapping[str, float] = MappingProxyType(
    {
        CASE: 20.0,
        "observe": 0.0,
        "notify": 0.5,
        "verify": 1.0,
        "budget": 2.0,
        "drop_logprobs": 1.0,
        "shorten_reasoning": 1.0,
        "throttle_slice": 2.0,
        "suspend": 6.0,
    }
)


class Window(NamedTuple):
    """Days, the last included."""

    first: date
    last: date

    def holds(self, moment: datetime) -> bool:
        """Whether a moment, UTC, is in it."""
        return self.first <= moment.date() <= self.last


ALWAYS = Window(date.min, date.max)


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

    harvested: attributed exchanges on all days of the window. leaked: those up to the day of `first`; all if no rule
    matched. preventable: the others, times the share of the harvest that matched accounts have: an upper bound, since
    actions allow less and do not stop everything. known: what is known of half of its accounts or more; nothing that
    honest accounts did is harvest, so of such a group all three are 0.
    """

    group: str
    outcome: str
    known: str
    first: datetime | None
    rules: tuple[str, ...]
    accounts: int
    touched: int
    harvested: int
    leaked: int
    preventable: int


class Touched(NamedTuple):
    """Accounts that a rule matched in any result, by what is known of them. other: their exchanges that are no harvest.

    Those are the exchanges that are attributed to no campaign, and all of accounts that are known to be honest.
    """

    accounts: dict[str, int]
    other: dict[str, int]


class Step(NamedTuple):
    """The policy with its rules from the strictest to this one. accounts: that it matches.

    preventable: attributed exchanges. other: exchanges of the matched accounts that are no harvest.
    """

    rule: str
    action: str
    accounts: int
    preventable: int
    other: int


class Outcome(NamedTuple):
    """What a backtest found. rules: strictest rule -> accounts. bystanders: accounts left out. minutes: of people."""

    campaigns: list[Campaign]
    touched: Touched
    rules: dict[str, int]
    bystanders: int
    steps: list[Step]
    minutes: float


def backtest(
    policy: Policy,
    kept: Iterable[Kept],
    ruled: Iterable[Ruled] = (),
    cleared: frozenset[str] = frozenset(),
    window: Window = ALWAYS,
    minutes: Mapping[str, float] = MINUTES,
) -> Outcome:
    """Apply a policy to the kept results that end in a window. Rules count whether they are in shadow or enforced.

    Whoever was cleared counts as touched: the policy would have acted before anybody cleared them. minutes: of people,
    as MINUTES.
    """
    taken = [_taken(policy, one) for one in sorted(kept, key=lambda one: one.last) if window.holds(one.last)]
    rules, known = strictest_first(policy.rules), _known(ruled, cleared)
    runs = [_run(taken, {rule.id for rule in rules[: place + 1]}, window, known) for place in range(len(rules))]
    steps = [
        Step(rule.id, rule.action.name, len(run.worst), sum(one.preventable for one in run.campaigns), run.other)
        for rule, run in zip(rules, runs, strict=True)
    ]
    whole = runs[-1] if runs else _run(taken, set(), window, known)
    counts: dict[str, int] = {}
    for rule in whole.strictest.values():
        counts[rule] = counts.get(rule, 0) + 1
    return Outcome(
        whole.campaigns,
        _touched(whole.worst, known),
        dict(sorted(counts.items())),
        len({m.account for one in taken for m in one.kept.members if m.facts["role"] == BYSTANDER}),
        steps,
        _minutes(policy, whole, counts, minutes),
    )


class _Taken(NamedTuple):
    """A result with what matches in it. groups: accounts by group, without bystanders. rows: by group and account."""

    kept: Kept
    matches: list[Match]
    groups: dict[str, frozenset[str]]
    rows: dict[tuple[str, str], Mapping[str, Any]]


class _Run(NamedTuple):
    """What some rules did. worst: account -> most exchanges that were no harvest. strictest: account -> rule."""

    campaigns: list[Campaign]
    worst: dict[str, int]
    strictest: dict[str, str]

    @property
    def other(self) -> int:
        return sum(self.worst.values())


def _taken(policy: Policy, kept: Kept) -> _Taken:
    rows = {(row["campaign_id"], row["account_id"]): row for row in kept.accounts}
    return _Taken(kept, matched(policy, kept.members).matches, _groups(kept.members), rows)


def _run(taken: Sequence[_Taken], rules: set[str], window: Window, known: Mapping[str, str]) -> _Run:
    tracks: list[_Track] = []
    worst: dict[str, int] = {}
    strictest: dict[str, tuple[int, str]] = {}
    for one in taken:
        hit: dict[str, dict[str, str]] = {}
        for match in one.matches:
            if match.rule.id in rules:
                hit.setdefault(match.member.group, {}).setdefault(match.member.account, match.rule.id)
                order = RANK[match.rule.action.name], match.rule.id
                account = match.member.account
                strictest[account] = max(strictest.get(account, order), order, key=lambda held: held[0])
        for group, track in _tracked(tracks, one.groups).items():
            track.follow(one, group, hit.get(group, {}), window)
        for group, of in hit.items():
            for account in of:
                row = one.rows[group, account]
                harvest = 0 if is_honest(known.get(account, UNKNOWN)) else row["harvested_exchanges"] or 0
                worst[account] = max(worst.get(account, 0), (row["exchanges"] or 0) - harvest)
    return _Run(
        [track.summed(known) for track in tracks if track.flagged or track.touched],
        worst,
        {account: rule for account, (_, rule) in strictest.items()},
    )


class _Track:
    """A group over several results."""

    def __init__(self) -> None:
        self.accounts: set[str] = set()
        self.touched: set[str] = set()
        self.rules: dict[str, None] = {}
        self.first: datetime | None = None
        self.flagged = False
        self.days: dict[datetime, int] = {}
        self.group, self.outcome, self.share = "", "", 0.0

    def follow(self, one: _Taken, group: str, hit: Mapping[str, str], window: Window) -> None:
        """Take in the group as a newer result has it. hit: account -> the rule that matched."""
        accounts = one.groups[group]
        self.accounts |= accounts
        self.touched |= hit.keys()
        self.rules |= dict.fromkeys(hit.values())
        self.group = group
        self.outcome = next(member.campaign["outcome"] for member in one.kept.members if member.group == group)
        self.flagged = self.flagged or self.outcome == "flagged"
        if hit and self.first is None:
            self.first = one.kept.last
        # A newer result says better what was harvested on a day that both have.
        self.days |= {day: n for day, n in one.kept.harvested.get(group, {}).items() if window.holds(day)}
        whole = sum(one.rows[group, account]["harvested_exchanges"] or 0 for account in accounts)
        mine = sum(one.rows[group, account]["harvested_exchanges"] or 0 for account in accounts & self.touched)
        self.share = mine / whole if whole else 0.0

    def summed(self, known: Mapping[str, str]) -> Campaign:
        """What became of it. The day in which a rule first matched counts as leaked. known: of accounts."""
        kinds = Counter(known.get(account, UNKNOWN) for account in sorted(self.accounts))
        kind, count = kinds.most_common(1)[0]
        kind = kind if count >= SAME * len(self.accounts) else UNKNOWN
        days = {} if is_honest(kind) else self.days
        whole = sum(days.values())
        after = sum(n for day, n in days.items() if self.first and day >= _next_day(self.first))
        return Campaign(
            self.group,
            self.outcome,
            kind,
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


def _groups(members: Iterable[Member]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for member in members:
        if member.facts["role"] != BYSTANDER:
            found.setdefault(member.group, set()).add(member.account)
    return {group: frozenset(accounts) for group, accounts in found.items()}


def _tracked(tracks: list[_Track], groups: Mapping[str, frozenset[str]]) -> dict[str, _Track]:
    """The track that each group of a newer result continues, or a new one."""
    same = continued(overlaps([frozenset(track.accounts) for track in tracks], list(groups.values())))
    found = {}
    for place, group in enumerate(groups):
        if place in same:
            found[group] = tracks[same[place]]
        else:
            found[group] = _Track()
    tracks += [track for place, track in enumerate(found.values()) if place not in same]
    return found


def _minutes(policy: Policy, run: _Run, counts: Mapping[str, int], minutes: Mapping[str, float]) -> float:
    actions = {rule.id: rule.action for rule in policy.rules}
    cases = sum(any(actions[rule].persons for rule in one.rules) for one in run.campaigns)
    return cases * minutes[CASE] + sum(minutes[actions[rule].name] * count for rule, count in counts.items())


def _known(cases: Iterable[Ruled], cleared: frozenset[str]) -> dict[str, str]:
    """What is known of accounts: the ruling on their case, or that a measure against them did not hold."""
    known = dict.fromkeys(cleared, CLEARED)
    for case in cases:
        if case.ruling == INNOCENT:
            known |= dict.fromkeys(case.accounts, LOOK_ALIKE + (case.explanation or UNKNOWN))
        elif case.ruling == CONFIRMED:
            known |= {account: CONFIRMED for account in case.accounts if account not in known}
    return known


def _touched(worst: Mapping[str, int], known: Mapping[str, str]) -> Touched:
    """Accounts by what is known of them. worst: account -> most exchanges of it that were no harvest."""
    counts: dict[str, int] = {}
    other: dict[str, int] = {}
    for account, exchanges in worst.items():
        kind = known.get(account, UNKNOWN)
        counts[kind] = counts.get(kind, 0) + 1
        other[kind] = other.get(kind, 0) + exchanges
    return Touched(dict(sorted(counts.items())), dict(sorted(other.items())))


def is_honest(kind: str) -> bool:
    """Whether accounts of which this is known are honest."""
    return kind == CLEARED or kind.startswith(LOOK_ALIKE)
