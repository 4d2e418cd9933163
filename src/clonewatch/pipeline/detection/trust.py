"""Which trusted set the links of a cluster rest on, where a second one is used beside the provider's."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.campaigns.fusion import LINK_BITS, linkage, total_bits
from clonewatch.graph import communities, sub_clusters
from clonewatch.graph.incidences import heaviest_edges
from clonewatch.pipeline.detection.parts import by_grain
from clonewatch.pipeline.detection.stages import Merged


def source_by_cluster(merged: Merged, inside: pa.Table, edges: pa.Table, sizes: Mapping[int, int]) -> dict[int, str]:
    """Per cluster and reference community: the provider's set, unless links reach the threshold only with the second.

    inside: the tested entities of clusters. edges: of the tested entities. sizes: of the tested groups.
    """
    source, second = merged.linked.entities.trusted.source, merged.linked.second
    if second is None:
        return dict.fromkeys(sizes, source)
    listed = edges.filter(pc.equal(edges["signal"], sub_clusters.SIGNAL.signal.name))
    own = []
    for clusters, mine in zip((merged.clustering.clusters, merged.clustering.parts), by_grain(inside), strict=True):
        weight = _weights(clusters.incidences.attributes, second.named)
        own.append(heaviest_edges(mine, clusters.incidences, weight))
    links = linkage(pa.concat_tables([*own, listed]), sizes, merged.clustering.signals)
    few = {c for c in sizes if c < communities.FIRST and total_bits(links.get(c, ())) < LINK_BITS}
    return {c: "behaviour" if c in few else source for c in sizes}


def _weights(attributes: pa.Table, others: pa.Table) -> np.ndarray:
    """The weight of each of these attributes in another table, 0 where it is missing there."""
    keys = ["signal", "attribute"]
    numbered = attributes.select(keys).append_column("at", pa.array(range(attributes.num_rows)))
    found = numbered.join(others.select([*keys, "weight"]), keys, join_type="inner")
    weight = np.zeros(attributes.num_rows)
    weight[found["at"].to_numpy()] = found["weight"].to_numpy()
    return weight
