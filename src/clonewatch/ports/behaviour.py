"""The interface of a behavioural test: a statistic of a cluster's slice, and its values in reference communities."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from clonewatch.ports.engine import Step
from clonewatch.ports.signal import Signal


class Dealing(Enum):
    """What a test shows of work that is dealt out. All three together are deceptive: nobody's own work looks like that.

    SHARES: unrelated accounts get equal shares of it, or have no habits of their own in it. PURPOSE: it is shaped for
    training. MACHINE: it arrives at a machine's pace, or is spread evenly over a list of topics.
    """

    SHARES = "shares"
    PURPOSE = "purpose"
    MACHINE = "machine"


class BehaviouralTest(NamedTuple):
    """A behavioural test. One file in `behaviour/tests/` that ends with `TEST = ...`.

    steps: end with the table `behaviour_<name>`: cluster, value, error (standard error of value), n (observations). A
    cluster without a row, or with a null value, is neutral: a missing statistic never counts.
    usual, spread: what reference communities show (median, robust sd); a log's own reference communities replace them.
    effect: a value is evidence only this far above `usual`. against: a value counts against only this far below it;
    None where a low value means nothing. least: observations below which the test is neutral.
    most, most_against: most bits for and against; fewer where innocent twins, or narrow campaigns, are common.
    certifies_above: where set, a value is evidence only if it is also three standard errors above this bound, which
    independent behaviour cannot exceed.
    in_bits: the value is already a log-likelihood ratio in bits; it is capped, and not compared with communities.
    says: the measurement in a sentence, with {value}, {usual}, {n} and the placeholders of `campaigns.sentences`.
    denies: the same where it speaks against a group; needed with `against`, unless `in_bits`.

    What it means beside other tests:
    deceptive: what it shows is deceptive by itself. deceptive_with: only as far as this family is evidence too.
    one_customer: one customer whose people have a name each shows it too. Where one payer pays for all, it is deceptive
    only as far as a `broad` test is evidence. broad: it shows work that is broader than any one customer's.
    extraction: what it shows is a pattern of extraction, the highest step of the evidence ladder.
    dealing: what it shows of work that is dealt out, if anything.
    supporting: it adds nothing to the sum, because an honest back end saturates it. It supports what other tests show,
    and counts as a family only beside a test of PURPOSE.
    overrules: where it is evidence, evidence against from other tests of its family is ignored.
    explained_by: a linking signal. Where it links the group clearly, a low value has another reason and says nothing.
    gathered_by: a linking signal that gathers accounts by what the test measures. Where it ties the group, the test
    says nothing.
    against_needs_topics: without topics in the log a low value means nothing.
    confounded: it measures what trust is inferred from, so it is ignored where trust was inferred.
    """

    signal: Signal
    steps: tuple[Step, ...]
    usual: float
    spread: float
    effect: float
    says: str
    denies: str = ""
    against: float | None = None
    least: int = 20
    most: float = 8.0
    most_against: float = 8.0
    certifies_above: float | None = None
    in_bits: bool = False
    deceptive: bool = False
    deceptive_with: str = ""
    one_customer: bool = False
    broad: bool = False
    extraction: bool = False
    dealing: Dealing | None = None
    supporting: bool = False
    overrules: bool = False
    explained_by: str = ""
    gathered_by: str = ""
    against_needs_topics: bool = False
    confounded: bool = False
