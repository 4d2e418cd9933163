"""What each stage of detection returns: a frozen value, which holds the one before it. The next stage reads no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from clonewatch.campaigns.calibration import CalibratedGroup, Group
from clonewatch.campaigns.fusion import LINK_BITS, Verdict
from clonewatch.entities.ownership import TrustedSet
from clonewatch.graph.clusters import Clusters
from clonewatch.ports.behaviour import BehaviouralTest
from clonewatch.ports.linking import LinkingSignal


@dataclass(frozen=True)
class Entities:
    """Who acts in the log. table: `entities`, a row each. trusted: which of them are trusted, and how many are."""

    table: pa.Table
    trusted: TrustedSet


class SecondSet(NamedTuple):
    """The second trusted set, which stands beside an operator's small one.

    share: of all entities, 0..1. named: what each shared attribute weighs by the operator's set alone
    (ATTRIBUTE_SCHEMA).
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
    """How far the clusters depend on the seed of the clustering.

    overlap: per cluster, 0..1. consensus: per (cluster, entity), the share of seeds that keep it there. seeds: how many
    were compared.
    """

    overlap: Mapping[int, float]
    consensus: Mapping[tuple[int, int], float]
    seeds: int


@dataclass(frozen=True)
class Clustering:
    """Clusters before they are tested. signals: the linking signals that may hold them together, by name."""

    signals: Mapping[str, LinkingSignal]
    clusters: Clusters
    selection: Selection
    stability: Stability


@dataclass(frozen=True)
class Linked:
    """Entities linked by rare shared attributes, in clusters.

    entities: their trusted share is that among entities that carry attributes at all. rare: per signal, how many
    incidences are rare. chance: what signals with a chance model of their own found, beside what chance leaves.
    """

    entities: Entities
    second: SecondSet | None
    clustering: Clustering
    rare: Mapping[str, int]
    chance: Sequence[Mapping[str, Any]]


class References(NamedTuple):
    """Reference communities: groups that are shaped like clusters, and the attributes that select their exchanges."""

    groups: pa.Table
    attributes: pa.Table


@dataclass(frozen=True)
class Merged:
    """The clusters that are tested: sub-clusters that work one list are one. merges: which were (MERGE_SCHEMA)."""

    linked: Linked
    clustering: Clustering
    references: References
    merges: pa.Table


@dataclass(frozen=True)
class Judged:
    """Verdicts on clusters, and on the reference communities that they are compared with.

    tests: the behavioural tests as this log allows them. trust: per cluster, whose trust its links rest on. families:
    per (cluster, entity), how many linking families tie it, 0 for a neighbour.
    """

    merged: Merged
    tests: Mapping[str, BehaviouralTest]
    verdicts: Sequence[Verdict]
    reference_verdicts: Sequence[Verdict]
    trust: Mapping[int, str]
    families: Mapping[tuple[int, int], int]


@dataclass(frozen=True)
class Calibrated:
    """Verdicts after calibration: flags that would let in too many false discoveries are taken back.

    groups: the linked ones, as they are calibrated. standings: what each is worth, per cluster. bound: on the false
    discovery rate.
    """

    judged: Judged
    verdicts: Sequence[Verdict]
    groups: Sequence[Group]
    calibrated_groups: Mapping[int, CalibratedGroup]
    bound: float

    @property
    def reported(self) -> list[Verdict]:
        """The verdicts that are reported, by cluster."""
        return [verdict for verdict in self.verdicts if is_reported(verdict)]


@dataclass(frozen=True)
class Attributed:
    """Exchanges attributed, in table `posteriors`. members: accounts of reported clusters (MEMBER_SCHEMA)."""

    calibrated: Calibrated
    members: pa.Table


@dataclass(frozen=True)
class Dated:
    """When each campaign could be seen. Times are in microseconds since 1970.

    first_flags: per cluster, the hour at which a scan would first have flagged it; empty where nobody looked back.
    visible: per cluster, when it could be seen, and its harvested exchanges before that.
    """

    attributed: Attributed
    first_flags: Mapping[int, int]
    visible: Mapping[int, tuple[int, int]]


def is_reported(verdict: Verdict) -> bool:
    """Whether a cluster is reported: flagged, or linked well enough for a person to want to know."""
    return verdict.link_bits >= LINK_BITS


def cluster_sizes(groups: pa.Table) -> dict[int, int]:
    """Entities of each cluster. groups: a row for each entity of a cluster."""
    clusters, counts = np.unique(groups["cluster"].to_numpy(), return_counts=True)
    return dict(zip(clusters.tolist(), counts.tolist(), strict=True))
