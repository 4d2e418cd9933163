"""When each reported campaign could first be seen, and what it had harvested by then."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from clonewatch.campaigns.fusion import LINK_BITS
from clonewatch.graph.leiden import SMALLEST
from clonewatch.pipeline.detection.stages import Attributed, Dated
from clonewatch.pipeline.steps import StepRunner

# A slice of fewer exchanges than this is too small to be tested.
_VISIBLE_EXCHANGES = 200


def date(runner: StepRunner, attributed: Attributed, first_flags: Mapping[int, int]) -> Dated:
    """When each campaign was first flagged, or could have been, and what its members had harvested before.

    first_flags: per cluster, from detecting again at earlier hours. For a cluster without one, the time at which its
    slice first held enough entities and exchanges to be linked and tested.
    """
    when = _could_have_been(runner, attributed) | dict(first_flags)
    if not when:
        return Dated(attributed, first_flags, {})
    runner.put("visible", pa.table({"cluster": pa.array(list(when), pa.int32()), "seen": list(when.values())}))
    gone = runner.engine.fetch(
        "SELECT v.cluster, CAST(SUM(CASE WHEN p.ts < v.seen AND p.posterior >= 0.5 THEN 1 ELSE 0 END) AS BIGINT) AS n"
        " FROM visible v JOIN posteriors p ON p.cluster = v.cluster"
        " JOIN member_accounts m ON m.cluster = p.cluster AND m.account = p.account GROUP BY v.cluster"
    )
    visible = {c: (when[c], n) for c, n in zip(gone["cluster"].to_pylist(), gone["n"].to_pylist(), strict=True)}
    return Dated(attributed, first_flags, visible)


def _could_have_been(runner: StepRunner, attributed: Attributed) -> dict[int, int]:
    """Per cluster, when its slice first held enough entities to be linked and enough exchanges to be tested.

    Enough entities: as many as reach the link threshold with no trusted account among them.
    """
    share = attributed.calibrated.judged.merged.linked.entities.trusted.share
    needed = max(SMALLEST, int(np.ceil(LINK_BITS / -np.log2(1 - share)))) if share > 0 else SMALLEST
    firsts = runner.engine.fetch(
        "SELECT s.cluster, s.ts, COUNT(*) AS n FROM (SELECT cluster, entity, MIN(ts) AS ts FROM slices"
        " GROUP BY cluster, entity) s JOIN reported r ON r.cluster = s.cluster GROUP BY s.cluster, s.ts"
        " ORDER BY s.cluster, s.ts"
    )
    enough = runner.engine.fetch(
        "SELECT cluster, ts FROM (SELECT s.cluster, s.ts,"
        ' ROW_NUMBER() OVER (PARTITION BY s.cluster ORDER BY s.ts, s."row") AS place'
        " FROM slices s JOIN reported r ON r.cluster = s.cluster) t WHERE place = $place",
        {"place": _VISIBLE_EXCHANGES},
    )
    tested = dict(zip(enough["cluster"].to_pylist(), enough["ts"].to_pylist(), strict=True))
    linked: dict[int, int] = {}
    counts: dict[int, int] = {}
    for cluster, ts, n in zip(*(firsts[c].to_pylist() for c in ("cluster", "ts", "n")), strict=True):
        counts[cluster] = counts.get(cluster, 0) + n
        if counts[cluster] >= needed:
            linked.setdefault(cluster, ts)
    return {c: max(t, tested[c]) for c, t in linked.items() if c in tested}
