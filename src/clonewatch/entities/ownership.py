"""Who counts as one entity, and which entities are trusted.

Accounts under one *declared* organisation are one entity: overt sharing exculpates. The trusted set holds the entities
that the provider trusts. Every linking attribute is weighed by how many of its users are trusted, so their share is
always stated.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.ports.engine import Fold, Query, Step

_MOST_ACCOUNTS = 50_000_000
_DAY = 86_400_000_000
# Below this many trusted entities, their share shows nothing. An account this old when the window begins is "aged".
_FEWEST_TRUSTED = 20
_AGED_DAYS = 90
# Entities with this many gaps show a rhythm. The burstier half of them is trusted, if that is enough of all entities.
_ENOUGH_GAPS = 10
_BURSTY, _LEAST_TRUST = 0.5, 0.02
# Entities, fewest and most, on one instrument or device that are doubtfully unrelated; more share it by accident.
_DOUBTED = (2, 16)
# Nobody vouches for those whose trust is inferred, so that crowds on one instrument or device are doubted too.
_CROWDED = (17, _MOST_ACCOUNTS)
# Where the provider trusts a smaller share of entities, even a large pool without one of them is no surprise.
FEW_TRUSTED = 0.1


class TrustedSet(NamedTuple):
    """Where the trusted set came from and its share of all entities, 0..1.

    source: "declared" by the provider; "behaviour": inferred, entities that work in bursts, as people do, and whose
    accounts are old where their age is known; "none". number: trusted entities.
    """

    source: str
    share: float
    number: int


STEPS: tuple[Step, ...] = (
    # An account that names several organisations belongs to the one it names most often; of equals, to the earlier.
    Query(
        "account_orgs",
        ("exchanges",),
        "SELECT account, org FROM (SELECT account, org, ROW_NUMBER() OVER (PARTITION BY account"
        ' ORDER BY COUNT(*) DESC, MIN(ts), MIN("row")) AS place FROM exchanges WHERE org IS NOT NULL'
        " GROUP BY account, org) s WHERE place = 1",
    ),
    Query(
        "activity",
        ("exchanges", "account_orgs"),
        "SELECT a.account, a.first_ts, a.last_ts, a.n, o.org FROM (SELECT account, MIN(ts) AS first_ts,"
        " MAX(ts) AS last_ts, COUNT(*) AS n FROM exchanges GROUP BY account) a"
        " LEFT JOIN account_orgs o ON o.account = a.account",
    ),
    Fold("owners", ("accounts", "activity"), lambda accounts, activity: owners(accounts, activity), _MOST_ACCOUNTS),
    Fold(
        "entity_facts",
        ("accounts", "activity", "owners"),
        lambda accounts, activity, owned: entity_facts(accounts, activity, owned),
        _MOST_ACCOUNTS,
    ),
)
# Where the provider named too few trusted accounts: which entities work in bursts.
RHYTHM: tuple[Step, ...] = (
    Query(
        "entity_gaps",
        ("exchanges", "owners"),
        'SELECT o.entity, x.ts - LAG(x.ts) OVER (PARTITION BY o.entity ORDER BY x.ts, x."row") AS gap FROM exchanges x'
        " JOIN owners o ON o.account = x.account",
    ),
    Query(
        "entity_means",
        ("entity_gaps",),
        "SELECT entity, AVG(gap) AS mean, COUNT(gap) AS n FROM entity_gaps WHERE gap IS NOT NULL"
        f" GROUP BY entity HAVING COUNT(gap) >= {_ENOUGH_GAPS} AND AVG(gap) > 0",
    ),
    Query(
        "entity_rhythm",
        ("entity_gaps", "entity_means"),
        "SELECT m.entity, AVG(CASE WHEN g.gap < 0.1 * m.mean THEN 1.0 ELSE 0.0 END) AS short FROM entity_gaps g"
        " JOIN entity_means m ON m.entity = g.entity WHERE g.gap IS NOT NULL GROUP BY m.entity",
    ),
)
DECLARED: Step = Fold(
    "entities", ("entity_facts", "owners", "accounts"), lambda p, o, a: withdraw_trust(p, o, a), _MOST_ACCOUNTS
)
# Where the provider trusts too few to show much, entities that work in bursts form a second, weaker trusted set.
BOTH: Step = Fold(
    "entities",
    ("entity_facts", "owners", "accounts", "entity_rhythm"),
    lambda p, o, a, r: with_second_set(withdraw_trust(p, o, a), withdraw_trust(trust_by_rhythm(p, r), o, a, _CROWDED)),
    _MOST_ACCOUNTS,
)
BEHAVIOUR: Step = Fold(
    "entities",
    ("entity_facts", "owners", "accounts", "entity_rhythm"),
    lambda p, o, a, r: withdraw_trust(trust_by_rhythm(p, r), o, a, _CROWDED),
    _MOST_ACCOUNTS,
)


def owners(accounts: pa.Table, activity: pa.Table) -> pa.Table:
    """The entity of every account with exchanges: account, entity (int32).

    Entities are numbered by what they did (first and last exchange, volume), never by their names. So renaming accounts
    or reading the log in another order changes nothing.
    """
    active = activity.sort_by("account")
    code = active["account"].to_numpy()
    facts = accounts.sort_by("account").take(pa.array(code))
    org = pc.coalesce(facts["org"], active["org"])
    overt = pc.fill_null(facts["org_declared"], True)
    group = pc.if_else(overt, org, None).combine_chunks()
    first, last, n = (active[c].to_numpy().copy() for c in ("first_ts", "last_ts", "n"))
    entity = np.arange(len(code))
    shared = ~pc.is_null(group).to_numpy(zero_copy_only=False)
    if shared.any():
        _, begin, inverse = np.unique(group.drop_null().to_numpy(), return_index=True, return_inverse=True)
        entity[shared] = len(code) + begin[inverse]  # by their first account, never by the value of a hash
    _, entity = np.unique(entity, return_inverse=True)
    size = int(entity.max()) + 1 if len(entity) else 0
    starts, ends, volume = np.full(size, np.iinfo(np.int64).max), np.zeros(size, np.int64), np.zeros(size, np.int64)
    np.minimum.at(starts, entity, first)
    np.maximum.at(ends, entity, last)
    np.add.at(volume, entity, n)
    rank = np.empty(size, np.int32)
    rank[np.lexsort((volume, ends, starts))] = np.arange(size, dtype=np.int32)
    return pa.table({"account": pa.array(code, pa.int32()), "entity": pa.array(rank[entity], pa.int32())})


def entity_facts(accounts: pa.Table, activity: pa.Table, owned: pa.Table) -> pa.Table:
    """One row per entity: when it began and ended, how much it did, and whether it is trusted or exempt.

    anchor: trusted by the provider; 0 for all where there are too few. second: in the second, weaker trusted set, where
    there is one. aged: created well before the window. exempt: the contract allows training on outputs. declared: its
    use is declared.
    """
    owned = owned.sort_by("account")
    facts = accounts.sort_by("account").take(owned["account"].combine_chunks())
    active = activity.sort_by("account")
    entity = owned["entity"].to_numpy()
    size = int(entity.max()) + 1 if len(entity) else 0
    first = _by(np.minimum, entity, active["first_ts"].to_numpy(), size, np.iinfo(np.int64).max)
    last = _by(np.maximum, entity, active["last_ts"].to_numpy(), size, 0)
    created = facts["created"]
    known = ~pc.is_null(created).combine_chunks().to_numpy(zero_copy_only=False)
    born = np.where(known, pc.fill_null(created, 0).to_numpy(), np.iinfo(np.int64).max)
    birth = _by(np.minimum, entity, born, size, np.iinfo(np.int64).max)
    marked = _any(entity, facts["anchor"], size)
    begin = int(first.min()) if size else 0
    usable = _usable(marked)
    return pa.table(
        {
            "entity": pa.array(np.arange(size, dtype=np.int32)),
            "first_ts": first,
            "last_ts": last,
            "created": pa.array(birth, mask=birth == np.iinfo(np.int64).max),
            "n": _by(np.add, entity, active["n"].to_numpy(), size, 0),
            "accounts": np.bincount(entity, minlength=size).astype(np.int32),
            "aged": pa.array(birth < begin - _AGED_DAYS * _DAY),
            "anchor": pa.array((marked & usable).astype(np.int8)),
            "exempt": pa.array(_any(entity, facts["training_permitted"], size)),
            "declared": pa.array(_any(entity, pc.is_valid(facts["declared_use"]), size)),
            "second": pa.array(np.zeros(size, np.int8)),
            "trust_source": pa.array(np.full(size, int(usable), np.int8)),
        }
    )


def withdraw_trust(
    table: pa.Table, owned: pa.Table, accounts: pa.Table, doubted: tuple[int, int] = _DOUBTED
) -> pa.Table:
    """The entities table, with trust withdrawn from entities that share an instrument or a device with unrelated ones.

    Bought accounts are aged and verified too, but their operator pays for several with one card. Overt customers keep
    their trust, and so do the users of what more entities share than `doubted` says, its fewest and its most: a card
    brand or a cheap phone. Where more than half of the trusted entities would lose trust, sharing is usual in this log
    and nobody loses it.
    """
    table, owned, accounts = table.sort_by("entity"), owned.sort_by("account"), accounts.sort_by("account")
    trusted = table["anchor"].to_numpy() > 0
    overt = table["declared"].to_numpy(zero_copy_only=False)
    facts = accounts.take(owned["account"].combine_chunks())
    lost = np.zeros(table.num_rows, bool)
    for fact in ("payment", "device"):
        known = pc.is_valid(facts[fact]).to_numpy(zero_copy_only=False)
        pair = np.stack(
            [facts[fact].filter(pa.array(known)).to_numpy().astype(np.int64), owned["entity"].to_numpy()[known]]
        )
        attribute, entity = np.unique(pair, axis=1)
        attribute, entity = attribute[~overt[entity]], entity[~overt[entity]]
        _, at, users = np.unique(attribute, return_inverse=True, return_counts=True)
        trusted_users = np.bincount(at, trusted[entity], len(users))
        doubtful = (users >= doubted[0]) & (users <= doubted[1]) & (2 * trusted_users <= users)
        lost[entity[doubtful[at]]] = True
    kept = trusted & ~lost
    if 2 * kept.sum() < trusted.sum():
        kept = trusted
    place = table.column_names.index("anchor")
    return table.set_column(place, "anchor", pa.array(kept.astype(np.int8)))


def with_second_set(named: pa.Table, inferred: pa.Table) -> pa.Table:
    """The entities table with a second trusted set: the inferred one and the provider's own together."""
    named, inferred = named.sort_by("entity"), inferred.sort_by("entity")
    either = (inferred["anchor"].to_numpy() > 0) | (named["anchor"].to_numpy() > 0)
    usable = inferred["trust_source"][0].as_py() > 0 if named.num_rows else False
    place = named.column_names.index("second")
    return named.set_column(place, "second", pa.array((either & usable).astype(np.int8)))


def trust_by_rhythm(table: pa.Table, rhythm: pa.Table) -> pa.Table:
    """The entities table with trust inferred: entities that work in bursts, and are old where ages are known.

    A queue that feeds many accounts has no bursts, so its accounts are rarely trusted; the users of an app, a
    class or a fleet are trusted as often as anyone. Clusters linked by this trust are never tested on their pace too.
    """
    table = table.sort_by("entity")
    short = np.full(table.num_rows, -1.0)
    short[rhythm["entity"].to_numpy()] = rhythm["short"].to_numpy()
    bursty = short >= (np.quantile(short[short >= 0], _BURSTY) if (short >= 0).any() else 2.0)
    aged = table["aged"].to_numpy(zero_copy_only=False)
    known = table["created"].null_count < table.num_rows
    trusted = bursty & aged if known and _usable(bursty & aged) else bursty
    usable = _usable(trusted) and trusted.mean() >= _LEAST_TRUST
    place = table.column_names.index("anchor")
    table = table.set_column(place, "anchor", pa.array((trusted & usable).astype(np.int8)))
    source = pa.array(np.full(table.num_rows, 2 * int(usable), np.int8))
    return table.set_column(table.column_names.index("trust_source"), "trust_source", source)


def trusted_set(table: pa.Table) -> TrustedSet:
    """The trusted set of an `entities` table."""
    if not table.num_rows:
        return TrustedSet("none", 0.0, 0)
    count = int(pc.sum(table["anchor"]).as_py())
    source = ("none", "declared", "behaviour")[table["trust_source"][0].as_py()]
    return TrustedSet(source, count / table.num_rows, count)


def _usable(flags: np.ndarray) -> bool:
    """Whether a trusted set is neither too small nor too large to weigh attributes by."""
    share = flags.mean() if len(flags) else 0.0
    return bool(flags.sum() >= _FEWEST_TRUSTED and 0.005 <= share <= 0.98)


def _by(operation: np.ufunc, entity: np.ndarray, values: np.ndarray, size: int, start: int) -> np.ndarray:
    out = np.full(size, start, np.int64)
    operation.at(out, entity, values)
    return out


def _any(entity: np.ndarray, flags: pa.ChunkedArray, size: int) -> np.ndarray:
    out = np.zeros(size, bool)
    np.logical_or.at(out, entity, pc.fill_null(flags, False).combine_chunks().to_numpy(zero_copy_only=False))
    return out
