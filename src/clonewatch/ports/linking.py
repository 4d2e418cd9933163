"""The interface of a linking signal: which attributes accounts share, and how much one attribute may weigh."""

from __future__ import annotations

from math import log2
from typing import NamedTuple

from clonewatch.ports.engine import Step
from clonewatch.ports.signal import Signal

# No attribute weighs more than one in a hundred million, and no signal links an entity by more.
MOST_BITS = log2(100_000_000)


class ChanceModel(NamedTuple):
    """How a signal rules out chance by itself, without trusted accounts.

    ruling: what that means for the innocent explanation, in a sentence. table: what its steps found beside what chance
    gives; its rows go into `scan.json` and the report, sorted by its first column. caption: what those rows show.
    """

    ruling: str
    table: str
    caption: str


class LinkingSignal(NamedTuple):
    """A linking signal. One file in `links/signals/` that ends with `SIGNAL = ...`.

    sql: SELECT entity, attribute (int64), n (exchanges that carry it; 0 for account facts). reads: tables it selects
    from. cap: the most bits one attribute may weigh: one in 10,000 is log2(10_000). weak: it can only corroborate;
    entities that share nothing else are not linked at all. exclusive: unrelated honest accounts never share it, so that
    a handful of users is already a link (a payment instrument, a device, a key). column: the staged exchange column
    that holds the attribute, so that the exchanges carrying it can be found again; empty for account facts. content:
    the attribute describes what was asked, so that it can single out harvested exchanges inside an account. app: an
    application, or whoever employs its users, brings it along, so that all of them share it, whoever they are.
    deceptive: sharing it under unrelated names is itself deceptive; never true of a weak signal. route: it describes
    how requests arrived; customers of the same proxy share it too. payer: it is what pays for an account. employer:
    whoever employs people may give it to them. successor: it ties an account to a banned one that it replaces.
    own_null: the signal rules out chance by itself, so its attributes are weighed by scarcity. hashed: attributes are
    keyed hashes; False where they are small numbers of our own. steps: run before `sql`, for signals that need more
    than one SELECT.
    """

    signal: Signal
    sql: str
    reads: tuple[str, ...]
    cap: float = MOST_BITS
    weak: bool = False
    exclusive: bool = False
    column: str = ""
    content: bool = False
    app: bool = False
    deceptive: bool = False
    route: bool = False
    payer: bool = False
    employer: bool = False
    successor: bool = False
    own_null: ChanceModel | None = None
    hashed: bool = True
    steps: tuple[Step, ...] = ()
