"""Flags that are withheld, because a person ruled the group innocent and there is no more evidence than there was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clonewatch.campaigns.review import OnRecord, ruling_on
from clonewatch.model.answers import Answer
from clonewatch.pipeline.detection.neighbours import tested_entities
from clonewatch.pipeline.detection.stages import Calibrated
from clonewatch.pipeline.steps import StepRunner


def withhold(
    runner: StepRunner, found: Calibrated, account_ids: Sequence[str], answers: Sequence[Answer]
) -> Calibrated:
    """Look up what was ruled about the reported clusters, and take back the flags of those that stay innocent.

    It comes after the bound on false discoveries, so a ruling about one group never flags another. account_ids: account
    ids by code. answers: oldest first.
    """
    if not any(answer.ruled for answer in answers):
        return found
    accounts = _accounts(runner, found, account_ids)
    rulings: dict[int, OnRecord] = {}
    for verdict in found.reported:
        p_value = found.calibrated_groups[verdict.cluster].p_value
        if ruling := ruling_on(verdict, p_value, accounts.get(verdict.cluster, frozenset()), answers):
            rulings[verdict.cluster] = ruling
    innocent = {cluster for cluster, ruling in rulings.items() if ruling.withholds}
    withheld = frozenset(v.cluster for v in found.verdicts if v.flagged and v.cluster in innocent)
    verdicts = [v._replace(flagged=False) if v.cluster in withheld else v for v in found.verdicts]
    return replace(found, verdicts=verdicts, rulings=rulings, withheld=withheld)


def _accounts(runner: StepRunner, found: Calibrated, account_ids: Sequence[str]) -> dict[int, frozenset[str]]:
    """The accounts that each verdict rests on: of the entities that were tested, not of their neighbours."""
    tested = tested_entities(found.judged.merged.clustering.clusters.groups, found.judged.families)
    owned = runner.engine.fetch("SELECT entity, account FROM owners")
    rows = tested.select(["cluster", "entity"]).join(owned, "entity", join_type="inner")
    accounts: dict[int, set[str]] = {}
    for cluster, account in zip(rows["cluster"].to_pylist(), rows["account"].to_pylist(), strict=True):
        accounts.setdefault(cluster, set()).add(account_ids[account])
    return {cluster: frozenset(held) for cluster, held in accounts.items()}
