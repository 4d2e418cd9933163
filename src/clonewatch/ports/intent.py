"""The shape of an intent channel: a statistic of a cluster's slice, and what honest communities show."""

from __future__ import annotations

from typing import NamedTuple

from clonewatch.ports.channel import Channel
from clonewatch.ports.engine import Step


class Intent(NamedTuple):
    """An intent channel. One file on the shelf, ending with `INTENT = ...`.

    steps: end with the table `intent_<name>`: cluster, value, error (standard error of value), n (observations). A
    cluster without a row, or with a null value, is neutral: a missing statistic is never a high one.
    usual, spread: what honest communities show (median, robust sd); a log's own honest communities replace them.
    effect: a value is evidence only this far above the usual. against: and evidence the other way this far below it;
    None where a low value means nothing. least: observations below which the channel stays neutral.
    most, most_against: bits it may give either way; fewer where innocent twins, or narrow campaigns, abound.
    certifies_above: where set, a value is evidence only if it also lies three standard errors above this bound, which
    no independent behaviour can pass.
    in_bits: the value is a log likelihood ratio in bits already; it is capped, and not compared with communities.
    says: the measurement in a sentence, with {value}, {usual} and {n}.
    """

    channel: Channel
    steps: tuple[Step, ...]
    usual: float
    spread: float
    effect: float
    says: str
    against: float | None = None
    least: int = 20
    most: float = 8.0
    most_against: float = 8.0
    certifies_above: float | None = None
    in_bits: bool = False
