"""People and firms are somebody: an account comes back to its own topics, lengths and hours. Fed accounts do not.

Individuality of a group in a feature: log2 of P(same value | same entity, two different days) over P(same value | two
entities of the group, two different days). Different days keep one session from counting as a habit, and one event of
the day from counting as a common one. Where a dispatcher deals the requests out, who sends one tells nothing about it,
however unequal the shares are and however the requests are worded.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clonewatch.ports.behaviour import BehaviouralTest, Dealing
from clonewatch.ports.engine import Fold, Query
from clonewatch.ports.signal import Card, Signal

# Entities of a group that are compared, at most: with 300 the error is far below what tells groups apart.
_ENTITIES = 300
# A feature counts where at least so many entities were seen on two days.
_FEWEST = 6
# A log must show so many features: the hour alone is a time zone as often as a habit.
_FEATURES = 2
# Hours of the day that count as one: a habit, not an appointment.
_HOURS = 3
# Feature -> its value, in SQL over table `self_slices`.
FEATURES = {
    "topic": "cell",
    "input": "input_octave",
    "output": "output_octave",
    "hour": f"CAST(FLOOR(ts / {_HOURS * 3_600_000_000}) AS BIGINT) % {24 // _HOURS}",
}
_SCHEMA = pa.schema([("cluster", pa.int32()), ("value", pa.float64()), ("error", pa.float64()), ("n", pa.int64())])


class Individuality(NamedTuple):
    """In bits, with its standard error over entities. n: entities seen on at least two days."""

    bits: float
    error: float
    n: int


def individuality(
    entity: npt.NDArray[np.int64], day: npt.NDArray[np.int64], value: npt.NDArray[np.int64], n: npt.NDArray[np.int64]
) -> Individuality | None:
    """The individuality of one group in one feature; None where too little was seen.

    entity, day, value: one row each per combination that occurs, with its number of exchanges n. Every day of an entity
    weighs the same, so that a busy day decides nothing. Linear in the number of rows.

    >>> entity, day = np.divmod(np.arange(60), 10)
    >>> one = np.ones(60, np.int64)
    >>> round(individuality(entity, day, entity, one).bits, 1), individuality(entity, day, day % 2, one).bits < 0.1
    (14.0, True)
    """
    who, when, what = (np.unique(x, return_inverse=True)[1] for x in (entity, day, value))
    _, first, of_day = np.unique(who * (int(when.max()) + 1) + when, return_index=True, return_inverse=True)
    share = n / np.bincount(of_day, n)[of_day]
    days = np.bincount(who[first]).astype(np.float64)  # of each entity
    busy = np.bincount(when[first]).astype(np.float64)  # entities of each day
    entities, values = len(days), int(what.max()) + 1
    # Pairs of exchanges with the same value: of one entity on two days, then of two entities on two days.
    own_pair, own_of = np.unique(who * values + what, return_inverse=True)
    own = np.bincount(own_of, share)
    _, of_both = np.unique(when * values + what, return_inverse=True)
    on_day, total = np.bincount(of_both, share)[of_both], np.bincount(what, share)
    owner, kind = np.divmod(own_pair, values)
    same = np.bincount(owner, own * own, entities) - np.bincount(who, share * share, entities)
    of_same = days * (days - 1)
    other = np.bincount(owner, own * (total[kind] - own), entities)
    other -= np.bincount(who, share * (on_day - share), entities)
    of_other = days * (days.sum() - days) - np.bincount(who[first], busy[when[first]] - 1, entities)
    seen = of_same > 0
    if seen.sum() < _FEWEST or of_other.sum() <= 0:
        return None
    weight = np.where(seen, days, 0.0) / days[seen].sum()
    alone = np.where(seen, same / np.where(seen, of_same, 1.0), 0.0)
    # One pair more on each side, as alike as any two exchanges are, so that no share is zero.
    alike = float((total**2).sum() / total.sum() ** 2)
    apart = float((other.sum() + alike) / (of_other.sum() + 1))
    together = float(((weight * alone).sum() * of_same.sum() + alike) / (of_same.sum() + 1))
    influence = weight * (alone - together) / together - 2 * (other - apart * of_other) / of_other.sum() / apart
    # Entities differ, and pairs with the same value are counted: both make the error.
    error = float(np.sqrt((influence**2).sum() + 1 / (1 + max(0.0, same.sum())))) / np.log(2)
    return Individuality(float(np.log2(together / apart)), error, int(seen.sum()))


def sampled(groups: pa.Table) -> pa.Table:
    """The entities of each group that are compared: all of them, or some that are spread over the order of arrival."""
    order = np.lexsort((groups["entity"].to_numpy(), groups["cluster"].to_numpy()))
    cluster, entity = groups["cluster"].to_numpy()[order], groups["entity"].to_numpy()[order]
    _, first, size = np.unique(cluster, return_index=True, return_counts=True)
    place, size = np.arange(len(cluster)) - np.repeat(first, size), np.repeat(size, size)
    kept = place * _ENTITIES // size != (place - 1) * _ENTITIES // size
    return pa.table({"cluster": cluster[kept], "entity": entity[kept]})


def added_up(values: pa.Table) -> pa.Table:
    """Minus the individuality of each group, added up over the features that this log has. values: `self_values`.

    A group that lacks a feature that most groups show stays neutral.
    """
    table = values.sort_by([("cluster", "ascending"), ("feature", "ascending")])
    columns = {name: table[name].to_numpy().astype(np.int64) for name in ("cluster", "feature", "entity", "day", "n")}
    what = table["value"].to_numpy().astype(np.int64)
    key = columns["cluster"] * len(FEATURES) + columns["feature"]
    bounds = [0, *(np.flatnonzero(np.diff(key)) + 1).tolist(), len(key)] if len(key) else [0]
    found: dict[int, dict[int, Individuality]] = {}
    for low, high in pairwise(bounds):
        rows = slice(low, high)
        measured = individuality(columns["entity"][rows], columns["day"][rows], what[rows], columns["n"][rows])
        if measured:
            found.setdefault(int(columns["cluster"][low]), {})[int(columns["feature"][low])] = measured
    usual = [f for f in range(len(FEATURES)) if 2 * sum(f in own for own in found.values()) >= len(found)]
    rows_out = [
        (
            cluster,
            # Nobody is less like themselves than like others: what is below zero is chance.
            -sum(max(0.0, own[f].bits) for f in usual),
            float(np.sqrt(sum(own[f].error ** 2 for f in usual))),
            min(own[f].n for f in usual),
        )
        for cluster, own in sorted(found.items())
        if len(usual) >= _FEATURES and all(f in own for f in usual)
    ]
    return pa.table([pa.array([r[i] for r in rows_out], f.type) for i, f in enumerate(_SCHEMA)], schema=_SCHEMA)


_VALUES = " UNION ALL ".join(
    f"SELECT cluster, {number} AS feature, entity, CAST(FLOOR(ts / 86400000000) AS BIGINT) AS day,"
    f" CAST({value} AS BIGINT) AS value FROM self_slices WHERE {value} IS NOT NULL"
    for number, value in enumerate(FEATURES.values())
)

TEST = BehaviouralTest(
    Signal(
        "individuality",
        "behaviour",
        Card(
            title="Accounts without habits of their own",
            family="individuality",
            catches="accounts fed by one dispatcher, whatever the shares, the wording and the pace",
            misses="a pool in which every account keeps to topics, lengths and hours of its own for weeks",
            innocent="one honest back end behind many keys: an aggregator, annotators, a fleet of runners",
            excluded_by="that is one customer, who can be asked; people and firms have habits",
        ),
        needs=(("exchanges.output_tokens",), ("exchanges.input_tokens",), ("exchanges.cell",), ("exchanges.messages",)),
        uses=("exchanges.output_tokens", "exchanges.input_tokens", "exchanges.cell"),
    ),
    steps=(
        Fold("self_entities", ("tested",), sampled, 50_000_000),
        Query(
            "self_slices",
            ("slices", "self_entities"),
            "SELECT s.cluster, s.entity, s.ts, s.cell, s.input_octave, s.output_octave FROM slices s"
            " JOIN self_entities e ON e.cluster = s.cluster AND e.entity = s.entity",
        ),
        Query(
            "self_values",
            ("self_slices",),
            f"SELECT cluster, feature, entity, day, value, COUNT(*) AS n FROM ({_VALUES}) v"
            " GROUP BY cluster, feature, entity, day, value",
        ),
        Fold("behaviour_individuality", ("self_values",), added_up, 50_000_000),
    ),
    # Low for communities of people and firms, of whom real ones have 1.5 bits and more in output length alone (tenants
    # of ServeGen) and 2.7 in topic (reviewers): without communities of its own a log cannot tell how low its own come.
    usual=-1.5,
    spread=0.8,
    effect=1.2,
    says="Who sends an exchange tells {bits:.1f} bits about its topic, lengths and hour; in {others}"
    " it tells {usual_bits:.1f} ({n:,} entities).",
    least=_FEWEST,
    most=6.0,
    dealing=Dealing.SHARES,
    supporting=True,
)
