"""Analysts of an exercise: which groups of a scan they rule on, and how, by the labels and two rates of error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from clonewatch.exercise.measures import chance
from clonewatch.exercise.task import Task
from clonewatch.kernels.overlap import SAME
from clonewatch.policy.backtest import CONFIRMED, INNOCENT
from clonewatch.policy.groups import Ruled

MEMBER, NEEDS_MORE = "member", "needs_more"


def rulings(
    task: Task,
    campaigns: Sequence[Mapping[str, Any]],
    accounts: Mapping[str, frozenset[str]],
    roles: Mapping[str, str],
    done: Sequence[Ruled],
    at: datetime,
) -> list[Ruled]:
    """Rulings on the flagged groups and on the first few of those for review, where nobody ruled on them yet.

    accounts: of each group, without bystanders. roles: of accounts, by the labels. at: when the ruling is known.
    A group of which they needed more is looked at again after every scan, each time with the same chance to be missed.
    """
    flagged = [row for row in campaigns if row["outcome"] == "flagged"]
    review = sorted((row for row in campaigns if row["outcome"] == "review"), key=lambda row: row["rank"] or 0)
    found: list[Ruled] = []
    settled = [one for one in done if one.ruling != NEEDS_MORE]
    for row in [*flagged, *review[: round(task.cards["looked_at"])]]:
        group = accounts.get(row["campaign_id"], frozenset())
        if not group or any(len(group & one.accounts) >= SAME * len(group) for one in settled):
            continue
        honest, kind = standing(group, roles)
        drawn = chance("ruling", task.seed, at.isoformat(), *sorted(group)[:3])
        wrong = drawn < task.cards["wrong_rulings" if honest else "missed_rulings"]
        if honest and not wrong:
            found.append(Ruled(row["campaign_id"], INNOCENT, group, at, kind))
        elif honest or not wrong:
            found.append(Ruled(row["campaign_id"], CONFIRMED, group, at))
        else:
            found.append(Ruled(row["campaign_id"], NEEDS_MORE, group, at))
    return found


def standing(group: frozenset[str], roles: Mapping[str, str]) -> tuple[bool, str]:
    """Whether most of a group are honest, and the most frequent role of those who are."""
    kinds = Counter(roles[one] for one in sorted(group) if one in roles)
    members = kinds.pop(MEMBER, 0)
    kind = kinds.most_common(1)[0][0] if kinds else MEMBER
    return members < SAME * max(1, len(group)), kind
