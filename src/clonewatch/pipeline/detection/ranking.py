"""The order in which a person should look at the reported groups, with what was answered about them before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pyarrow.compute as pc

from clonewatch.campaigns.review import Candidate, review
from clonewatch.model.answers import Answer
from clonewatch.pipeline.detection.signals import signals
from clonewatch.pipeline.detection.stages import Dated, Ranked


def candidates(dated: Dated, account_ids: Sequence[str]) -> list[Candidate]:
    """The reported groups as the ranking sees them. account_ids: account ids by code."""
    calibrated, members = dated.attributed.calibrated, dated.attributed.members
    inside = members.filter(pc.not_equal(members["role"], "proxy_customer"))
    accounts: dict[int, set[str]] = {}
    exchanges: Counter[int] = Counter()
    columns = (inside[name].to_pylist() for name in ("cluster", "account", "exchanges"))
    for cluster, account, number in zip(*columns, strict=True):
        accounts.setdefault(cluster, set()).add(account_ids[account])
        exchanges[cluster] += number
    known = {signal.name: signal for signal in signals()}
    return [
        Candidate(
            verdict,
            calibrated.calibrated_groups[verdict.cluster].p_value,
            exchanges[verdict.cluster],
            frozenset(accounts.get(verdict.cluster, ())),
            known,
        )
        for verdict in calibrated.reported
    ]


def rank(dated: Dated, account_ids: Sequence[str], answers: Sequence[Answer]) -> Ranked:
    """The reported groups ranked. account_ids: account ids by code. answers: oldest first."""
    groups = candidates(dated, account_ids)
    clusters = [group.verdict.cluster for group in groups]
    # Ids of groups follow the order without answers and rulings, so that neither renames one.
    calibrated = dated.attributed.calibrated
    unruled = [
        g._replace(verdict=g.verdict._replace(flagged=True)) if g.verdict.cluster in calibrated.withheld else g
        for g in groups
    ]
    before = dict(zip(clusters, review(unruled), strict=True))
    order = sorted(clusters, key=lambda cluster: before[cluster].rank)
    standings = review(groups, answers, calibrated.rulings)
    return Ranked(dated, order, dict(zip(clusters, standings, strict=True)))
