"""The shape of a linking channel: which tokens accounts have in common, and how far one token may be trusted."""

from __future__ import annotations

from typing import NamedTuple

from clonewatch.ports.channel import Channel
from clonewatch.ports.engine import Step


class Link(NamedTuple):
    """A linking channel. One file on the shelf, ending with `LINK = ...`.

    sql: SELECT entity, token (int64), n (exchanges that carry it; 0 for account facts), and, where tokens are hashed,
    first (the first row or account that carries it: a key changes hashes, so nothing may be ordered by them). reads:
    tables it selects from.
    cap: the most bans one token may weigh. weak: it can only corroborate; parties that share nothing else are not
    linked at all. exclusive: honest strangers never share it at all, so that a handful of
    users is already a link (an instrument, a device, a key). column: the staged exchange column that holds the token,
    so that the exchanges carrying it can be found again; empty for account facts.
    content: the token describes what was asked, so that it can single out harvested exchanges inside an account.
    own_null: the channel has ruled out chance by itself, so its tokens are weighed by scarcity.
    hashed: tokens are keyed hashes; False where they are small numbers of our own.
    steps: run before `sql`, for channels that need more than one SELECT.
    """

    channel: Channel
    sql: str
    reads: tuple[str, ...]
    cap: float = 8.0
    weak: bool = False
    exclusive: bool = False
    column: str = ""
    content: bool = False
    own_null: bool = False
    hashed: bool = True
    steps: tuple[Step, ...] = ()
