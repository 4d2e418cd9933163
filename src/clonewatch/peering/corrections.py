"""What has to be taken back: a case that was told, and then ruled innocent, or whose measure was overturned."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from clonewatch.cases.changes import Who
from clonewatch.cases.containments import containments
from clonewatch.cases.measures import LAPSED, LIFTED, OVERTURNED
from clonewatch.cases.records import INNOCENT, MERGED, VOID
from clonewatch.cases.sharing import OUT, TOLD, Kept, documents
from clonewatch.cases.store import Reading, Store
from clonewatch.model.errors import ClonewatchError
from clonewatch.peering.releasing import retract
from clonewatch.peering.settings import Settings

PERIOD = 0.5


def due(store: Reading) -> dict[str, str]:
    """The cases that were told and hold no more, each with the reason that recipients are given.

    An appeal that was upheld for some of its accounts alone does not take a case back: who they are was not told.
    """
    newest: dict[str, Kept] = {}
    for one in documents(store, OUT):
        if one.state == TOLD and one.case_id:
            newest.setdefault(one.case_id, one)
    found = {}
    for name, told in newest.items():
        if told.what != "retraction" and (reason := _reason(store, name)):
            found[name] = reason
    return found


def _reason(store: Reading, name: str) -> str:
    case = store.case(name)
    if any(one.state in (OVERTURNED, LAPSED, LIFTED) for one in containments(store, name)):
        return "appeal_upheld"
    if case.ruling and case.ruling.ruling == INNOCENT:
        return "ruled_innocent"
    return "mistake" if case.status in (MERGED, VOID) else ""


def retract_due(store: Store, settings: Settings, out: Path, who: Who) -> list[Kept]:
    """Take back whatever holds no more; returns what was told."""
    with store.reading() as reading:
        wanted = due(reading)
    return [retract(store, name, reason, settings, out, who) for name, reason in sorted(wanted.items())]


def follow(
    store: Store,
    settings: Settings,
    out: Path,
    who: Callable[[], Who],
    told: Callable[[Kept], None],
    said: Callable[[str], None],
    stop: threading.Event,
) -> None:
    """Take back whatever holds no more after every change of the store, until it is stopped.

    told: called with each retraction. said: called with what is wrong, once while it stays so; it is tried again.
    """
    seen, problem = -1, ""
    while not stop.is_set():
        wrong = ""
        try:
            with store.reading() as reading:
                size = reading.size()
            if size != seen:
                for one in retract_due(store, settings, out, who()):
                    told(one)
                seen = size
        except (ClonewatchError, OSError) as error:
            wrong = str(error)
        if wrong and wrong != problem:
            said(wrong)
        problem = wrong
        stop.wait(PERIOD)
