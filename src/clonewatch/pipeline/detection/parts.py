"""Clusters of two grains are tested, and of each cluster and its parts the ones that show more are kept.

Two operations that use the same public harness and templates are one community, and so are an operation and strangers
who share a few of its attributes. Together they show less than each by itself. The parts of one operation, on the other
hand, show less than the whole, because they hold less of it. So neither grain is right for all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.campaigns.fusion import Verdict
from clonewatch.graph.clusters import FIRST_PART, Clusters
from clonewatch.graph.incidences import ClusterIncidences
from clonewatch.pipeline.detection.stages import Clustering, Selection, cluster_sizes

# A cluster is replaced by its parts when those that show no less than it hold at least this share of its entities.
_HOLD = 0.5
# What counts as no less: the sum of families, in bits, and the threshold ratio may fall short by this much.
_BITS, _RATIO = 0.5, 0.02


def wholes(clustering: Clustering) -> dict[int, int]:
    """The cluster that each part lies in."""
    if not clustering.parts.groups.num_rows:
        return {}
    inside = clustering.parts.groups.select(["cluster", "entity"])
    found = inside.join(clustering.clusters.groups.select(["cluster", "entity"]), "entity", right_suffix="_whole")
    found = found.filter(pc.is_valid(found["cluster_whole"]))
    return dict(zip(found["cluster"].to_pylist(), found["cluster_whole"].to_pylist(), strict=True))


def kept(clustering: Clustering, verdicts: Sequence[Verdict]) -> set[int]:
    """The numbers of the clusters and parts that are kept. verdicts: on all of both."""
    of, by_number = wholes(clustering), {v.cluster: v for v in verdicts}
    size = cluster_sizes(clustering.clusters.groups) | cluster_sizes(clustering.parts.groups)
    as_much: dict[int, int] = {}
    for part, whole in of.items():
        if _shows_as_much(by_number[part], by_number[whole]):
            as_much[whole] = as_much.get(whole, 0) + size[part]
    split = {whole for whole, entities in as_much.items() if entities >= _HOLD * size[whole]}
    clusters = set(cluster_sizes(clustering.clusters.groups))
    return (clusters - split) | {part for part, whole in of.items() if whole in split}


def _shows_as_much(part: Verdict, whole: Verdict) -> bool:
    return (
        part.linked
        and part.flagged >= whole.flagged
        and part.bits >= whole.bits - _BITS
        and part.threshold_ratio >= whole.threshold_ratio - _RATIO
    )


def chosen(clustering: Clustering, numbers: Collection[int]) -> Clustering:
    """The clustering with these clusters and parts alone, as its clusters. No entity may be in two of them."""
    clusters, parts = only(clustering.clusters, numbers), only(clustering.parts, numbers)
    if not parts.groups.num_rows:
        return replace(clustering, clusters=clusters, parts=parts, selection=_only(clustering.selection, numbers))
    groups, attributes, edges = (pa.concat_tables(pair) for pair in zip(clusters[:3], parts[:3], strict=True))
    incidences = _joined(clusters.incidences, parts.incidences, parts.groups["entity"].to_numpy())
    both = Clusters(groups, attributes, edges, incidences)
    return replace(clustering, clusters=both, parts=only(parts, ()), selection=_only(clustering.selection, numbers))


def only(clusters: Clusters, numbers: Collection[int]) -> Clusters:
    """These clusters without the others."""
    wanted = pa.array(sorted(numbers), pa.int32())
    groups, attributes, edges = (t.filter(pc.is_in(t["cluster"], wanted)) for t in clusters[:3])
    return Clusters(groups, attributes, edges, clusters.incidences)


def _only(selection: Selection, numbers: Collection[int]) -> Selection:
    inside = pc.is_in(selection.attributes["cluster"], pa.array(sorted(numbers), pa.int32()))
    return Selection(selection.attributes.filter(inside), {c: v for c, v in selection.uses_all.items() if c in numbers})


def _joined(coarse: ClusterIncidences, fine: ClusterIncidences, divided: np.ndarray) -> ClusterIncidences:
    """The incidences of both grains. divided: the entities whose parts are kept."""
    most = max(int(each.entity.max(initial=-1)) for each in (coarse, fine))
    in_parts = np.zeros(max(most, int(divided.max(initial=-1))) + 1, bool)
    in_parts[divided] = True
    rows = (~in_parts[coarse.entity], in_parts[fine.entity])
    columns = [
        np.concatenate([getattr(each, name)[mine] for each, mine in zip((coarse, fine), rows, strict=True)])
        for name in ("attribute", "entity")
    ]
    order = np.argsort(columns[0], kind="stable")
    return ClusterIncidences(coarse.attributes, *(column[order] for column in columns))


def by_grain(table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The rows of clusters, and those of parts. table: with a column `cluster`."""
    part = pc.greater_equal(table["cluster"], FIRST_PART)
    return table.filter(pc.invert(part)), table.filter(part)
