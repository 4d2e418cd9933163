"""Which exchanges of reported clusters were harvested, and which accounts are members."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.campaigns import attribution, membership
from clonewatch.pipeline.detection.slicing import slicing
from clonewatch.pipeline.detection.stages import Attributed, Calibrated, Judged, Merged
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.engine import Fold, Step
from clonewatch.ports.progress import Progress

# Most rows of the table of kinds of exchanges per entity, from which posteriors are computed.
_MOST_PROFILES = 50_000_000
# An account of a reported cluster: its membership and role, how many exchanges were harvested and how many it has, and
# when they began and ended, in microseconds.
MEMBER_SCHEMA = pa.schema(
    [
        ("cluster", pa.int32()),
        ("account", pa.int32()),
        ("membership", pa.float64()),
        ("role", pa.string()),
        ("harvested", pa.int64()),
        ("exchanges", pa.int64()),
        ("first", pa.int64()),
        ("last", pa.int64()),
    ]
)


def attribute(runner: StepRunner, found: Calibrated, progress: Progress) -> Attributed:
    """Compute the posterior of every exchange of reported clusters, and which accounts are members.

    Writes table `posteriors`, and the members without proxy customers as table `member_accounts`.
    """
    judged, scale = found.judged, {v.cluster: v.posterior_scale for v in found.reported}
    columns = {
        "cluster": pa.array(list(scale), pa.int32()),
        "posterior_scale": pa.array(list(scale.values()), pa.float64()),
    }
    runner.put("reported", pa.table(columns))
    progress.start("attribution", 6, "steps")
    progress.advance(1, runner.run(attribution.BACKGROUND_PROFILE))
    slices = _own_slices(runner, judged.merged)
    progress.advance(1, runner.rows[slices])
    for step in (attribution.candidates(slices), attribution.PROFILES, _mixture(judged), attribution.POSTERIORS):
        progress.advance(1, runner.run(step))
    progress.end(f"{runner.rows['posteriors']:,} exchanges of linked entities")
    members = _members(runner, judged)
    inside = members.filter(pc.not_equal(members["role"], "proxy_customer"))
    runner.put("member_accounts", inside.select(["cluster", "account"]))
    told = runner.engine.fetch("SELECT DISTINCT cluster, posterior FROM mixture ORDER BY cluster, posterior")
    return Attributed(found, members, attribution.told_by(told, judged.merged.clustering.selection.uses_all))


def _own_slices(runner: StepRunner, merged: Merged) -> str:
    """The name of the table of slices without exchanges that only customers' attributes select."""
    clustering = merged.clustering
    content = [(name, link.column) for name, link in clustering.signals.items() if link.content]
    runner.run(attribution.attribute_profiles(content, runner.rows["slices"]))
    profiles = runner.engine.fetch("SELECT * FROM attribute_profiles")
    plain = attribution.customer_attributes(profiles, runner.engine.fetch("SELECT * FROM background_profile"))
    if not plain.num_rows:
        return "slices"
    own = clustering.selection.attributes.join(plain, ["cluster", "signal", "attribute"], join_type="left anti")
    tested = runner.engine.fetch("SELECT t.* FROM tested t JOIN reported r ON r.cluster = t.cluster")
    runner.run(slicing(runner, "own_", tested, own, clustering))
    return "own_slices"


def _mixture(judged: Judged) -> Step:
    """The step that computes the posterior of every kind of exchange, as table `mixture`."""
    uses_all: Mapping[int, bool] = judged.merged.clustering.selection.uses_all
    neighbours = {key for key, families in judged.families.items() if not families}

    def mixture(profiles: pa.Table, background: pa.Table) -> pa.Table:
        order = [(name, "ascending") for name in profiles.column_names if name != "n"]
        return attribution.mixture(profiles.sort_by(order), background, dict(uses_all), neighbours)

    return Fold("mixture", ("profiles", "background_profile"), mixture, _MOST_PROFILES)


def _members(runner: StepRunner, judged: Judged) -> pa.Table:
    """Accounts of reported clusters (MEMBER_SCHEMA)."""
    table = runner.engine.fetch(
        "SELECT p.cluster, p.entity, p.account, COUNT(*) AS exchanges, MIN(p.ts) AS first, MAX(p.ts) AS last, g.mass,"
        " CAST(SUM(CASE WHEN p.posterior >= 0.5 THEN 1 ELSE 0 END) AS BIGINT) AS harvested,"
        " CAST(SUM(CASE WHEN p.mixture_posterior >= 0.5 THEN 1 ELSE 0 END) AS BIGINT) AS alike, r.posterior_scale"
        " FROM posteriors p JOIN groups g ON g.cluster = p.cluster AND g.entity = p.entity"
        " JOIN reported r ON r.cluster = p.cluster"
        " GROUP BY p.cluster, p.entity, p.account, g.mass, r.posterior_scale ORDER BY p.cluster, p.account"
    )
    keys = list(zip(table["cluster"].to_pylist(), table["entity"].to_pylist(), strict=True))
    consensus = judged.merged.clustering.stability.consensus
    families = np.array([judged.families.get(key, 0) for key in keys], np.int64)
    # Accounts that were tested with all their exchanges are members by what ties them, however much they serve.
    uses_all = judged.merged.clustering.selection.uses_all
    whole = np.array([uses_all[cluster] for cluster, _ in keys], bool) & (families > 0)
    accounts = membership.Accounts(
        table["cluster"].to_numpy(),
        table["alike"].to_numpy(),
        table["exchanges"].to_numpy(),
        table["mass"].to_numpy(),
        families,
        np.array([consensus.get(key, 1.0) for key in keys]),
    )
    score, role = membership.membership(
        membership.counted_whole(accounts, whole), table["posterior_scale"].to_numpy() == 1.0
    )
    columns = [
        table["cluster"],
        table["account"],
        pa.array(score * table["posterior_scale"].to_numpy(), pa.float64()),
        pa.array(role.tolist(), pa.string()),
        table["harvested"],
        *(table[name] for name in ("exchanges", "first", "last")),
    ]
    return pa.table(columns, names=MEMBER_SCHEMA.names).cast(MEMBER_SCHEMA)
