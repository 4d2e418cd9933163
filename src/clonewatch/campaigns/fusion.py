"""Evidence fused into a verdict: families count, not signals, and evidence against is subtracted.

Each behavioural test has an innocent twin that saturates it, so no test convicts alone. A cluster is flagged when its
entities are covertly linked, enough independent families of tests agree, and the sum, less the evidence against,
reaches its threshold. How a signal combines with the others is declared in its own file.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import log2
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from scipy.special import log_ndtr

from clonewatch.ports.behaviour import BehaviouralTest, Dealing
from clonewatch.ports.linking import LinkingSignal

# A family counts when its best test is this surprising among reference communities (about one in twenty).
FAMILY_BITS = 4.5
# Families that must count, by the source of trust. With inferred trust, machines of any kind are linked, so one more is
# required.
LEAST_FAMILIES = {"declared": 3, "behaviour": 3, "none": 2}
# Sum over families of tests, less the evidence against, in bits: two families of nearly full strength.
FLAG_BITS = 12.0
# An excess counts in full from a test's least effect on, and not at all up to this share of it. Between them it counts
# in proportion: a campaign must not be lost by a hundredth. Innocent twins are seldom beyond it.
_RAMP = 0.75
# From this many on, the log's own reference communities replace the shipped reference.
FEWEST_REFERENCES = 8
_DIGITS = 9
# Bits by which the linking families must link the average entity to the rest: one in a thousand, as many are tried.
LINK_BITS = round(log2(1_000), _DIGITS)
# A fact of deception must be significant at one in ten; what makes it a fact is its test's least effect.
FACT_BITS = 3.3
# To be reported without a flag: shared things must link the average entity at one in ten at least.
LEAST_LINK_BITS = round(log2(10), _DIGITS)
# What the sum of families has beyond its own threshold supports a linkage that falls short: strangers whom a weak link
# gathers by chance do not agree in what they do. Its tests are not independent, so half of it counts for being reported
# and a quarter for a flag, for which it stands in for a quarter of the linkage at most.
_TO_REPORT, _TO_FLAG, _MOST_TO_FLAG = 0.5, 0.25, round(LINK_BITS / 4, _DIGITS)
# A group that is half way to a flag in every criterion is reported too.
_HALF_WAY = 0.5
_COVERT = round(log2(10) / 2, _DIGITS)  # bits by which a deceptive link must link the average entity
_HALF = 0.5  # threshold ratio of linkage, at most, for a group that lacks a required kind of link
# The name of the deception that no single signal shows: work dealt out in equal shares (`ports.behaviour.Dealing`).
DEALT_OUT = "dealt out"


class Reading(NamedTuple):
    """One test's value for one cluster, and what reference communities show."""

    cluster: int
    signal: str
    family: str
    value: float
    error: float
    n: int
    usual: float
    spread: float
    references: int
    bits: float


class Criteria(NamedTuple):
    """The four criteria of a flag, each in units of its threshold: 1 where it is just met.

    >>> Criteria(1.7, 1.8, 0.4, 2.5).limiting
    'sum_of_families'
    """

    linkage: float = 0.0
    third_family: float = 0.0
    sum_of_families: float = 0.0
    deception: float = 0.0

    @property
    def limiting(self) -> str:
        """The name of the criterion with the smallest ratio; of equal ones, the first."""
        return self._fields[self.index(min(self))]


class Verdict(NamedTuple):
    """The evidence on one cluster, summed up. bits: families of tests less evidence against. link_bits: linkage.

    deception: the facts that show entities posing as unrelated; without one nothing is flagged. threshold_ratio: that
    of the limiting criterion, 1 where all criteria are just met: the one number by which groups are compared with
    calibration groups. extraction: a test that shows an extraction pattern counts. criteria: all four threshold ratios.
    strengths: (family, bits) of the families of tests that are added up to `bits`, evidence against left aside.
    """

    cluster: int
    bits: float
    link_bits: float
    families: tuple[str, ...]
    links: tuple[tuple[str, str, float], ...]
    readings: tuple[Reading, ...]
    deception: tuple[str, ...]
    threshold_ratio: float
    flagged: bool
    extraction: bool = False
    criteria: Criteria = Criteria()
    strengths: tuple[tuple[str, float], ...] = ()

    @property
    def linked(self) -> bool:
        """Whether it is reported: well linked, or linked by less and plain in behaviour, or half way to a flag.

        Where few accounts are trusted, the rarity of a shared thing says little, whoever shares it. That is no reason
        to say nothing of a group, and none to flag it.
        """
        support = _TO_REPORT * _surplus(self.bits) if round(self.link_bits, _DIGITS) >= LEAST_LINK_BITS else 0.0
        half_way = min(self.link_bits / LINK_BITS, *self.criteria[1:]) >= _HALF_WAY
        return round(self.link_bits + support, _DIGITS) >= LINK_BITS or half_way

    @property
    def posterior_scale(self) -> float:
        """Factor on the posteriors of its exchanges, 0..1: 1 once flagged, else below one half."""
        return 1.0 if self.flagged else min(0.49, 0.5 * float(2.0 ** min(0.0, self.bits - FLAG_BITS)))

    @property
    def level(self) -> str:
        """Level of the evidence ladder: L0 one signal, L1 linked, L2 coordinated evasion, L3 extraction pattern."""
        if not self.flagged:
            return "L1" if self.linked else "L0"
        return "L3" if self.extraction and len(self.families) >= 3 else "L2"


def measure_tests(
    tables: Mapping[str, pa.Table], tests: Sequence[BehaviouralTest], first_reference: int
) -> list[Reading]:
    """Every test's value for every cluster and community, in bits against the reference communities of this log.

    tables: of each test, its rows of cluster, value, error, n. first_reference: the lowest number of a community.
    """
    readings = []
    for test in tests:
        table = tables[test.signal.name]
        cluster, value, error, n = (
            table[c].to_numpy(zero_copy_only=False).astype(np.float64) for c in ("cluster", "value", "error", "n")
        )
        # Sums of floats differ in the last digits with the number of threads; equal runs must give equal bytes.
        value, error = np.round(value, _DIGITS), np.round(error, _DIGITS)
        fit = np.isfinite(value) & np.isfinite(error) & (n >= test.least)
        references = value[fit & (cluster >= first_reference)]
        usual, spread = test.usual, test.spread
        if len(references) >= FEWEST_REFERENCES and not test.in_bits:
            usual = float(np.median(references))
            # Where the reference communities of a log happen to agree, not every deviation is remarkable.
            spread = max(0.5 * test.spread, 1.4826 * float(np.median(np.abs(references - usual))))
        for i in np.flatnonzero(fit).tolist():
            bits = strength(value[i] - usual, float(np.hypot(spread, error[i])), test)
            bound = test.certifies_above
            if bits > 0 and bound is not None and value[i] < bound + 3 * error[i]:
                bits = 0.0
            readings.append(
                Reading(
                    int(cluster[i]),
                    test.signal.name,
                    test.signal.card.family,
                    float(value[i]),
                    float(error[i]),
                    int(n[i]),
                    usual,
                    spread,
                    len(references),
                    bits,
                )
            )
    return readings


def strength(excess: float, spread: float, test: BehaviouralTest) -> float:
    """Bits of evidence in a value that is `excess` above the usual; negative bits are evidence against.

    Significance alone is not enough: the excess must also come near the test's least effect.
    """
    if test.in_bits:
        bits = float(np.clip(excess, -test.most_against, test.most))
        return bits if bits <= (test.against or 0.0) or bits > test.effect else 0.0
    z = excess / spread
    share = float(np.clip((excess / test.effect - _RAMP) / (1 - _RAMP), 0.0, 1.0))
    if share > 0:
        return share * min(test.most, -float(log_ndtr(-z)) / float(np.log(2)))
    if test.against is not None and excess <= test.against:
        return -min(test.most_against, -float(log_ndtr(z)) / float(np.log(2)))
    return 0.0


def judge(
    readings: Sequence[Reading],
    edges: pa.Table,
    sizes: Mapping[int, int],
    links: Mapping[str, LinkingSignal],
    tests: Mapping[str, BehaviouralTest],
    trust: Mapping[int, str],
    one_payer: Collection[int] = (),
) -> list[Verdict]:
    """Verdicts on clusters and communities, by number.

    edges: cluster, entity, signal, weight: the attributes that link each entity to its cluster. sizes: entities of each
    cluster. links, tests: the signals of both kinds by name. trust: of each cluster, the source of the trusted set by
    which its links were weighed. one_payer: clusters that one payment instrument pays for.
    """
    by_cluster: dict[int, list[Reading]] = {c: [] for c in sizes}
    for reading in readings:
        # Entities that were linked because they have no bursts must not be tested for having none.
        if reading.cluster in by_cluster and not (
            trust[reading.cluster] == "behaviour" and tests[reading.signal].confounded
        ):
            by_cluster[reading.cluster].append(reading)
    linked = linkage(edges, sizes, links)
    return [
        _verdict(c, by_cluster[c], linked.get(c, ()), links, tests, trust[c], c in one_payer) for c in sorted(sizes)
    ]


def total_bits(linking: Sequence[tuple[str, str, float]]) -> float:
    """Linkage of a cluster, in bits: the best signal of every family, added up. linking: (signal, family, bits)."""
    families: dict[str, float] = {}
    for _, family, weight in linking:
        families[family] = max(families.get(family, 0.0), weight)
    # Rounded like the thresholds: sums that should be equal differ in the last digits.
    return round(sum(families.values()), _DIGITS)


def linkage(
    edges: pa.Table, sizes: Mapping[int, int], links: Mapping[str, LinkingSignal]
) -> dict[int, tuple[tuple[str, str, float], ...]]:
    """Per cluster: (signal, family, bits), the mean over its entities of the best attribute each carries.

    The best, not the sum: attributes of one signal that the same entities carry repeat the same evidence.
    """
    # One thread: several threads add up in the order in which they end.
    best = edges.group_by(["cluster", "signal", "entity"], use_threads=False).aggregate([("weight", "max")])
    mass = best.group_by(["cluster", "signal"], use_threads=False).aggregate([("weight_max", "sum")])
    out: dict[int, list[tuple[str, str, float]]] = {}
    for cluster, signal, weight in zip(*(mass[c].to_pylist() for c in mass.column_names), strict=True):
        if cluster in sizes:
            out.setdefault(cluster, []).append((signal, links[signal].signal.card.family, weight / sizes[cluster]))
    return {c: tuple(sorted(v, key=lambda t: (-t[2], t[0]))) for c, v in out.items()}


def _verdict(
    cluster: int,
    readings: list[Reading],
    linking: tuple[tuple[str, str, float], ...],
    links: Mapping[str, LinkingSignal],
    tests: Mapping[str, BehaviouralTest],
    trust: str,
    one_payer: bool,
) -> Verdict:
    explaining = {name for name, _, bits in linking if bits >= FAMILY_BITS}
    gathering = {name for name, _, bits in linking if round(bits, _DIGITS) >= _COVERT}
    readings = [
        r._replace(bits=0.0)
        if tests[r.signal].gathered_by in gathering or (r.bits < 0 and tests[r.signal].explained_by in explaining)
        else r
        for r in readings
    ]
    best, supporting = _best(readings, tests), _best(readings, tests, supporting=True)
    overruled = {r.family for r in readings if tests[r.signal].overrules and r.bits >= FAMILY_BITS}
    against = sum(
        r.bits for r in readings if r.bits < 0 and r.family not in overruled and not tests[r.signal].supporting
    )
    # Whoever asks for training data and shows no habits of anybody's own is no community. Without that purpose it may
    # be the honest back end of one customer, so that it stands in for no family.
    shaped = any(tests[r.signal].dealing is Dealing.PURPOSE and r.bits >= FAMILY_BITS for r in readings)
    agreeing = best | supporting if shaped else best
    counting = tuple(sorted(f for f, b in agreeing.items() if b >= FAMILY_BITS))
    extraction = any(tests[r.signal].extraction and r.bits >= FAMILY_BITS for r in readings)
    bits = sum(best.values()) + against
    families = {family for _, family, _ in linking}
    link_bits = total_bits(linking)
    covert = {
        name: weight for name, _, weight in linking if links[name].deceptive and round(weight, _DIGITS) >= _COVERT
    }
    # Without trusted accounts, a shared prompt or network may be an app's or an office's: a link is required that
    # unrelated accounts never share, or meeting at the same times. With inferred trust, two families are required.
    enough = {"declared": True, "behaviour": len(families) >= 2, "none": bool(covert)}[trust]
    deceptive = _deceptive(readings, best | supporting, tests)
    tying = [(links[name], family) for name, family, weight in linking if round(weight, _DIGITS) >= _COVERT]
    if all(link.app for link, _ in tying):
        # The users of one application share what it brings along, ask unlike questions, and may ask equally often. What
        # remains is a harvest, dealt out, without habits. The annotators of one firm have none in its tool either: they
        # share that tool alone, or the addresses that the firm gave them.
        firm = len({family for _, family in tying}) < 2 or any(link.employer for link, _ in tying)
        habits = 0.0 if firm else max(supporting.values(), default=0.0)
        deceptive = {DEALT_OUT: min(deceptive.get(DEALT_OUT, 0.0), habits)}
    if one_payer:
        # Whoever pays for all of them hides from nobody who sends the bill, and may deal out a list of its own to
        # people with a name each, some of whom share a device. A list of everything is nobody's own, and that one
        # machine runs them all under those names is a deception as well.
        broad = max((r.bits for r in readings if tests[r.signal].broad), default=0.0)
        covert = {s: w / FAMILY_BITS * _COVERT for s, w in covert.items() if not links[s].payer}
        deceptive = {s: min(b, broad) if s == DEALT_OUT or tests[s].one_customer else b for s, b in deceptive.items()}
    facts = {s: w / _COVERT for s, w in covert.items()} | {s: b / FACT_BITS for s, b in deceptive.items()}
    deception = sorted(s for s, ratio in facts.items() if round(ratio, _DIGITS) >= 1)
    needed = sorted(agreeing.values(), reverse=True)[LEAST_FAMILIES[trust] - 1 : LEAST_FAMILIES[trust]]
    support = min(_MOST_TO_FLAG, _TO_FLAG * _surplus(bits))
    supported = max(link_bits / LINK_BITS, min(1.0, (link_bits + support) / LINK_BITS))
    criteria = Criteria(
        linkage=supported if enough else min(_HALF, supported),
        third_family=(needed[0] if needed else 0.0) / FAMILY_BITS,
        sum_of_families=bits / FLAG_BITS,
        deception=max(facts.values(), default=0.0),
    )
    threshold_ratio = min(criteria)
    if threshold_ratio <= 0:
        # A criterion at zero orders nothing: such groups are ordered by their evidence, below all others.
        threshold_ratio = -1 / (1 + bits) if bits >= 0 else -1 + bits / FLAG_BITS
    threshold_ratio = round(threshold_ratio, _DIGITS)
    return Verdict(
        cluster,
        bits,
        link_bits,
        counting,
        linking,
        tuple(readings),
        tuple(deception),
        threshold_ratio,
        threshold_ratio >= 1.0,
        extraction,
        criteria,
        tuple(sorted(best.items())),
    )


def _surplus(bits: float) -> float:
    """What the sum of families of tests has beyond its threshold, in bits."""
    return max(0.0, bits - FLAG_BITS)


def _best(
    readings: Sequence[Reading], tests: Mapping[str, BehaviouralTest], *, supporting: bool = False
) -> dict[str, float]:
    """Bits of the strongest test of each family. supporting: of tests that only support others, and no others."""
    best: dict[str, float] = {}
    for reading in readings:
        if tests[reading.signal].supporting == supporting:
            best[reading.family] = max(best.get(reading.family, 0.0), reading.bits)
    return best


def _deceptive(
    readings: list[Reading], best: Mapping[str, float], tests: Mapping[str, BehaviouralTest]
) -> dict[str, float]:
    """The facts of behaviour that show a deception, in bits by name. best: of each family, its strongest test."""
    facts = {r.signal: r.bits for r in readings if tests[r.signal].deceptive}
    for name in facts:
        if tests[name].deceptive_with:
            facts[name] = min(facts[name], best.get(tests[name].deceptive_with, 0.0))
    # Work that is shaped for training and dealt out to unrelated names, in equal shares or to accounts without habits
    # of their own, is nobody's own work either, unless a test that could have shown a deception counts against it.
    if not any(tests[r.signal].deceptive and r.bits < 0 for r in readings):
        shown = dict.fromkeys(Dealing, 0.0)
        for reading in readings:
            dealing = tests[reading.signal].dealing
            if dealing:
                shown[dealing] = max(shown[dealing], reading.bits)
        facts[DEALT_OUT] = min(shown.values()) * FACT_BITS / FAMILY_BITS
    return facts
