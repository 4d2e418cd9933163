"""Weights of linking attributes: rarity by anchor depletion, or by scarcity where a log has no trusted accounts.

Document frequency cannot tell a 25,000-account campaign from a 25,000-user coding agent. The trusted accounts can: they
use the agent at their usual share, and the campaign's private template never (decision 0004).
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

# An attribute links only if trusted users are this much rarer on it than in the log: at 7,000 users a share of 19 %
# against 20 % is "significant" and means nothing.
EFFECT = 0.6
# Attributes of one in ten or rarer link: ten strangers at a trusted share of 0.2. Fainter ones, of about one in two and
# of enough users to matter, link only what these leave alone. In bits.
LEAST_WEIGHT, FAINT_WEIGHT, FAINT_USERS = log2(10), 0.3 * log2(10), 6
# What honest strangers never share links a handful; below five users it may be a family.
_HANDFUL = 16
# Without trusted, an attribute of more users than this is taken for an app, an office or a carrier.
_COMMON_SHARE, _COMMON_USERS = 0.02, 50
# What a signal's own chance model is worth, in bits: it leaves at most one pair in a hundred to chance.
_OWN_NULL = log2(100)
# What nobody shares by chance weighs a little more than the logarithm of its users, in bits.
_EXCLUSIVE = 0.31 * log2(10)
# Where nearly everybody is trusted, one stranger more or less must not decide.
_MOST_TRUST = 0.95
# No signal may tie an entity by more bits than this, however many of its attributes it carries.
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

    attributes: a row each (ATTRIBUTE_SCHEMA), sorted by signal and then by who carries them: where two change places,
    nothing but their values tells them apart, so the values of hashes change no result. attribute: int32[N], rows of
    it, ascending. entity: int32[N], ascending within an attribute. n: int32[N], exchanges. Twelve bytes an incidence,
    so that a log of hundreds of millions of exchanges fits.
    """

    attributes: pa.Table
    attribute: np.ndarray
    entity: np.ndarray
    n: np.ndarray

    def __len__(self) -> int:
        """How many."""
        return len(self.entity)


def _of_parts(parts: Sequence[Incidences]) -> Incidences:
    """Those of several signals, in the order of their names, as one."""
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
    """The step that notes, as table `presence`, whether anything is known by which each entity could be linked."""
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
    """Trusted share, 0..1, of the entities of whom anything is known. trust: the column that says who is.

    Entities with no account facts and no linkable column carry no attribute: counted in, they would make every
    attribute look richer in trust than the log is.
    """
    row = engine.fetch(
        f"SELECT COUNT(*) AS n, CAST(COALESCE(SUM({_trusted(trust)}), 0) AS BIGINT) AS trusted FROM entities e"
        " JOIN presence p ON p.entity = e.entity WHERE NOT e.exempt AND (p.known = 1 OR e.created IS NOT NULL)"
    ).to_pylist()[0]
    return min(_MOST_TRUST, float(row["trusted"] / row["n"])) if row["n"] else 0.0


def rare(link: LinkingSignal, share: float, population: int, trust: str = "anchor") -> Query:
    """The step that keeps a signal's attributes of two or more users, few of them trusted, as table `rare_<signal>`.

    trust: the column that says who is; with another than `anchor` the table is `rare_<signal>_<trust>`.
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
    """All signals' rare attributes with their weights, light ones dropped, and who carries them. Runs and keys agree.

    rare: gives the rare attributes of a signal, sorted by attribute and entity; one signal's are held at a time. share:
    trusted share of the entities of whom anything is known, 0 where nobody is trusted.
    """
    parts = []
    for link in sorted(links, key=lambda link: link.signal.name):
        table = rare(link.signal.name)
        if table.num_rows:
            parts.append(_weighed(table, link, share, population))
    return _of_parts(parts)


def _weighed(table: pa.Table, link: LinkingSignal, share: float, population: int) -> Incidences:
    """The rare attributes of one signal that weigh enough.

    Table: entity, attribute, n, users and trusted; not empty.
    """
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
        # At the trusted users' usual share an attribute says nothing, however many carry it.
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

    entity, n: int32, of incidences. begins: where the run of each attribute begins.
    """
    if not len(begins):
        return np.zeros(0, np.uint64)
    each = stir_all(((entity.astype(np.uint64) + np.uint64(1)) << np.uint64(32)) + n.astype(np.uint64))
    found: np.ndarray = np.add.reduceat(each, begins)
    return found


def _runs(begins: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The rows of runs, one run after the other."""
    return np.repeat(begins - (np.cumsum(size) - size), size) + np.arange(int(size.sum()))


def stronger(one: Incidences, other: Incidences) -> Incidences:
    """Two weighings of the same attributes as one: the heavier of each, with the trusted users it was weighed by."""
    both = pa.concat_tables([one.attributes, other.attributes]).combine_chunks()
    if not both.num_rows:
        return one
    by = [("signal", "ascending"), ("attribute", "ascending"), ("weight", "descending")]
    order = pc.sort_indices(both, by).to_numpy()
    # The heavier of a pair comes first; what follows it with the same keys is dropped.
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
    """Weights of one signal scaled down so that it holds no entity with more than its share."""
    if not len(entity):
        return weight
    mass = np.bincount(entity, weights=weight)
    scaled: np.ndarray = weight * np.minimum(1.0, _MOST_PER_SIGNAL / np.maximum(mass, 1e-300))[entity]
    return scaled
