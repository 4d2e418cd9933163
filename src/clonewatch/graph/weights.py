"""Weights of linking attributes: a lower-tail test on trusted users, or scarcity where a log has no trusted accounts.

Document frequency cannot tell a 25,000-account campaign from a 25,000-user coding agent. The trusted accounts can: they
use the agent at their usual share and never use the campaign's private template (decision 0004).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log2

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.kernels.hashing import stir_all
from clonewatch.kernels.rarity import lower_tail, scarcity
from clonewatch.ports.engine import Engine, Query
from clonewatch.ports.linking import MOST_BITS, LinkingSignal

# An attribute links only if the trusted share of its users is below this part of the usual one: at 7,000 users, a share
# of 19 % against 20 % is significant and means nothing.
EFFECT = 0.6
# An attribute links when its weight is one in ten or rarer: ten users without a trusted one, at a trusted share of 0.2.
# Fainter ones, from about one in two and with enough users, link only what nothing stronger links. In bits.
LEAST_WEIGHT, FAINT_WEIGHT, FAINT_USERS = log2(10), 0.3 * log2(10), 6
# What unrelated honest accounts never share links even a few users, up to this many.
_HANDFUL = 16
# Without trusted accounts, an attribute with more users than this counts as an app, an office or a carrier.
_COMMON_SHARE, _COMMON_USERS = 0.02, 50
# Bits for a signal with a chance model of its own, which leaves at most one pair in a hundred to chance.
_OWN_NULL = log2(100)
# Added to the logarithm of the users for what nobody shares by chance, in bits.
_EXCLUSIVE = 0.31 * log2(10)
# Where nearly everybody is trusted, one user more or less must not decide.
_MOST_TRUST = 0.95
# No signal may link an entity by more bits than this, however many of its attributes the entity carries.
_MOST_PER_SIGNAL = MOST_BITS

ATTRIBUTE_SCHEMA = pa.schema(
    [
        ("signal", pa.string()),
        ("attribute", pa.int64()),
        ("users", pa.int64()),
        ("trusted", pa.int64()),
        ("weight", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Incidences:
    """Who carries which rare attribute.

    attributes: one row per attribute (ATTRIBUTE_SCHEMA), sorted by signal and then by who carries them. Attributes that
    tie differ in nothing but their values, so the values of hashes change no result. attribute: int32[N], rows of
    `attributes`, ascending. entity: int32[N], ascending within an attribute. n: int32[N], exchanges. Twelve bytes per
    incidence, so that a log of hundreds of millions of exchanges fits.
    """

    attributes: pa.Table
    attribute: np.ndarray
    entity: np.ndarray
    n: np.ndarray

    def __len__(self) -> int:
        """Number of incidences."""
        return len(self.entity)


def _concatenated(parts: Sequence[Incidences]) -> Incidences:
    """The incidences of several signals as one. parts: in the order of the signals' names."""
    none = np.zeros(0, np.int32)
    if not parts:
        return Incidences(ATTRIBUTE_SCHEMA.empty_table(), none, none, none)
    first = np.cumsum([0, *(part.attributes.num_rows for part in parts)])
    return Incidences(
        pa.concat_tables([part.attributes for part in parts]).combine_chunks(),
        np.concatenate([part.attribute + at for part, at in zip(parts, first.astype(np.int32), strict=False)]),
        np.concatenate([part.entity for part in parts]),
        np.concatenate([part.n for part in parts]),
    )


def _trusted(column: str) -> str:
    return f"CASE WHEN e.{column} > 0 OR e.declared THEN 1 ELSE 0 END"


def presence(links: Sequence[LinkingSignal]) -> Query:
    """The step that records, as table `presence`, whether each entity has any value that could link it."""
    columns = [f"x.{link.column}" for link in links if link.column]
    return Query(
        "presence",
        ("exchanges", "owners"),
        f"SELECT o.entity, MAX(CASE WHEN COALESCE({', '.join(columns)}) IS NOT NULL THEN 1 ELSE 0 END) AS known"
        " FROM exchanges x JOIN owners o ON o.account = x.account GROUP BY o.entity",
    )


def carried(link: LinkingSignal) -> Query:
    """The step that writes all attributes of a signal as table `carried_<signal>`."""
    return Query(f"carried_{link.signal.name}", link.reads, link.sql)


def trusted_share(engine: Engine, trust: str = "anchor") -> float:
    """Trusted share, 0..1, of the entities of which anything is known. trust: the column that says who is trusted.

    Entities with no account facts and no linkable column carry no attribute. If they counted, every attribute would
    look richer in trust than the log is.
    """
    row = engine.fetch(
        f"SELECT COUNT(*) AS n, CAST(COALESCE(SUM({_trusted(trust)}), 0) AS BIGINT) AS trusted FROM entities e"
        " JOIN presence p ON p.entity = e.entity WHERE NOT e.exempt AND (p.known = 1 OR e.created IS NOT NULL)"
    ).to_pylist()[0]
    return min(_MOST_TRUST, float(row["trusted"] / row["n"])) if row["n"] else 0.0


def rare(link: LinkingSignal, share: float, population: int, trust: str = "anchor") -> Query:
    """The step that keeps a signal's attributes of two or more users, few of them trusted, as table `rare_<signal>`.

    trust: the column that says who is trusted; for a column other than `anchor` the table is `rare_<signal>_<trust>`.
    """
    name, trusted = link.signal.name, _trusted(trust)
    return Query(
        f"rare_{name}" if trust == "anchor" else f"rare_{name}_{trust}",
        (f"carried_{name}", "entities"),
        f"WITH kept AS (SELECT c.attribute, COUNT(*) AS users, SUM({trusted}) AS trusted"
        f" FROM carried_{name} c JOIN entities e ON e.entity = c.entity WHERE NOT e.exempt GROUP BY c.attribute"
        f" HAVING COUNT(*) >= 2 AND COUNT(*) <= $most AND (SUM({trusted}) + 0.5 <= $effect * (COUNT(*) + 1)"
        f"  OR (COUNT(*) <= $handful AND SUM({trusted}) = 0)))"
        " SELECT c.entity, c.attribute, CAST(c.n AS BIGINT) AS n, k.users, CAST(k.trusted AS BIGINT) AS trusted"
        f" FROM carried_{name} c JOIN kept k ON k.attribute = c.attribute JOIN entities e ON e.entity = c.entity"
        " WHERE NOT e.exempt",
        {
            "most": population if share > 0 or link.own_null else int(max(_COMMON_USERS, _COMMON_SHARE * population)),
            "effect": EFFECT * share if share > 0 and not link.own_null else 1.0,
            "handful": _HANDFUL if link.exclusive else 0,
        },
    )


def weigh(rare: Callable[[str], pa.Table], links: Sequence[LinkingSignal], share: float, population: int) -> Incidences:
    """Weigh the rare attributes of all signals and drop the light ones. Neither the run nor the key changes the result.

    rare: returns the rare attributes of a signal, sorted by attribute and entity; only one signal's are in memory at a
    time. share: trusted share of the entities of which anything is known, 0 where no account is trusted. population:
    number of entities.
    """
    parts = []
    for link in sorted(links, key=lambda link: link.signal.name):
        table = rare(link.signal.name)
        if table.num_rows:
            parts.append(_weighed(table, link, share, population))
    return _concatenated(parts)


def _weighed(table: pa.Table, link: LinkingSignal, share: float, population: int) -> Incidences:
    """The rare attributes of one signal that weigh enough. table: entity, attribute, n, users, trusted; not empty."""
    value = table["attribute"].to_numpy()
    begins = np.flatnonzero(np.concatenate([[True], value[1:] != value[:-1]]))
    size = np.diff(np.append(begins, len(value)))
    users, trusted = (table[name].take(pa.array(begins)).to_numpy() for name in ("users", "trusted"))
    by_trust = share > 0 and not link.own_null
    most = int(trusted.max()) + 1
    pairs, back = np.unique(users * most + trusted, return_inverse=True)
    weight = (
        lower_tail(*np.divmod(pairs, most), share)
        if by_trust
        else _OWN_NULL * bool(link.own_null) + scarcity(pairs // most, population)
    )[back]
    if link.exclusive:
        weight = np.maximum(weight, np.where(trusted == 0, np.log2(users) + _EXCLUSIVE, 0.0))
    if share > 0:
        # Where trusted users have their usual share, an attribute is no evidence, however many carry it.
        weight = weight * np.clip(1 - trusted / users / share / EFFECT, 0.0, 1.0)
    weight = np.minimum(weight, link.cap)
    keep = (weight >= LEAST_WEIGHT) | ((weight >= FAINT_WEIGHT) & ((users >= FAINT_USERS) | link.exclusive))
    entity, n = table["entity"].to_numpy(), table["n"].to_numpy().astype(np.int32)
    kept = np.flatnonzero(keep)
    kept = kept[np.argsort(_carriers(entity, n, begins)[kept], kind="stable")]
    names = pa.repeat(pa.scalar(link.signal.name), len(kept))
    attributes = [names, value[begins[kept]], users[kept], trusted[kept], weight[kept]]
    rows = _runs(begins[kept], size[kept])
    return Incidences(
        pa.table(attributes, schema=ATTRIBUTE_SCHEMA),
        np.repeat(np.arange(len(kept), dtype=np.int32), size[kept]),
        entity[rows],
        n[rows],
    )


def _carriers(entity: np.ndarray, n: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """One number for who carries each attribute and how often, uint64; entities are numbered by what they did.

    entity, n: int32, per incidence. begins: the first row of each attribute.
    """
    if not len(begins):
        return np.zeros(0, np.uint64)
    each = stir_all(((entity.astype(np.uint64) + np.uint64(1)) << np.uint64(32)) + n.astype(np.uint64))
    found: np.ndarray = np.add.reduceat(each, begins)
    return found


def _runs(begins: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Row numbers of consecutive runs. begins: first row of each run. size: rows of each run."""
    return np.repeat(begins - (np.cumsum(size) - size), size) + np.arange(int(size.sum()))


def stronger(one: Incidences, other: Incidences) -> Incidences:
    """Combine two weighings: of each attribute the heavier, with the number of trusted users that it was weighed by."""
    both = pa.concat_tables([one.attributes, other.attributes]).combine_chunks()
    if not both.num_rows:
        return one
    by = [("signal", "ascending"), ("attribute", "ascending"), ("weight", "descending")]
    order = pc.sort_indices(both, by).to_numpy()
    # The heavier of a pair comes first; the row that follows with the same keys is dropped.
    signal = both["signal"].combine_chunks().dictionary_encode().indices.to_numpy()[order]
    value = both["attribute"].to_numpy()[order]
    first = np.concatenate([[True], (signal[1:] != signal[:-1]) | (value[1:] != value[:-1])])
    size = np.concatenate([np.bincount(part.attribute, minlength=part.attributes.num_rows) for part in (one, other)])
    begins = np.cumsum(size) - size
    entity, n = np.concatenate([one.entity, other.entity]), np.concatenate([one.n, other.n])
    place = np.cumsum(np.concatenate([[0], signal[1:] != signal[:-1]]))[first]
    chosen = order[first]
    chosen = chosen[np.lexsort((_carriers(entity, n, begins)[chosen], place))]
    rows = _runs(begins[chosen], size[chosen])
    return Incidences(
        both.take(pa.array(chosen)),
        np.repeat(np.arange(len(chosen), dtype=np.int32), size[chosen]),
        entity[rows],
        n[rows],
    )


def capped(entity: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weights of one signal, scaled down so that it links no entity by more than its cap."""
    if not len(entity):
        return weight
    mass = np.bincount(entity, weights=weight)
    scaled: np.ndarray = weight * np.minimum(1.0, _MOST_PER_SIGNAL / np.maximum(mass, 1e-300))[entity]
    return scaled
