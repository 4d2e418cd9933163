"""Which exchanges are tested: the slice of a cluster that carries its content tokens, and what strangers do."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.graph.clusters import Clusters
from clonewatch.pipeline.findings import Findings, heads, put
from clonewatch.pipeline.plan import Plan
from clonewatch.ports.engine import Query
from clonewatch.ports.link import Link

# What strangers do is measured on whole parties, as many as make about this many exchanges.
_QUIET_EXCHANGES = 3_000_000
# A cluster's content tokens select its slice when this share of its parties carries one; otherwise all their exchanges.
_CONTENT_COVER = 0.25
# Weaker content tokens than this share of a cluster's strongest are habits of its cover, not its curriculum.
_SELECTS = 0.3


def selectors(clusters: Clusters, links: dict[str, Link]) -> pa.Table:
    """The content tokens that single out a cluster's own exchanges: those not much weaker than its strongest."""
    bound = clusters.bound
    content = bound.filter(pc.is_in(bound["channel"], pa.array([n for n, link in links.items() if link.content])))
    cluster, weight = content["cluster"].to_numpy(), content["weight"].to_numpy()
    top = np.zeros(int(cluster.max()) + 1 if len(cluster) else 0)
    np.maximum.at(top, cluster, weight)
    return content.filter(pa.array(weight >= _SELECTS * top[cluster]))


def whole(clusters: Clusters, selectors: pa.Table) -> dict[int, bool]:
    """Per cluster: whether its slice is all its parties' exchanges, because few of them carry a content token."""
    keys = ["cluster", "channel", "token"]
    carried = clusters.ties.join(selectors.select(keys), keys, join_type="inner").group_by("cluster")
    carriers = carried.aggregate([("entity", "count_distinct")])
    count = dict(zip(carriers["cluster"].to_pylist(), carriers["entity_count_distinct"].to_pylist(), strict=True))
    return {c: count.get(c, 0) < _CONTENT_COVER * n for c, n in heads(clusters.groups).items()}


def slicing(plan: Plan, prefix: str, groups: pa.Table, bound: pa.Table, found: Findings) -> Query:
    """The step that slices these groups, as table `<prefix>slices`; the small tables that it reads are put in place.

    A group that no content token selects is sliced whole.
    """
    sliced = set(bound["cluster"].to_pylist())
    modes = {c: found.whole.get(c, c not in sliced) for c in heads(groups)}
    put(plan, f"{prefix}tested", groups)
    put(plan, f"{prefix}bound", bound.select(["cluster", "channel", "token"]))
    columns = {"cluster": pa.array(list(modes), pa.int32()), "whole": pa.array(list(modes.values()), pa.bool_())}
    put(plan, f"{prefix}modes", pa.table(columns))
    return _slices(prefix, [link for link in found.links.values() if link.content])


def _slices(prefix: str, content: list[Link]) -> Query:
    """Every exchange of a cluster or community that carries one of its content tokens, or all where whole."""
    joins = "".join(
        f" LEFT JOIN {prefix}bound b{i} ON b{i}.cluster = g.cluster AND b{i}.channel = '{link.channel.name}'"
        f" AND b{i}.token = x.{link.column}"
        for i, link in enumerate(content)
    )
    held = "".join(f" OR b{i}.token IS NOT NULL" for i in range(len(content)))
    return Query(
        f"{prefix}slices",
        ("exchanges", "owners", f"{prefix}tested", f"{prefix}modes", f"{prefix}bound"),
        'SELECT g.cluster, g.entity, x."row", x.ts, x.turn, x.model, x.prompt, x.cell, x.task, x.elicitation,'
        " x.n AS answers, x.logprobs"
        f" FROM exchanges x JOIN owners o ON o.account = x.account JOIN {prefix}tested g ON g.entity = o.entity"
        f" JOIN {prefix}modes m ON m.cluster = g.cluster{joins} WHERE m.whole{held}",
    )


def quiet(exchanges: int) -> Query:
    """Exchanges of parties that no cluster holds; of one party in so many where there are more than enough."""
    return Query(
        "quiet",
        ("exchanges", "owners", "linked"),
        "SELECT o.entity, x.task, x.cell, x.prompt, x.turn, x.elicitation, x.n AS answers, x.logprobs"
        " FROM exchanges x JOIN owners o ON o.account = x.account LEFT JOIN linked l ON l.entity = o.entity"
        " WHERE l.entity IS NULL AND o.entity % $every = 0",
        {"every": max(1, exchanges // _QUIET_EXCHANGES)},
    )
