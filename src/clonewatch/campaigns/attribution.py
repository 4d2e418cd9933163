"""Which exchanges were harvested: a mixing share per entity, a posterior per exchange.

A proxy's accounts also serve honest people. A two-class naive Bayes learns the campaign from the exchanges that carry
its content attributes (the slice), and the rest from the background. Each entity gets its own mixing share by
expectation maximisation. A prior keeps that share near the share of its slice, so that a mixture posterior alone never
convicts a whole account.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, log2

import numpy as np
import pyarrow as pa

from clonewatch.campaigns.membership import FLOOR_EXCHANGES
from clonewatch.ports.engine import Query

_FEATURES = ("task", "demand", "opening", "sampled")
_MOST_DEMAND = 5  # elicitation, 0..1, in fifths
# What a hundred people ask for, by fifths: 8,079 prompts of public sets, fingerprinted (`docs/real-data.md`). It stands
# beside the background of a log, which may tell nothing of it.
_DEMANDS = np.arange(_MOST_DEMAND + 1)
_PEOPLES_DEMAND = 100 * np.array([7542, 391, 99, 24, 23, 1]) / 8080
# Bits per nat: the constants below were measured on development logs in nats.
_NATURAL = log2(exp(1))
# The log-likelihood ratio of one feature is bounded: a habit may be rare in the background and still honest.
_MOST_FEATURE = 2.0 * _NATURAL  # 7 to 1
_MOST_LOG_RATIO = 3.0 * _NATURAL  # 20 to 1
_IN_SLICE = 8.0 * _NATURAL  # carrying a private attribute of the campaign: about 3,000 to 1
_SUSPICION = 0.45
_PRIOR_WEIGHT = 4.0
_ROUNDS = 25
# An attribute belongs to the customers when its exchanges resemble the background more than the campaign by this many
# bits on average. The campaign's profile starts from an attribute of at least so many exchanges. At most so many
# exchanges are examined for this.
_CLEARLY, _ATTRIBUTE_EXCHANGES, _PROFILED = 0.5 * _NATURAL, 10, 3_000_000

# A part of a cluster's exchanges is harvest where it is towards harvest, on average by half of what a feature can say.
_PLAINLY = _MOST_FEATURE / 2

# Posteriors of an account's exchanges where nothing tells them apart: of a member, and of a neighbour.
_WHOLE, _NEIGHBOUR = 0.95, 0.05
# What told harvested exchanges of a cluster from others: attributes of its own, their shape, or nothing.
TOLD_BY = ("attributes", "shape", "accounts")


_CODED = (
    "COALESCE(CAST({0}.task AS INTEGER), -1) AS task,"
    " COALESCE(CAST(FLOOR({0}.elicitation * 5) AS INTEGER), -1) AS demand,"
    " CASE WHEN {0}.turn IS NULL THEN -1 WHEN {0}.turn = 0 THEN 1 ELSE 0 END AS opening,"
    " CASE WHEN COALESCE({0}.{1}, 1) > 1 OR COALESCE({0}.logprobs, FALSE) THEN 1 ELSE 0 END AS sampled"
)


def attribute_profiles(content: Sequence[tuple[str, str]], exchanges: int) -> Query:
    """The step that profiles what each selecting attribute selects, as table `attribute_profiles`.

    content: signals whose attributes select exchanges, and their columns. exchanges: how many the slices hold; above a
    limit, a regular sample of them is profiled.
    """
    each = (
        f"SELECT s.cluster, '{signal}' AS signal, x.{column} AS attribute, {_CODED.format('s', 'answers')}"
        f' FROM slices s JOIN reported r ON r.cluster = s.cluster JOIN exchanges x ON x."row" = s."row"'
        f" JOIN selecting b ON b.cluster = s.cluster AND b.signal = '{signal}' AND b.attribute = x.{column}"
        ' WHERE s."row" % $every = 0'
        for signal, column in content
    )
    return Query(
        "attribute_profiles",
        ("slices", "reported", "exchanges", "selecting"),
        "SELECT cluster, signal, attribute, task, demand, opening, sampled, COUNT(*) AS n FROM ("
        + " UNION ALL ".join(each)
        + ") t GROUP BY cluster, signal, attribute, task, demand, opening, sampled",
        {"every": max(1, exchanges // _PROFILED)},
    )


def candidates(slices: str) -> Query:
    """The step that lists every exchange of the entities of reported clusters. slices: name of the table of slices."""
    return Query(
        "candidates",
        ("exchanges", "owners", "groups", "reported", slices),
        f'SELECT g.cluster, g.entity, x.account, x."row", x.ts, x.model, {_CODED.format("x", "n")},'
        ' s."row" IS NOT NULL AS held'
        " FROM exchanges x JOIN owners o ON o.account = x.account JOIN groups g ON g.entity = o.entity"
        " JOIN reported r ON r.cluster = g.cluster"
        f' LEFT JOIN {slices} s ON s."row" = x."row" AND s.cluster = g.cluster',
    )


PROFILES = Query(
    "profiles",
    ("candidates",),
    "SELECT cluster, entity, task, demand, opening, sampled, held, COUNT(*) AS n FROM candidates"
    " GROUP BY cluster, entity, task, demand, opening, sampled, held",
)
BACKGROUND_PROFILE = Query(
    "background_profile",
    ("background",),
    f"SELECT task, demand, opening, sampled, COUNT(*) AS n FROM (SELECT {_CODED.format('q', 'answers')}"
    " FROM background q) s"
    " GROUP BY task, demand, opening, sampled",
)
POSTERIORS = Query(
    "posteriors",
    ("candidates", "mixture", "reported"),
    'SELECT c.cluster, c.entity, c.account, c."row", c.ts, c.model, c.task, m.posterior AS mixture_posterior,'
    " m.posterior * r.posterior_scale AS posterior FROM candidates c JOIN reported r ON r.cluster ="
    " c.cluster JOIN mixture m"
    " ON m.cluster = c.cluster AND m.entity = c.entity AND m.task = c.task AND m.demand = c.demand"
    " AND m.opening = c.opening AND m.sampled = c.sampled AND m.held = c.held",
)


def customer_attributes(profiles: pa.Table, background: pa.Table) -> pa.Table:
    """Attributes of a proxy's customers: they select background traffic, unlike the campaign's own attributes.

    profiles: cluster, signal, attribute, features, n. background: features, n among unlinked entities. Returns cluster,
    signal, attribute.

    The customers of a proxy bring prompts of their own, which appear under its accounts just as the campaign's do. The
    campaign's profile starts at the attribute that asks most as harvests do, or, where none does, at the one least like
    the background. It adds every attribute that is not clearly more like the background than like the profile. The
    remaining attributes are the customers'. Where all attributes are of one kind, none remain.
    """
    names = ["cluster", "signal", "attribute"]
    keys = profiles.group_by(names).aggregate([("n", "sum")]).sort_by([(name, "ascending") for name in names])
    features = np.stack([background[f].to_numpy() for f in _FEATURES]) if background.num_rows else np.zeros((4, 0), int)
    weight = background["n"].to_numpy().astype(np.float64)
    of_customers = np.zeros(keys.num_rows, bool)
    for number in np.unique(keys["cluster"].to_numpy()).tolist():
        mine = np.flatnonzero(keys["cluster"].to_numpy() == number)
        if not weight.sum() or len(mine) < 2:
            continue
        # Sorted by columns that do not depend on the key: sums of floats differ in the last digits with their order.
        rows = profiles.filter(pa.array(profiles["cluster"].to_numpy() == number))
        rows = rows.sort_by([(name, "ascending") for name in (*_FEATURES, "n")])
        place = {
            pair: i for i, pair in enumerate(zip(*(keys.take(mine)[n].to_pylist() for n in names[1:]), strict=True))
        }
        attribute = np.array([place[pair] for pair in zip(*(rows[n].to_pylist() for n in names[1:]), strict=True)])
        count = rows["n"].to_numpy().astype(np.float64)
        kinds = np.stack([rows[f].to_numpy() for f in _FEATURES])
        of_customers[mine] = _of_customers(attribute, count, kinds, features, weight)
    return keys.filter(pa.array(of_customers)).select(names)


def _of_customers(
    attribute: np.ndarray, count: np.ndarray, kinds: np.ndarray, background: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Mask over attributes: which resemble the background more than the campaign. attribute: (rows,) of each row."""
    total = np.maximum(np.bincount(attribute, count), 1.0)
    each = [(kinds[:, attribute == t], count[attribute == t]) for t in range(len(total))]
    towards, unlike = (
        np.array([(mine * of(own, mine, background, weight)).sum() for own, mine in each]) / total
        for of in (_towards_harvest, _log_likelihood_ratio)
    )
    # Customers bring agents that are unlike everybody too. What is unlike towards harvest comes first.
    seeds = np.where(total >= _ATTRIBUTE_EXCHANGES, towards if (towards > 0).any() else unlike, -np.inf)
    if not np.isfinite(seeds).any():
        return np.zeros(len(total), bool)
    inside = np.arange(len(total)) == int(np.argmax(seeds))
    # Templates of one harvest differ in how strongly they demand a trace: the profile extends one step beyond its own.
    around = np.concatenate([kinds, *(_nudged(kinds, step) for step in (-1, 1))], axis=1)
    shares = np.repeat([0.5, 0.25, 0.25], len(count))
    for _ in range(_ROUNDS):
        # How much more an exchange of each attribute resembles the profile than the background, in bits.
        ratio = _log_likelihood_ratio(around, shares * np.tile(count * inside[attribute], 3), background, weight)[
            : len(count)
        ]
        odds = np.bincount(attribute, count * ratio) / total
        after = odds > -_CLEARLY
        if (after == inside).all():
            break
        inside = after
    outside: np.ndarray = ~inside
    return outside


def _nudged(kinds: np.ndarray, step: int) -> np.ndarray:
    """The same kinds of exchanges with their demand moved by a step where it is known."""
    moved = kinds.copy()
    demand = moved[_FEATURES.index("demand")]
    moved[_FEATURES.index("demand")] = np.where(demand >= 0, np.clip(demand + step, 0, _MOST_DEMAND), demand)
    return moved


def mixture(
    profiles: pa.Table, background: pa.Table, uses_all: dict[int, bool], outsiders: set[tuple[int, int]]
) -> pa.Table:
    """Posterior of every kind of exchange of every entity, as column `posterior`, 0..1.

    profiles: cluster, entity, features, held (whether the slice holds it), n. background: features, n among unlinked
    entities. uses_all: clusters whose attributes select accounts, not exchanges: all exchanges of their entities count,
    unless a part of them stands out as harvest. outsiders: (cluster, entity) of entities that only share a network with
    a cluster.
    """
    count = profiles["n"].to_numpy().astype(np.float64)
    cluster, entity = profiles["cluster"].to_numpy(), profiles["entity"].to_numpy()
    in_slice = profiles["held"].to_numpy(zero_copy_only=False)
    features = np.stack([profiles[f].to_numpy() for f in _FEATURES]) if len(count) else np.zeros((4, 0), int)
    usual = np.stack([background[f].to_numpy() for f in _FEATURES]) if background.num_rows else np.zeros((4, 0), int)
    weight = background["n"].to_numpy().astype(np.float64)
    posterior = np.zeros(len(count))
    for number in np.unique(cluster).tolist():
        rows = np.flatnonzero(cluster == number)
        outside = np.array([(number, int(e)) in outsiders for e in entity[rows]], bool)
        if uses_all[number]:
            mixed = _harvested_part(entity[rows], count[rows], features[:, rows], usual, weight)
        else:
            log_ratio = _log_likelihood_ratio(features[:, rows], count[rows] * in_slice[rows], usual, weight)
            mixed = _mix(entity[rows], count[rows], in_slice[rows], np.minimum(log_ratio, _MOST_LOG_RATIO))
        # A neighbour shares a prompt with the campaign; that does not make its exchanges the campaign's.
        posterior[rows] = np.where(outside, _NEIGHBOUR, mixed)
    return profiles.append_column("posterior", pa.array(posterior)).drop_columns(["n"])


def told_by(mixture: pa.Table, uses_all: Mapping[int, bool]) -> dict[int, str]:
    """What told the exchanges of each cluster apart, one of TOLD_BY. mixture: columns `cluster` and `posterior`."""
    cluster, posterior = mixture["cluster"].to_numpy(), mixture["posterior"].to_numpy()
    parted = set(cluster[(posterior != _WHOLE) & (posterior != _NEIGHBOUR)].tolist())
    by_attributes, by_shape, by_accounts = TOLD_BY
    return {
        c: (by_shape if c in parted else by_accounts) if uses_all[c] else by_attributes
        for c in np.unique(cluster).tolist()
    }


def _log_likelihood_ratio(
    kinds: np.ndarray, slice_count: np.ndarray, background: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Sum over features of the bounded log-likelihood ratio of the slice against the background, in bits.

    Values that a log does not tell (below 0) are neutral, on both sides: traffic of which less is known is no other
    kind of traffic.
    """
    return sum(_ratios(kinds, slice_count, background, weight).values(), np.zeros(kinds.shape[1]))


def _towards_harvest(
    kinds: np.ndarray, slice_count: np.ndarray, background: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """The same in the direction of a harvest: more demand, first turns, several answers. The opposite counts against.

    Which task it is has no direction.
    """
    total = np.zeros(kinds.shape[1])
    for feature, ratio in _ratios(kinds, slice_count, background, weight).items():
        if feature == "task":
            continue
        place = _FEATURES.index(feature)
        usual = background[place] >= 0
        mean = np.average(background[place][usual], weights=weight[usual]) if weight[usual].sum() else 0.0
        total += np.where(kinds[place] > mean, ratio, -np.maximum(ratio, 0.0))
    return total


def _ratios(
    kinds: np.ndarray, slice_count: np.ndarray, background: np.ndarray, weight: np.ndarray
) -> dict[str, np.ndarray]:
    """The bounded log-likelihood ratio of the slice against the background by feature, in bits; 0 for untold values."""
    found: dict[str, np.ndarray] = {}
    if not weight.sum():
        return found
    for feature, ours, theirs in zip(_FEATURES, kinds, background, strict=True):
        told, usual = ours >= 0, theirs >= 0
        if not slice_count[told].sum() or not (weight[usual].sum() or feature == "demand"):
            continue
        values = np.unique(np.concatenate([ours[told], theirs[usual], _DEMANDS if feature == "demand" else theirs[:0]]))
        place = np.searchsorted(values, ours[told])
        beside = _PEOPLES_DEMAND if feature == "demand" else 1
        other = np.bincount(np.searchsorted(values, theirs[usual]), weight[usual], len(values)) + beside
        other = other / other.sum()
        # Drawn to the background, so that a value which neither has seen speaks for nothing.
        mine = np.bincount(place, slice_count[told], len(values)) + len(values) * other
        ratio = np.log2(mine / mine.sum()) - np.log2(other)
        found[feature] = np.zeros(len(ours))
        found[feature][told] = np.clip(ratio, -_MOST_FEATURE, _MOST_FEATURE)[place]
    return found


def _harvested_part(
    entity: np.ndarray, count: np.ndarray, kinds: np.ndarray, background: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Posteriors in a cluster of which no attribute selects exchanges: those of the part that stands out as harvest.

    kinds: (features, rows). The part starts at what is clearly towards harvest, and is fitted by expectation
    maximisation with a mixing share per entity. Kinds that are not towards harvest say nothing for it, and
    shape it only where they clearly belong to it: customers differ from the background too. Where no part is plainly
    towards harvest, nothing tells exchanges apart and all of them are the operator's.
    """
    _, place = np.unique(entity, return_inverse=True)
    total = np.bincount(place, count)
    # Kinds are few, and entities that send them may be many.
    kinds, of = np.unique(kinds, axis=1, return_inverse=True)
    of = of.reshape(-1)
    towards = _towards_harvest(kinds, np.bincount(of, count), background, weight)
    posterior = (towards > _CLEARLY).astype(np.float64)[of]
    shaping = np.bincount(of, count * posterior)
    for _ in range(2 * _ROUNDS):
        if not shaping.any():
            break
        towards = _towards_harvest(kinds, shaping, background, weight)
        ratio = _log_likelihood_ratio(kinds, shaping, background, weight)
        ratio = np.where(towards > 0, ratio, np.minimum(ratio, 0.0))
        overall = (count * posterior).sum() / count.sum()
        share = (np.bincount(place, count * posterior) + _PRIOR_WEIGHT * overall) / (total + _PRIOR_WEIGHT)
        odds = np.exp2(ratio)[of] * share[place]
        posterior = odds / (odds + 1 - share[place])
        shaping = np.bincount(of, count * posterior) * (ratio > _CLEARLY)
    found = np.bincount(of, count * posterior)
    plain = shaping.any() and (found * towards).sum() >= _PLAINLY * found.sum()
    return posterior if plain else np.full(len(count), _WHOLE)


def _mix(entity: np.ndarray, count: np.ndarray, in_slice: np.ndarray, log_ratio: np.ndarray) -> np.ndarray:
    """Posteriors by expectation maximisation (Dempster, Laird and Rubin 1977).

    Two things are estimated: each entity's mixing share, with a prior at the share of its slice, and, over the whole
    cluster, how much of the harvest carries its attributes at all. The second separates paraphrase from cover traffic:
    where nearly everything outside the slice looks like the background, the log-likelihood ratio there weighs little.
    """
    _, place = np.unique(entity, return_inverse=True)
    total = np.bincount(place, count)
    prior = (np.bincount(place, count * in_slice) + 0.5) / (total + 1)
    share, caught = prior.copy(), 0.5
    posterior = np.zeros(len(count))
    for _ in range(_ROUNDS):
        ratio = np.where(in_slice, _IN_SLICE + np.log2(caught), log_ratio + np.log1p(-caught) * _NATURAL)
        odds = np.exp2(ratio) * share[place]
        posterior = odds / (odds + 1 - share[place])
        share = (np.bincount(place, count * posterior) + _PRIOR_WEIGHT * prior) / (total + _PRIOR_WEIGHT)
        caught = ((count * posterior * in_slice).sum() + 1) / ((count * posterior).sum() + 2)
    # A mixture posterior alone convicts nobody: without some exchanges that carry the attributes themselves, it stays a
    # suspicion. Where the usual entity that has any has fewer than are asked for, as many as that are enough.
    carried = np.bincount(place, count * in_slice)
    usual = np.median(carried)
    shown = carried >= np.clip(usual, 1, FLOOR_EXCHANGES)
    return np.where(shown[place] | in_slice, posterior, np.minimum(posterior, _SUSPICION))
