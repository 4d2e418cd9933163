"""Whose trust the links of a cluster rest on, where a second trusted set stands beside the operator's."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.campaigns.fusion import LINK_BITS, linkage, total_bits
from clonewatch.graph import communities, sub_clusters
from clonewatch.graph.incidences import heaviest_edges
from clonewatch.pipeline.detection.stages import Merged


def source_by_cluster(merged: Merged, inside: pa.Table, ties: pa.Table, sizes: Mapping[int, int]) -> dict[int, str]:
    """Per cluster and reference community: the operator's set, unless its links suffice only with the second.

    inside: the tested entities of clusters. ties: what ties the tested entities. sizes: of the tested groups.
    """
    source, second = merged.linked.entities.trusted.source, merged.linked.second
    if second is None:
        return dict.fromkeys(sizes, source)
    listed = ties.filter(pc.equal(ties["signal"], sub_clusters.SIGNAL.signal.name))
    tied = merged.clustering.clusters.incidences
    own = heaviest_edges(inside, tied, _weights(tied.attributes, second.named))
    held = linkage(pa.concat_tables([own, listed]), sizes, merged.clustering.signals)
    few = {c for c in sizes if c < communities.FIRST and total_bits(held.get(c, ())) < LINK_BITS}
    return {c: "behaviour" if c in few else source for c in sizes}


def _weights(attributes: pa.Table, others: pa.Table) -> np.ndarray:
    """What each of these attributes weighs among the others, 0 where it is not one of them."""
    keys = ["signal", "attribute"]
    numbered = attributes.select(keys).append_column("at", pa.array(range(attributes.num_rows)))
    found = numbered.join(others.select([*keys, "weight"]), keys, join_type="inner")
    weight = np.zeros(attributes.num_rows)
    weight[found["at"].to_numpy()] = found["weight"].to_numpy()
    return weight
