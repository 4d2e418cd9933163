"""Entities that send the same prompts at the same times, repeatedly, on any of several time scales."""

from __future__ import annotations

from math import log2

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from clonewatch.links.ego_networks import ego_networks
from clonewatch.ports.engine import Fold, Query
from clonewatch.ports.linking import ChanceModel, LinkingSignal
from clonewatch.ports.signal import Card, Signal

SCALES = (3600, 600, 60)  # seconds: real coordination has been observed by the minute and by the hour
_MICRO = 1_000_000
_CROWD = 24  # entities on one thing in one bin: with more, a meeting means little; keeps the pairs linear
_LEAST = 3  # distinct occasions (a thing on a day)
_MOST_OCCASIONS = 12
_NOISE = 0.01  # largest share of the pairs found that chance may explain
_MIXER, _JITTER = 2_654_435_761, 172_800
_MOST_PAIRS = 20_000_000
NULL_SCHEMA = pa.schema(
    [
        ("scale_seconds", pa.int32()),
        ("occasions", pa.int32()),
        ("pairs", pa.int64()),
        ("groups", pa.int64()),
        ("accounts", pa.int64()),
        ("null_pairs", pa.int64()),
        ("null_groups", pa.int64()),
        ("null_accounts", pa.int64()),
    ]
)


def _acts(name: str, time: str) -> Query:
    """The step that lists when entities sent shared prompts, without outages: everybody starts together after one."""
    return Query(
        name,
        ("exchanges", "owners", "shared_prompts", "events"),
        "SELECT * FROM (SELECT DISTINCT o.entity, x.prompt AS thing,"
        f" CAST(FLOOR(({time}) / {_MICRO}) AS BIGINT) AS second FROM exchanges x"
        " JOIN owners o ON o.account = x.account JOIN shared_prompts s ON s.prompt = x.prompt) t"
        " WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.kind = 'outage' AND e.until IS NOT NULL"
        f" AND t.second >= e.ts / {_MICRO} AND t.second < e.until / {_MICRO} + 3600)",
    )


def _meetings(name: str, acts: str) -> Query:
    """The step that lists pairs that met on enough distinct occasions, by time scale."""
    scale = " UNION ALL ".join(
        f"SELECT DISTINCT {s} AS scale, entity, thing, CAST(FLOOR(second / {s}) AS BIGINT) AS bin,"
        f" CAST(FLOOR(second / 86400) AS BIGINT) AS day FROM {acts}"
        for s in SCALES
    )
    return Query(
        name,
        (acts,),
        f"WITH act AS ({scale}), met AS (SELECT scale, thing, bin FROM act GROUP BY scale, thing, bin"
        f" HAVING COUNT(DISTINCT entity) BETWEEN 2 AND {_CROWD}),"
        " near AS (SELECT a.* FROM act a JOIN met m ON m.scale = a.scale AND m.thing = a.thing AND m.bin = a.bin),"
        # An entity with too few meetings cannot be half of a pair: this keeps the self-join small.
        " often AS (SELECT scale, entity FROM (SELECT DISTINCT scale, entity, thing, day FROM near) d"
        f" GROUP BY scale, entity HAVING COUNT(*) >= {_LEAST}),"
        " fit AS (SELECT n.* FROM near n JOIN often o ON o.scale = n.scale AND o.entity = n.entity)"
        " SELECT scale, a, b, COUNT(*) AS occasions FROM ("
        "SELECT DISTINCT x.scale, x.entity AS a, y.entity AS b, x.thing, x.day FROM fit x JOIN fit y"
        " ON y.scale = x.scale AND y.thing = x.thing AND y.bin = x.bin"
        f" AND x.entity < y.entity) p GROUP BY scale, a, b HAVING COUNT(*) >= {_LEAST}",
    )


def cuts(met: pa.Table, chance: pa.Table) -> pa.Table:
    """How many occasions a pair must share on each scale, and how many pairs chance yields at that number.

    met: scale, a, b, occasions. chance: the same with every act moved by up to a day either way, which keeps what each
    entity did but not when. The result has, per scale, the least number of occasions at which chance yields at most one
    in a hundred of the pairs found (NULL_SCHEMA).
    """
    rows = []
    for scale in SCALES:
        seen, null = (t.filter(pa.array(t["scale"].to_numpy() == scale)) for t in (met, chance))
        for occasions in range(_LEAST, _MOST_OCCASIONS + 1):
            found, left = (t.filter(pa.array(t["occasions"].to_numpy() >= occasions)) for t in (seen, null))
            if found.num_rows and left.num_rows <= _NOISE * found.num_rows:
                rows.append((scale, occasions, *_extent(found), *_extent(left)))
                break
    columns: list[tuple[int, ...]] = list(zip(*rows, strict=True)) or [()] * len(NULL_SCHEMA)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, NULL_SCHEMA, strict=True)], schema=NULL_SCHEMA)


def _extent(pairs: pa.Table) -> tuple[int, int, int]:
    """Numbers of pairs, connected groups and entities."""
    if not pairs.num_rows:
        return 0, 0, 0
    entities, place = np.unique(np.concatenate([pairs["a"].to_numpy(), pairs["b"].to_numpy()]), return_inverse=True)
    a, b = np.split(place, 2)
    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(len(entities), len(entities)))
    return pairs.num_rows, int(connected_components(graph, directed=False)[0]), len(entities)


SIGNAL = LinkingSignal(
    Signal(
        "synchrony",
        "link",
        Card(
            title="Active at the same times",
            family="timing",
            catches="accounts that send the same prompts within a minute, ten minutes or an hour, day after day",
            misses="work that is never done twice",
            innocent="a class, a fan club, everybody after an outage",
            excluded_by="outages are excluded, and the same count with times shifted by a day shows what chance yields",
        ),
        needs=(("exchanges.prompt_id",), ("exchanges.messages",)),
        suggests=(("class_or_event", 0.3), ("benchmark_or_monitor", 0.5)),
        uses=("events.kind", "events.until"),
    ),
    ego_networks("synchronous_pairs"),
    hashed=False,
    reads=("synchronous_pairs",),
    cap=log2(10_000),
    deceptive=True,
    own_null=ChanceModel(
        ruling="Chance is ruled out: with every time shifted by up to a day, hardly any such pair remains.",
        table="synchrony_null",
        caption="Groups of accounts that act together in this log, and in the same log with the accounts' times"
        " shifted. Where the two are similar, acting together means nothing at that scale.",
    ),
    steps=(
        _acts("acts", "x.ts"),
        # The remainder first: a row number of some billions times the mixer overflows 64 bits.
        _acts(
            "moved_acts",
            f'x.ts + ((x."row" % {_JITTER} * {_MIXER % _JITTER}) % {_JITTER} - {_JITTER // 2}) * {_MICRO}',
        ),
        _meetings("meetings", "acts"),
        _meetings("chance_meetings", "moved_acts"),
        Fold("synchrony_null", ("meetings", "chance_meetings"), cuts, _MOST_PAIRS),
        Query(
            "synchronous_pairs",
            ("meetings", "synchrony_null"),
            "SELECT DISTINCT m.a, m.b FROM meetings m JOIN synchrony_null n ON n.scale_seconds = m.scale"
            " AND m.occasions >= n.occasions",
        ),
    ),
)
