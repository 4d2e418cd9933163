"""The linking signals and behavioural tests of this version, from their shelves."""

from __future__ import annotations

from clonewatch.graph import fragments
from clonewatch.ports.channel import Channel
from clonewatch.ports.intent import Intent
from clonewatch.ports.link import Link
from clonewatch.ports.shelf import Shelf

LINKS = Shelf("clonewatch.links.channels", "LINK")
INTENTS = Shelf("clonewatch.intents.channels", "INTENT")
# Without topics nobody knows whether strangers would have asked the same: these then speak against nobody.
_AGAINST_BY_TOPIC = frozenset({"division"})


def linking_signals() -> dict[str, Link]:
    """Every linking signal by name."""
    return {name: LINKS.load(name) for name in LINKS.names()}


def behavioural_tests(topics: bool) -> dict[str, Intent]:
    """Every behavioural test by name, as a log allows it. topics: whether exchanges have topic cells."""
    tests = {name: INTENTS.load(name) for name in INTENTS.names()}
    if topics:
        return tests
    return {name: test._replace(against=None) if name in _AGAINST_BY_TOPIC else test for name, test in tests.items()}


def channels() -> list[Channel]:
    """Every channel of this version, linking ones first."""
    links = [*linking_signals().values(), fragments.LINK]
    return [link.channel for link in links] + [test.channel for test in behavioural_tests(topics=True).values()]
