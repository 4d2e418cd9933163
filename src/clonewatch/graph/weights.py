"""Weights of linking tokens: rarity by anchor depletion, or by scarcity where a log has no trusted accounts.

Document frequency cannot tell a 25,000-account campaign from a 25,000-user coding agent. The trusted accounts can: they
use the agent at their usual share, and the campaign's private template never (decision 0004).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from clonewatch.kernels.rarity import depletion, scarcity
from clonewatch.ports.engine import Engine, Query
from clonewatch.ports.link import Link

# A token links only if trusted users are this much rarer on it than in the log: at 7,000 users a share of 19 % against
# 20 % is "significant" and means nothing.
EFFECT = 0.6
# Tokens of one ban or more link: ten strangers at a trusted share of 0.2. Fainter ones, of enough users to
# matter, link only what these leave alone.
LEAST_WEIGHT, FAINT_WEIGHT, FAINT_USERS = 1.0, 0.3, 6
# What honest strangers never share links a handful; below five users it may be a family.
_HANDFUL = 16
# Without anchors, a token of more users than this is taken for an app, an office or a carrier.
_COMMON_SHARE, _COMMON_USERS = 0.02, 50
# What a channel's own null is worth: it leaves at most one pair in a hundred to chance.
_NULL_BANS = 2.0
# Where nearly everybody is trusted, one stranger more or less must not decide.
_MOST_TRUST = 0.95
# No channel may hold an entity with more than this many bans, however many of its tokens it carries.
_MOST_PER_CHANNEL = 8.0

TOKEN_SCHEMA = pa.schema([
    ("channel", pa.string()), ("entity", pa.int32()), ("token", pa.int64()), ("n", pa.int64()), ("users", pa.int64()),
    ("anchors", pa.int64()), ("weight", pa.float64()),
])  # fmt: skip


def _trusted(column: str) -> str:
    return f"CASE WHEN e.{column} > 0 OR e.declared THEN 1 ELSE 0 END"


def presence(links: Sequence[Link]) -> Query:
    """The step that notes, as table `presence`, whether anything is known by which each party could be linked."""
    columns = [f"x.{link.column}" for link in links if link.column]
    return Query(
        "presence",
        ("exchanges", "owners"),
        f"SELECT o.entity, MAX(CASE WHEN COALESCE({', '.join(columns)}) IS NOT NULL THEN 1 ELSE 0 END) AS known"
        " FROM exchanges x JOIN owners o ON o.account = x.account GROUP BY o.entity",
    )


def carried(link: Link) -> Query:
    """The step that writes all tokens of a channel as table `carried_<channel>`."""
    return Query(f"carried_{link.channel.name}", link.reads, link.sql)


def trusted_share(engine: Engine, trust: str = "anchor") -> float:
    """Trusted share, 0..1, of the parties of whom anything is known. trust: the column that says who is.

    Parties with no account facts and no linkable column carry no token: counted in, they would make every token look
    richer in trust than the log is.
    """
    row = engine.fetch(
        f"SELECT COUNT(*) AS n, CAST(COALESCE(SUM({_trusted(trust)}), 0) AS BIGINT) AS trusted FROM entities e"
        " JOIN presence p ON p.entity = e.entity WHERE NOT e.exempt AND (p.known = 1 OR e.created IS NOT NULL)"
    ).to_pylist()[0]
    return min(_MOST_TRUST, float(row["trusted"] / row["n"])) if row["n"] else 0.0


def rare(link: Link, share: float, population: int, trust: str = "anchor") -> Query:
    """The step that keeps a channel's tokens of two or more users, few of them trusted, as table `rare_<channel>`.

    trust: the column that says who is; with another than `anchor` the table is `rare_<channel>_<trust>`.
    """
    name, trusted = link.channel.name, _trusted(trust)
    return Query(
        f"rare_{name}" if trust == "anchor" else f"rare_{name}_{trust}",
        (f"carried_{name}", "entities"),
        f"WITH kept AS (SELECT c.token, COUNT(*) AS users, SUM({trusted}) AS anchors"
        f" FROM carried_{name} c JOIN entities e ON e.entity = c.entity WHERE NOT e.exempt GROUP BY c.token"
        f" HAVING COUNT(*) >= 2 AND COUNT(*) <= $most AND (SUM({trusted}) + 0.5 <= $effect * (COUNT(*) + 1)"
        f"  OR (COUNT(*) <= $handful AND SUM({trusted}) = 0)))"
        " SELECT c.entity, c.token, CAST(c.n AS BIGINT) AS n, k.users, CAST(k.anchors AS BIGINT) AS anchors"
        f" FROM carried_{name} c JOIN kept k ON k.token = c.token JOIN entities e ON e.entity = c.entity"
        " WHERE NOT e.exempt",
        {
            "most": population if share > 0 or link.own_null else int(max(_COMMON_USERS, _COMMON_SHARE * population)),
            "effect": EFFECT * share if share > 0 and not link.own_null else 1.0,
            "handful": _HANDFUL if link.exclusive else 0,
        },
    )


def weigh(
    rare: Callable[[str], pa.Table], links: Sequence[Link], share: float, population: int
) -> pa.Table:  # fmt: skip
    """All channels' rare tokens in one table with their weights, light ones dropped. Sorted, so that runs agree.

    rare: gives the rare tokens of a channel, sorted by token and entity; one channel's are held at a time. share:
    trusted share of the parties of whom anything is known, 0 where nobody is trusted.
    """
    parts = []
    for link in sorted(links, key=lambda link: link.channel.name):
        table = rare(link.channel.name)
        if not table.num_rows:
            continue
        users, trusted = table["users"].to_numpy(), table["anchors"].to_numpy()
        anchored = share > 0 and not link.own_null
        most = int(trusted.max()) + 1
        pairs, back = np.unique(users * most + trusted, return_inverse=True)
        weight = (
            depletion(*np.divmod(pairs, most), share)
            if anchored
            else _NULL_BANS * link.own_null + scarcity(pairs // most, population)
        )[back]
        if link.exclusive:
            weight = np.maximum(weight, np.where(trusted == 0, np.log10(users) + 0.31, 0.0))
        if share > 0:
            # At the trusted users' usual share a token says nothing, however many carry it.
            weight = weight * np.clip(1 - trusted / users / share / EFFECT, 0.0, 1.0)
        weight = np.minimum(weight, link.cap)
        keep = (weight >= LEAST_WEIGHT) | ((weight >= FAINT_WEIGHT) & ((users >= FAINT_USERS) | link.exclusive))
        columns = [table[c] for c in TOKEN_SCHEMA.names[1:6]]
        kept = pa.table([*columns, weight], names=TOKEN_SCHEMA.names[1:]).filter(pa.array(keep))
        named = pa.repeat(pa.scalar(link.channel.name), kept.num_rows)
        parts.append(pa.table([named, *kept.columns], schema=TOKEN_SCHEMA))
    return pa.concat_tables(parts) if parts else TOKEN_SCHEMA.empty_table()


def stronger(one: pa.Table, other: pa.Table) -> pa.Table:
    """Two weighings of the same tokens as one: the heavier of each, with the trusted users it was weighed by."""
    keys = ["channel", "token", "entity"]
    both = pa.concat_tables([one, other]).sort_by([*((k, "ascending") for k in keys), ("weight", "descending")])
    if not both.num_rows:
        return both
    # The heavier of a pair comes first; what follows it with the same keys is dropped.
    channel = both["channel"].combine_chunks().dictionary_encode().indices.to_numpy()
    place = np.stack([channel.astype(np.int64), both["token"].to_numpy(), both["entity"].to_numpy().astype(np.int64)])
    return both.filter(pa.array(np.r_[True, (np.diff(place, axis=1) != 0).any(axis=0)]))


def capped(entity: np.ndarray, channel: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weights scaled down so that no channel holds an entity with more than its share."""
    if not len(entity):
        return weight
    pair = entity.astype(np.int64) * (int(channel.max()) + 1) + channel
    mass = np.bincount(pair, weights=weight)
    scaled: np.ndarray = weight * np.minimum(1.0, _MOST_PER_CHANNEL / np.maximum(mass, 1e-300))[pair]
    return scaled
