"""Which innocent explanation fits a group best, and so which question about it should be asked first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from clonewatch.campaigns.fusion import Verdict
from clonewatch.model.questions import QUESTIONS
from clonewatch.ports.signal import Signal

# Bits of one signal that count at most. Link weights grow with the size of a group and tests stop at this many; without
# a cap a large group would always be asked about whatever its most popular attribute is.
MOST_BITS = 8.0
# An explanation that accounts for less than this share of the evidence is not worth a question.
LEAST_SHARE = 0.15


def shapes(verdict: Verdict, signals: Mapping[str, Signal]) -> list[tuple[str, float]]:
    """The innocent explanations that fit, best first: ids of questions, each with the share of evidence it explains.

    signals: those behind the links and tests of the verdict, by name.
    """
    linked = sum(min(bits, MOST_BITS) for _, _, bits in verdict.links)
    explained: defaultdict[str, float] = defaultdict(float)
    evidence = [(name, bits) for name, _, bits in verdict.links] + [(r.signal, r.bits) for r in verdict.readings]
    for name, bits in evidence:
        for question, share in signals[name].suggests if bits > 0 else signals[name].denied_suggests:
            explained[question] += min(abs(bits), MOST_BITS) * share
    found = [(q.id, explained[q.id] / linked) for q in QUESTIONS if linked and explained[q.id] >= LEAST_SHARE * linked]
    return sorted(found, key=lambda shape: -shape[1])


def next_question(fitting: Collection[tuple[str, float]], answered: Collection[str]) -> str | None:
    """The best question that nobody has answered yet; None where none is left.

    >>> next_question([("app_users", 0.6), ("colleagues", 0.2)], {"app_users"})
    'colleagues'
    """
    return next((name for name, _ in fitting if name not in answered), None)
