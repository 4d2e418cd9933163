"""What each stage of detection returns: a frozen value that holds the one before it. The next stage reads only that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from clonewatch.campaigns.calibration import CalibratedGroup, Group
from clonewatch.campaigns.fusion import Verdict
from clonewatch.campaigns.review import OnRecord, Standing
from clonewatch.entities.ownership import TrustedSet
from clonewatch.graph.clusters import Clusters
from clonewatch.ports.behaviour import BehaviouralTest
from clonewatch.ports.linking import LinkingSignal


@dataclass(frozen=True)
class Entities:
    """The entities of a log. table: `entities`, one row per entity. trusted: which are trusted, and how many."""

    table: pa.Table
    trusted: TrustedSet


class SecondSet(NamedTuple):
    """The second trusted set, which is used beside a small one of the provider's.

    share: of all entities, 0..1. named: weights of shared attributes by the provider's set alone (ATTRIBUTE_SCHEMA).
    """

    share: float
    named: pa.Table


class Selection(NamedTuple):
    """Which exchanges of a cluster are tested.

    attributes: the content attributes that select them (CLUSTER_ATTRIBUTE_SCHEMA). uses_all: per cluster, whether all
    exchanges of its entities are tested, because few of them carry such an attribute.
    """

    attributes: pa.Table
    uses_all: Mapping[int, bool]


class Stability(NamedTuple):
    """How much the clusters depend on the seed of the clustering.

    overlap: per cluster, 0..1. consensus: per (cluster, entity), the share of seeds that keep the entity there. seeds:
    how many were compared.
    """

    overlap: Mapping[int, float]
    consensus: Mapping[tuple[int, int], float]
    seeds: int


@dataclass(frozen=True)
class Clustering:
    """Clusters before they are tested. signals: the linking signals behind them, by name.

    parts: what some of the clusters fall apart into (`Grains`); none once it is decided which of both are kept.
    """

    signals: Mapping[str, LinkingSignal]
    clusters: Clusters
    parts: Clusters
    selection: Selection
    stability: Stability


@dataclass(frozen=True)
class Linked:
    """Entities linked by rare shared attributes, in clusters.

    entities: their trusted share is that among entities that carry any attribute. rare: number of rare incidences per
    signal. chance: what signals with their own chance model found, beside what chance alone gives.
    """

    entities: Entities
    second: SecondSet | None
    clustering: Clustering
    rare: Mapping[str, int]
    chance: Sequence[Mapping[str, Any]]


class References(NamedTuple):
    """Reference communities: groups shaped like clusters, and the attributes that select their exchanges."""

    groups: pa.Table
    attributes: pa.Table


@dataclass(frozen=True)
class Merged:
    """The clusters that are tested, with sub-clusters of one list merged. merges: which were merged (MERGE_SCHEMA)."""

    linked: Linked
    clustering: Clustering
    references: References
    merges: pa.Table


@dataclass(frozen=True)
class Judged:
    """Verdicts on clusters, and on the reference communities that they are compared with.

    tests: the behavioural tests as this log allows them. trust: per cluster, the trusted set that its links rest on.
    families: per (cluster, entity), how many linking families link it, 0 for a neighbour.
    """

    merged: Merged
    tests: Mapping[str, BehaviouralTest]
    verdicts: Sequence[Verdict]
    reference_verdicts: Sequence[Verdict]
    trust: Mapping[int, str]
    families: Mapping[tuple[int, int], int]


@dataclass(frozen=True)
class Calibrated:
    """Verdicts after calibration: flags that would raise the false discovery rate above the bound are withdrawn.

    groups: the linked groups. calibrated_groups: p-value and e-value per cluster. bound: on the false discovery rate.
    rulings: what people ruled about clusters before. withheld: clusters whose flag such a ruling took back.
    """

    judged: Judged
    verdicts: Sequence[Verdict]
    groups: Sequence[Group]
    calibrated_groups: Mapping[int, CalibratedGroup]
    bound: float
    rulings: Mapping[int, OnRecord] = field(default_factory=dict)
    withheld: frozenset[int] = frozenset()

    @property
    def reported(self) -> list[Verdict]:
        """The verdicts that are reported, by cluster."""
        return [verdict for verdict in self.verdicts if verdict.linked]


@dataclass(frozen=True)
class Attributed:
    """Exchanges attributed, in table `posteriors`. members: accounts of reported clusters (MEMBER_SCHEMA).

    told_by: per reported cluster, what told its exchanges apart (`campaigns.attribution.TOLD_BY`).
    """

    calibrated: Calibrated
    members: pa.Table
    told_by: Mapping[int, str]


@dataclass(frozen=True)
class Dated:
    """When each campaign could first be seen. Times are in microseconds since 1970.

    first_flags: per cluster, the hour at which a scan would first have flagged it; empty unless that was requested.
    visible: per cluster, when it could first be seen, and its harvested exchanges before that.
    """

    attributed: Attributed
    first_flags: Mapping[int, int]
    visible: Mapping[int, tuple[int, int]]


@dataclass(frozen=True)
class Ranked:
    """What each reported group is to a reader. order: the clusters, first to look at first, before any answer counts.

    standings: outcome, rank, odds and question per cluster, with the answers that were given.
    """

    dated: Dated
    order: Sequence[int]
    standings: Mapping[int, Standing]

    @property
    def calibrated(self) -> Calibrated:
        """The verdicts behind it."""
        return self.dated.attributed.calibrated

    @property
    def in_order(self) -> list[Verdict]:
        """The verdicts that are reported, in order."""
        verdicts = {verdict.cluster: verdict for verdict in self.calibrated.reported}
        return [verdicts[cluster] for cluster in self.order]


def cluster_sizes(groups: pa.Table) -> dict[int, int]:
    """Number of entities per cluster. groups: one row per (cluster, entity)."""
    clusters, counts = np.unique(groups["cluster"].to_numpy(), return_counts=True)
    return dict(zip(clusters.tolist(), counts.tolist(), strict=True))
