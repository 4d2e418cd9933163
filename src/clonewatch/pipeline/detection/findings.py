"""What detection found, before it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from clonewatch.campaigns.calibration import Group, Standing
from clonewatch.campaigns.fusion import Verdict
from clonewatch.entities.ownership import Anchors
from clonewatch.graph import fragments
from clonewatch.graph.clusters import Clusters
from clonewatch.graph.weights import Incidences
from clonewatch.ports.behaviour import BehaviouralTest
from clonewatch.ports.linking import LinkingSignal


@dataclass
class Findings:
    """What detection found, before it is told: verdicts on clusters, and the tables they rest on."""

    anchors: Anchors
    population: int
    links: dict[str, LinkingSignal]
    intents: dict[str, BehaviouralTest]
    clusters: Clusters
    selectors: pa.Table
    whole: dict[int, bool]
    verdicts: list[Verdict] = field(default_factory=list)
    honest: list[Verdict] = field(default_factory=list)
    token_counts: dict[str, int] = field(default_factory=dict)
    chance: list[dict[str, Any]] = field(default_factory=list)
    joined: pa.Table = field(default_factory=fragments.JOIN_SCHEMA.empty_table)
    standings: dict[int, Standing] = field(default_factory=dict)
    linked: list[Group] = field(default_factory=list)
    bound: float = 0.0
    named: Incidences | None = None
    second: float = 0.0
    trust: dict[int, str] = field(default_factory=dict)
    stability: dict[int, float] = field(default_factory=dict)
    consensus: dict[tuple[int, int], float] = field(default_factory=dict)
    seeds: int = 0
    ways: dict[tuple[int, int], int] = field(default_factory=dict)
    crossings: dict[int, int] = field(default_factory=dict)


def heads(groups: pa.Table) -> dict[int, int]:
    """Parties of each cluster."""
    clusters, counts = np.unique(groups["cluster"].to_numpy(), return_counts=True)
    return dict(zip(clusters.tolist(), counts.tolist(), strict=True))
