"""Evidence fused into a verdict: families, not signals, are counted, and evidence against is subtracted.

Each behavioural test has an honest twin that saturates it, so no test convicts alone. A cluster is flagged when its
entities are covertly linked, at least two independent families of tests point the same way, and the sum, less the
evidence against, reaches the threshold. What a signal means beside the others is declared in its own file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log2
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from scipy.stats import norm

from clonewatch.ports.behaviour import BehaviouralTest, Dealing
from clonewatch.ports.linking import LinkingSignal

# A family speaks when its best test is this surprising among reference communities (one in twenty).
FAMILY_BITS = 4.5
# Families that must speak. With inferred trust, machines of any kind are linked: one more is asked for.
LEAST_FAMILIES = {"declared": 3, "behaviour": 3, "none": 2}
# Sum over families of tests less the evidence against, in bits: two families of nearly full strength.
FLAG_BITS = 12.0
# Reference communities of this log replace the shipped reference once there are this many.
_FEWEST_REFERENCES = 8
_DIGITS = 9
# Bits by which the linking families must tie the average entity to the rest: one in a thousand, for many are tried.
LINK_BITS = round(log2(1_000), _DIGITS)
# A fact of deception must be shown at one in ten; what makes it a fact is its test's least effect.
_FACT_BITS = 3.3
_COVERT = round(log2(10) / 2, _DIGITS)  # bits by which a deceptive link must tie the average entity
_HALF = 0.5  # a group that lacks a kind of link it must have is half-way to the threshold at most
# The name of the deception that no single signal shows: work dealt out in equal shares (`ports.behaviour.Dealing`).
DEALT_OUT = "dealt out"


class Reading(NamedTuple):
    """One test's value for one cluster, beside what reference communities show."""

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


class Verdict(NamedTuple):
    """What the evidence amounts to. bits: families of tests less evidence against. link_bits: linkage.

    deception: the facts that show entities passing for strangers who are not; without one nothing is flagged.
    threshold_ratio: how far the weakest of the criteria is open, 1 at the threshold: the one number by which groups are
    compared with honest ones. extraction: a test that shows a pattern of extraction speaks.
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

    @property
    def posterior_scale(self) -> float:
        """How far its exchanges count as harvested, 0..1: in full once flagged, else less than half."""
        return 1.0 if self.flagged else min(0.49, 0.5 * float(2.0 ** min(0.0, self.bits - FLAG_BITS)))

    @property
    def level(self) -> str:
        """Step of the evidence ladder: L0 one signal, L1 linked, L2 coordinated evasion, L3 extraction pattern."""
        if not self.flagged:
            return "L1" if self.link_bits >= LINK_BITS else "L0"
        return "L3" if self.extraction and len(self.families) >= 3 else "L2"


def measure_tests(
    tables: Mapping[str, pa.Table], tests: Sequence[BehaviouralTest], first_reference: int
) -> list[Reading]:
    """Every test's value for every cluster and community, in bits against the reference communities of this log."""
    readings = []
    for test in tests:
        table = tables[test.signal.name]
        cluster, value, error, n = (
            table[c].to_numpy(zero_copy_only=False).astype(np.float64) for c in ("cluster", "value", "error", "n")
        )
        # Sums of floats differ in the last digits with the number of threads; equal runs must give equal bytes.
        value, error = np.round(value, _DIGITS), np.round(error, _DIGITS)
        fit = np.isfinite(value) & np.isfinite(error) & (n >= test.least)
        honest = value[fit & (cluster >= first_reference)]
        usual, spread = test.usual, test.spread
        if len(honest) >= _FEWEST_REFERENCES and not test.in_bits:
            usual = float(np.median(honest))
            # A log whose reference communities happen to agree must not make every deviation a sensation.
            spread = max(0.5 * test.spread, 1.4826 * float(np.median(np.abs(honest - usual))))
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
                    len(honest),
                    bits,
                )
            )
    return readings


def strength(excess: float, spread: float, test: BehaviouralTest) -> float:
    """Bits of evidence in a value that lies `excess` above the usual; negative is evidence against.

    Surprise alone is not enough: the excess must also reach the test's least effect.
    """
    if test.in_bits:
        bits = float(np.clip(excess, -test.most_against, test.most))
        return bits if bits <= (test.against or 0.0) or bits > test.effect else 0.0
    z = excess / spread
    if excess >= test.effect:
        return min(test.most, -float(norm.logsf(z)) / float(np.log(2)))
    if test.against is not None and excess <= test.against:
        return -min(test.most_against, -float(norm.logcdf(z)) / float(np.log(2)))
    return 0.0


def judge(
    readings: Sequence[Reading],
    held: pa.Table,
    sizes: Mapping[int, int],
    links: Mapping[str, LinkingSignal],
    tests: Mapping[str, BehaviouralTest],
    trust: Mapping[int, str],
) -> list[Verdict]:
    """Verdicts on clusters and communities, by number.

    held: cluster, entity, signal, weight of every attribute that ties an entity. sizes: entities of each cluster.
    links, tests: the signals of both kinds by name. trust: of each cluster, where the trusted set came from that its
    links rest on.
    """
    by_cluster: dict[int, list[Reading]] = {c: [] for c in sizes}
    for reading in readings:
        # Entities linked for having no bursts must not be tested for having none.
        if reading.cluster in by_cluster and not (
            trust[reading.cluster] == "behaviour" and tests[reading.signal].confounded
        ):
            by_cluster[reading.cluster].append(reading)
    ties = linkage(held, sizes, links)
    return [_verdict(c, by_cluster[c], ties.get(c, ()), links, tests, trust[c]) for c in sorted(sizes)]


def total_bits(ties: Sequence[tuple[str, str, float]]) -> float:
    """Bits of a cluster's ties (signal, family, bits): each family gives its best signal."""
    families: dict[str, float] = {}
    for _, family, weight in ties:
        families[family] = max(families.get(family, 0.0), weight)
    # Rounded as the thresholds are: equal sums differ in the last digits.
    return round(sum(families.values()), _DIGITS)


def linkage(
    held: pa.Table, sizes: Mapping[int, int], links: Mapping[str, LinkingSignal]
) -> dict[int, tuple[tuple[str, str, float], ...]]:
    """Per cluster: (signal, family, bits), the mean over its entities of the best attribute each carries.

    The best, not the sum: attributes of one signal carried by the same entities say the same thing again.
    """
    # One thread: several add up in whatever order they end.
    best = held.group_by(["cluster", "signal", "entity"], use_threads=False).aggregate([("weight", "max")])
    mass = best.group_by(["cluster", "signal"], use_threads=False).aggregate([("weight_max", "sum")])
    out: dict[int, list[tuple[str, str, float]]] = {}
    for cluster, signal, weight in zip(*(mass[c].to_pylist() for c in mass.column_names), strict=True):
        if cluster in sizes:
            out.setdefault(cluster, []).append((signal, links[signal].signal.card.family, weight / sizes[cluster]))
    return {c: tuple(sorted(v, key=lambda t: (-t[2], t[0]))) for c, v in out.items()}


def _verdict(
    cluster: int,
    readings: list[Reading],
    ties: tuple[tuple[str, str, float], ...],
    links: Mapping[str, LinkingSignal],
    tests: Mapping[str, BehaviouralTest],
    trust: str,
) -> Verdict:
    best: dict[str, float] = {}
    for reading in readings:
        best[reading.family] = max(best.get(reading.family, 0.0), reading.bits)
    overruled = {r.family for r in readings if tests[r.signal].overrules and r.bits >= FAMILY_BITS}
    against = sum(r.bits for r in readings if r.bits < 0 and r.family not in overruled)
    speaking = tuple(sorted(f for f, b in best.items() if b >= FAMILY_BITS))
    extraction = any(tests[r.signal].extraction and r.bits >= FAMILY_BITS for r in readings)
    bits = sum(best.values()) + against
    families = {family for _, family, _ in ties}
    link_bits = total_bits(ties)
    covert = {name: weight for name, _, weight in ties if links[name].deceptive and round(weight, _DIGITS) >= _COVERT}
    # Without trusted accounts a shared prompt or network may be an app's or an office's: something that strangers never
    # share is asked for, or meeting at the same times. With inferred trust, two kinds of link.
    enough = {"declared": True, "behaviour": len(families) >= 2, "none": bool(covert)}[trust]
    deceptive = _deceptive(readings, best, tests)
    deception = sorted(set(covert) | {s for s, b in deceptive.items() if b >= _FACT_BITS})
    needed = sorted(best.values(), reverse=True)[LEAST_FAMILIES[trust] - 1 : LEAST_FAMILIES[trust]]
    criteria = (
        bits / FLAG_BITS,
        (needed[0] if needed else 0.0) / FAMILY_BITS,
        link_bits / LINK_BITS if enough else min(_HALF, link_bits / LINK_BITS),
        max([*(w / _COVERT for w in covert.values()), *(b / _FACT_BITS for b in deceptive.values()), 0.0]),
    )
    threshold_ratio = min(criteria)
    if threshold_ratio <= 0:
        # A lock that is quite shut orders nothing: below it, groups are told apart by their evidence.
        threshold_ratio = -1 / (1 + bits) if bits >= 0 else -1 + bits / FLAG_BITS
    threshold_ratio = round(threshold_ratio, _DIGITS)
    told = tuple(readings)
    return Verdict(
        cluster,
        bits,
        link_bits,
        speaking,
        ties,
        told,
        tuple(deception),
        threshold_ratio,
        threshold_ratio >= 1.0,
        extraction,
    )


def _deceptive(
    readings: list[Reading], best: Mapping[str, float], tests: Mapping[str, BehaviouralTest]
) -> dict[str, float]:
    """The facts of conduct that show a deception, in bits. best: of each family, its strongest test."""
    facts = {r.signal: r.bits for r in readings if tests[r.signal].deceptive}
    for name in facts:
        if tests[name].deceptive_with:
            facts[name] = min(facts[name], best.get(tests[name].deceptive_with, 0.0))
    # What is dealt out in equal shares to unrelated names, shaped for training, is nobody's own work either; unless a
    # test that could have shown a deception speaks against it.
    if not any(tests[r.signal].deceptive and r.bits < 0 for r in readings):
        shown = dict.fromkeys(Dealing, 0.0)
        for reading in readings:
            dealing = tests[reading.signal].dealing
            if dealing:
                shown[dealing] = max(shown[dealing], reading.bits)
        facts[DEALT_OUT] = min(shown.values()) * _FACT_BITS / FAMILY_BITS
    return facts
