"""Which innocent explanation fits a group best, and so which question about it should be asked first."""

from __future__ import annotations

from collections.abc import Collection

from clonewatch.campaigns.fusion import Verdict
from clonewatch.model.questions import QUESTIONS

# Bits of one signal that count at most. Link weights grow with the size of a group and tests stop at this many; without
# a cap a large group would always be asked about whatever its most popular attribute is.
MOST_BITS = 8.0
# An explanation that accounts for less than this share of the evidence is not worth a question.
LEAST_SHARE = 0.15


def shapes(verdict: Verdict) -> list[tuple[str, float]]:
    """The innocent explanations that fit, best first: ids of questions, each with the share of evidence it explains."""
    evidence = {signal: min(bits, MOST_BITS) for signal, _, bits in verdict.links}
    for reading in verdict.readings:
        if reading.bits:
            evidence[f"{'-' if reading.bits < 0 else ''}{reading.signal}"] = min(abs(reading.bits), MOST_BITS)
    linked = sum(evidence[signal] for signal, _, _ in verdict.links)
    found = []
    for question in QUESTIONS:
        explained = sum(evidence.get(signal, 0.0) * share for signal, share in question.explains.items())
        if linked and explained >= LEAST_SHARE * linked:
            found.append((question.id, explained / linked))
    return sorted(found, key=lambda shape: -shape[1])


def next_question(fitting: Collection[tuple[str, float]], answered: Collection[str]) -> str | None:
    """The best question that nobody has answered yet; None where none is left.

    >>> next_question([("app_users", 0.6), ("colleagues", 0.2)], {"app_users"})
    'colleagues'
    """
    return next((name for name, _ in fitting if name not in answered), None)
