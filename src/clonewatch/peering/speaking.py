"""What is said back to whoever told something, and how right each of them was by rulings here."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from clonewatch.cases import sharing
from clonewatch.cases.changes import Who
from clonewatch.cases.containments import containments
from clonewatch.cases.measures import LAPSED, LIFTED, OVERTURNED
from clonewatch.cases.records import CONFIRMED, INNOCENT
from clonewatch.cases.sharing import Document, Kept
from clonewatch.cases.store import Reading, Store
from clonewatch.model.errors import InputError
from clonewatch.peering.releasing import put
from clonewatch.sharing.word import Word, encoded


class Score(NamedTuple):
    """How right a peer was: cases that rest on what it told, by what was ruled here. state: of its feed.

    precision: confirmed of all that were decided; None before one was. dissent: words against it that left here.
    """

    peer: str
    state: str
    documents: int
    confirmed: int
    innocent: int
    undecided: int
    dissent: int

    @property
    def precision(self) -> float | None:
        """Share of confirmed among decided cases."""
        decided = self.confirmed + self.innocent
        return self.confirmed / decided if decided else None


def speak(
    store: Store, release: str, what: str, said: str, sender: str, out: Path, who: Who, indicator: str = ""
) -> Kept:
    """Write an opinion or a sighting about what came in, and log it. Raises InputError for what never came."""
    with store.writing() as writing:
        kept = sharing.held(writing, release)
        if kept is None:
            raise InputError(f"nothing came in as {release!r}", fix="`clonewatch share list` lists what came")
        if indicator and indicator not in {one.indicator for one in sharing.heard(writing, release)}:
            raise InputError(f"it has no indicator {indicator!r}", fix="Leave out --indicator for all of it")
        made_at = f"{who.at[:13]}:00:00Z"
        word = Word(str(uuid4()), what, said, release, sender, made_at, indicator)  # type: ignore[arg-type]
        body = encoded(word).decode("utf-8")
        told = sharing.say(writing, Document(word.id, 0, what, kept.peer, "", body), who)
        put(out, word.id, 0, body, made_at)
    return told


def scores(store: Reading) -> list[Score]:
    """How right every peer was, by name."""
    documents = sharing.documents(store)
    found = []
    for peer, state in sharing.feeds(store).items():
        mine = {one.document for one in documents if one.direction == sharing.IN and one.peer == peer and one.revision}
        cases = {case for name in mine for case in sharing.resting(store, name)}
        ruled = [_outcome(store, case) for case in sorted(cases)]
        dissent = sum(
            one.direction == sharing.OUT and one.peer == peer and ("disagree" in one.body or "honest" in one.body)
            for one in documents
        )
        counts = (ruled.count(CONFIRMED), ruled.count(INNOCENT), ruled.count(""))
        found.append(Score(peer, state, len(mine), *counts, dissent))
    return found


def _outcome(store: Reading, name: str) -> str:
    if any(one.state in (OVERTURNED, LAPSED, LIFTED) for one in containments(store, name)):
        return INNOCENT
    ruling = store.case(name).ruling
    return ruling.ruling if ruling and ruling.ruling in (CONFIRMED, INNOCENT) else ""
