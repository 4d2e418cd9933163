"""The shape of a behavioural test: a statistic of a cluster's slice, and what reference communities show."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from clonewatch.ports.engine import Step
from clonewatch.ports.signal import Signal


class Dealing(Enum):
    """What a test shows of work that is dealt out. All three together are a deception: nobody's own work is like that.

    SHARES: unrelated names get equal shares of it. PURPOSE: it is shaped for training. MACHINE: it comes at a machine's
    pace, or spread evenly over a list of topics.
    """

    SHARES = "shares"
    PURPOSE = "purpose"
    MACHINE = "machine"


class BehaviouralTest(NamedTuple):
    """A behavioural test. One file on the shelf, ending with `TEST = ...`.

    steps: end with the table `behaviour_<name>`: cluster, value, error (standard error of value), n (observations). A
    cluster without a row, or with a null value, is neutral: a missing statistic is never a high one.
    usual, spread: what reference communities show (median, robust sd); a log's own reference communities replace them.
    effect: a value is evidence only this far above the usual. against: and evidence the other way this far below it;
    None where a low value means nothing. least: observations below which the test stays neutral.
    most, most_against: bits it may give either way; fewer where innocent twins, or narrow campaigns, abound.
    certifies_above: where set, a value is evidence only if it also lies three standard errors above this bound, which
    no independent behaviour can pass.
    in_bits: the value is a log likelihood ratio in bits already; it is capped, and not compared with communities.
    says: the measurement in a sentence, with {value}, {usual}, {n} and what `campaigns.words` offers.

    What it means beside other tests:
    deceptive: what it shows is by itself a deception. deceptive_with: only as far as this family speaks too.
    extraction: what it shows is a pattern of extraction, the highest step of the evidence ladder.
    dealing: what it shows of work that is dealt out, if anything.
    overrules: where it speaks, evidence against by other tests of its family is set aside.
    against_needs_topics: without topics in the log a low value means nothing.
    confounded: it measures what trust is inferred from, so it is not heard where trust was inferred.
    """

    signal: Signal
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
    deceptive: bool = False
    deceptive_with: str = ""
    extraction: bool = False
    dealing: Dealing | None = None
    overrules: bool = False
    against_needs_topics: bool = False
    confounded: bool = False
