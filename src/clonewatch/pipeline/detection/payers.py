"""Clusters that one payment instrument pays for. They hide from nobody who sends the bill."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.ports.linking import LinkingSignal

# An instrument that pays for this share of a cluster pays for it; a few members may have left or joined it.
_PAYS_FOR = 0.8


def one_payer(attributes: pa.Table, sizes: Mapping[int, int], signals: Mapping[str, LinkingSignal]) -> set[int]:
    """The clusters of which one payment instrument pays for nearly all entities.

    attributes: cluster, signal, inside (entities of the cluster that carry the attribute). sizes: entities of each.
    """
    bills = pa.array([name for name, link in signals.items() if link.payer], pa.string())
    paid = attributes.filter(pc.is_in(attributes["signal"], bills))
    cluster, inside = paid["cluster"].to_numpy(), paid["inside"].to_numpy()
    size = np.array([sizes.get(c, 0) for c in cluster.tolist()])
    return set(cluster[(size > 0) & (inside >= _PAYS_FOR * size)].tolist())
