"""Tries policies on kept results, side by side: the figures of `clonewatch policy backtest` and of the console."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clonewatch.enforcement.gathering import NOBODY, approved, kept
from clonewatch.model.errors import SetupError

if TYPE_CHECKING:
    from clonewatch.cases.store import Store
    from clonewatch.policy.backtest import Outcome
    from clonewatch.policy.policy_file import Policy

MOST_MINUTES = 10_000.0


def trial(
    policies: Sequence[Policy],
    scans: Sequence[Path],
    store: Store | None,
    now: int,
    days: tuple[date | None, date | None] = (None, None),
    minutes: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """What policies would have done, in plain values. days: the first and the last; None for what the results have.

    minutes: of people, where they are others than `backtest.MINUTES`. Raises SetupError where no result ends in these
    days.
    """
    from clonewatch.policy.backtest import MINUTES, Window, backtest

    people = approved(store, now) if store else NOBODY
    held = kept(scans, people.ruled)
    ends = sorted(one.last.date() for one in held)
    starts = [day.date() for one in held for found in one.harvested.values() for day in found]
    window = Window(days[0] or min([*starts, *ends]), days[1] or ends[-1])
    inside = sum(window.holds(one.last) for one in held)
    if window.first > window.last:
        raise SetupError("the window ends before it begins", fix="Give --from a day before that of --to")
    if not inside:
        raise SetupError(
            f"no result ends from {window.first} to {window.last}",
            fix=f"The results end from {ends[0]} to {ends[-1]}: choose other days, or name more results with --scan",
        )
    assumed = {**MINUTES, **(minutes or {})}
    found = [backtest(one, held, people.ruled, people.cleared, window, assumed) for one in policies]
    return {
        "from": window.first.isoformat(),
        "to": window.last.isoformat(),
        "results": inside,
        "store": store is not None,
        "minutes": assumed,
        "policies": [_told(one, outcome) for one, outcome in zip(policies, found, strict=True)],
    }


def _told(policy: Policy, found: Outcome) -> dict[str, Any]:
    from clonewatch.policy.backtest import is_honest

    touched = found.touched
    return {
        "policy": policy.name,
        "version": policy.version,
        **{name: sum(getattr(one, name) for one in found.campaigns) for name in ("harvested", "leaked", "preventable")},
        "campaigns": [one._asdict() for one in found.campaigns],
        "touched": touched._asdict(),
        "honest": {
            "accounts": sum(n for kind, n in touched.accounts.items() if is_honest(kind)),
            "exchanges": sum(n for kind, n in touched.other.items() if is_honest(kind)),
        },
        "rules": found.rules,
        "steps": [one._asdict() for one in found.steps],
        "bystanders": found.bystanders,
        "minutes": found.minutes,
    }


def minutes_of(words: Sequence[str]) -> dict[str, float]:
    """Minutes from words such as `suspend=10`. Raises SetupError.

    >>> minutes_of(["case=30"])
    {'case': 30.0}
    """
    from clonewatch.policy.backtest import MINUTES

    found = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            minutes = float(value)
        except ValueError:
            minutes = -1.0
        if name not in MINUTES or not 0 <= minutes <= MOST_MINUTES:
            raise SetupError(
                f"{word!r} says no minutes",
                fix=f"Write NAME=MINUTES, with one of {', '.join(MINUTES)} and 0 to {MOST_MINUTES:,.0f}",
            )
        found[name] = minutes
    return found
