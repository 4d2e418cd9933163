"""The linking signals and behavioural tests of this version, from their shelves."""

from __future__ import annotations

from clonewatch.graph import sub_clusters
from clonewatch.ports.behaviour import BehaviouralTest
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.shelf import Shelf
from clonewatch.ports.signal import Signal

SIGNALS = Shelf("clonewatch.links.signals", "SIGNAL")
TESTS = Shelf("clonewatch.behaviour.tests", "TEST")


def linking_signals() -> dict[str, LinkingSignal]:
    """Every linking signal by name, in the order in which they run: those that read what others carry come last."""
    found = {name: SIGNALS.load(name) for name in SIGNALS.names()}
    return dict(sorted(found.items(), key=lambda item: _reads_others(item[1])))


def _reads_others(link: LinkingSignal) -> bool:
    return any(table.startswith("carried_") for step in link.steps for table in step.reads)


def behavioural_tests(topics: bool) -> dict[str, BehaviouralTest]:
    """Every behavioural test by name, as a log allows it. topics: whether exchanges have topic cells."""
    tests = {name: TESTS.load(name) for name in TESTS.names()}
    if topics:
        return tests
    return {name: test._replace(against=None) if test.against_needs_topics else test for name, test in tests.items()}


def signals() -> list[Signal]:
    """Every signal of this version, linking ones first."""
    links = [*linking_signals().values(), sub_clusters.SIGNAL]
    return [link.signal for link in links] + [test.signal for test in behavioural_tests(topics=True).values()]
