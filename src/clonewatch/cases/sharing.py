"""What other providers are told of cases, and what they tell: documents in the store, each with its entry in the log.

What documents hold is not looked at here: their bytes are kept, and the log names them by their hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from sqlalchemy import ColumnElement, delete, insert, select, update

from clonewatch.cases import approvals
from clonewatch.cases.changes import Who
from clonewatch.cases.records import Entry, Shared, What
from clonewatch.cases.store import Reading, Writing
from clonewatch.cases.tables import FEEDS, HEARD, RELIED, SHARED
from clonewatch.model.errors import InputError, SetupError, StaleError

OUT, IN = "out", "in"
PROPOSED, TOLD, HELD = "proposed", "told", "held"
EVALUATION, ON, OFF = "evaluation", "on", "off"
FEED_STATES = (EVALUATION, ON, OFF)


class Document(NamedTuple):
    """A document that leaves or came. revision: 0 where it has none. until: last day; empty for none."""

    document: str
    revision: int
    what: str
    peer: str
    until: str
    body: str

    @property
    def digest(self) -> str:
        """SHA-256 of its bytes in hex."""
        return sha256(self.body.encode()).hexdigest()


class Kept(NamedTuple):
    """A document in the store. case_id: that it is about; empty for none here. state: proposed, told or held."""

    direction: str
    document: str
    revision: int
    entry: int
    case_id: str
    what: str
    peer: str
    state: str
    request: int
    at: str
    until: str
    digest: str
    body: str


class Heard(NamedTuple):
    """An indicator of another provider. withdrawn: why it holds no more. warned: the warning list that it is on."""

    document: str
    indicator: str
    peer: str
    kind: str
    value: str
    until: str
    confidence: int
    withdrawn: str = ""
    warned: str = ""


def propose(store: Writing, case: str, made: Document, why: str, who: Who, version: int | None = None) -> Kept:
    """Ask a second person that a document about a case may leave, exactly as it is.

    Raises what `approvals.ask` raises. Another proposal of the same revision that was not told is replaced.
    """
    asked = approvals.ask(store, case, approvals.SHARE, why, who, version)
    this = _this(OUT, made.document, made.revision)
    if store.connection.execute(select(SHARED.c.state).where(this)).scalar_one_or_none() == TOLD:
        raise StaleError(
            f"revision {made.revision} of this was told already", fix="Look at it again: clonewatch share list"
        )
    store.connection.execute(delete(SHARED).where(this))
    return _keep(store, "propose", OUT, asked.case_id, made, PROPOSED, asked.entry, who)


def tell(store: Writing, number: int, peer: str, who: Who) -> Kept:
    """Let what was proposed with a request leave. peer: the circle that it goes to.

    Raises SetupError where no second person approved it, StaleError where the case or the document changed since.
    """
    asked = approvals.request(store, number)
    held = proposed(store, number)
    if asked.state != approvals.APPROVED:
        raise SetupError(
            f"request {number} is {asked.state}", fix="A second person approves it: clonewatch share approve"
        )
    if not approvals.current(store, asked):
        raise StaleError(f"{asked.case_id} was changed since {asked.by} asked", fix="Ask again: clonewatch share ask")
    made = Document(held.document, held.revision, held.what, peer, held.until, held.body)
    store.connection.execute(delete(SHARED).where(_this(OUT, held.document, held.revision)))
    return _keep(store, "export", OUT, held.case_id, made, TOLD, number, who)


def take_back(store: Writing, case: str, made: Document, who: Who) -> Kept:
    """Tell others that something holds no more. It takes one person: what lifts need not wait for a second."""
    if not any(one.document == made.document for one in told(store, case)):
        raise InputError(f"nothing was told about {case}", fix="See `clonewatch share list`")
    store.connection.execute(delete(SHARED).where(_this(OUT, made.document, made.revision)))
    return _keep(store, "export", OUT, case, made, TOLD, -1, who)


def say(store: Writing, made: Document, who: Who) -> Kept:
    """Tell others an opinion or a sighting about what they told."""
    return _keep(store, "export", OUT, "", made, TOLD, -1, who)


def hear(store: Writing, made: Document, indicators: Sequence[Heard], who: Who) -> tuple[Kept, tuple[str, ...]]:
    """Take in what another provider told; returns it, and the cases that rest on it.

    Indicators of an earlier revision are replaced. Raises StaleError for a revision that was superseded.
    """
    newest = held(store, made.document)
    if newest and made.revision and newest.peer != made.peer:
        raise InputError("another provider sent the first word of this", fix="Ask both: only its sender can change it")
    if newest and made.revision and newest.revision >= made.revision:
        if newest.digest == made.digest:
            return newest, ()
        raise StaleError(f"revision {newest.revision} of this came before", fix="Take the newest one of its sender")
    cases = resting(store, made.document) if made.revision else ()
    kept = _keep(store, "hear", IN, "", made, HELD, -1, who, cases)
    if made.revision:
        store.connection.execute(delete(HEARD).where(HEARD.c.document == made.document))
        if indicators:
            store.connection.execute(insert(HEARD), [one._asdict() for one in indicators])
        if feed(store, made.peer) is None:
            store.connection.execute(insert(FEEDS).values(peer=made.peer, state=EVALUATION))
    return kept, cases


def hear_word(store: Writing, made: Document, case: str, who: Who) -> Kept:
    """Take in what another provider says of what was told of a case here."""
    return _keep(store, "hear", IN, case, made, HELD, -1, who)


def rely(store: Writing, case: str, document: str, who: Who) -> None:
    """Say that a case rests on what another provider told too, so that its retraction reaches the case.

    Raises SetupError where that provider is not switched on, or the document holds no more.
    """
    found, kept = store.case(case), held(store, document)
    if kept is None:
        raise InputError(f"nothing came in as {document!r}", fix="`clonewatch share list` lists what came")
    if feed(store, kept.peer) != ON:
        raise SetupError(
            f"{kept.peer} is not switched on",
            fix=f"Try it first: clonewatch share trial; then: clonewatch share feed {kept.peer} --on",
        )
    if kept.what == "retraction" or not any(not one.withdrawn for one in heard(store, document)):
        raise SetupError("its sender took it back", fix="Rest on your own evidence")
    if found.case in resting(store, document):
        return
    number = store.add(Entry("rely", who.at, who.by, (found.case,), because=(kept.peer, document), via=who.via))
    store.connection.execute(insert(RELIED).values(case_id=found.case, document=document, entry=number))


def switch(store: Writing, peer: str, state: str, who: Who) -> None:
    """Say whether another provider's word counts. Raises SetupError for one from whom nothing came."""
    if feed(store, peer) is None:
        raise InputError(f"nothing came from {peer!r}", fix="Take something in first: clonewatch share import FILE")
    store.add(Entry("feed", who.at, who.by, (), because=(peer, state), via=who.via))
    store.connection.execute(update(FEEDS).where(FEEDS.c.peer == peer).values(state=state))


def feed(store: Reading, peer: str) -> str | None:
    """Whether a provider's word counts; None where nothing came from it."""
    found: str | None = store.connection.execute(select(FEEDS.c.state).where(FEEDS.c.peer == peer)).scalar_one_or_none()
    return found


def feeds(store: Reading) -> dict[str, str]:
    """Every provider from whom something came, and its state."""
    return {row.peer: row.state for row in store.connection.execute(select(FEEDS).order_by(FEEDS.c.peer))}


def documents(store: Reading, direction: str | None = None) -> list[Kept]:
    """Documents, the newest first."""
    wanted = select(SHARED).order_by(SHARED.c.entry.desc())
    if direction is not None:
        wanted = wanted.where(SHARED.c.direction == direction)
    return [Kept(*row) for row in store.connection.execute(wanted)]


def proposed(store: Reading, number: int) -> Kept:
    """What a request is about. Raises InputError."""
    wanted = select(SHARED).where(SHARED.c.request == number, SHARED.c.state == PROPOSED)
    row = store.connection.execute(wanted).one_or_none()
    if row is None:
        raise InputError(f"nothing that waits was proposed with request {number}", fix="See `clonewatch share list`")
    return Kept(*row)


def told(store: Reading, case: str) -> list[Kept]:
    """What was told of a case, the newest first."""
    return [one for one in documents(store, OUT) if one.case_id == case and one.state == TOLD]


def held(store: Reading, document: str) -> Kept | None:
    """The newest revision of what came in; None where nothing did."""
    wanted = select(SHARED).where(SHARED.c.direction == IN, SHARED.c.document == document)
    row = store.connection.execute(wanted.order_by(SHARED.c.revision.desc()).limit(1)).one_or_none()
    return Kept(*row) if row else None


def heard(store: Reading, document: str | None = None) -> list[Heard]:
    """Indicators of others, of one document or of all."""
    wanted = select(HEARD).order_by(HEARD.c.peer, HEARD.c.document, HEARD.c.kind, HEARD.c.value)
    if document is not None:
        wanted = wanted.where(HEARD.c.document == document)
    return [Heard(*row) for row in store.connection.execute(wanted)]


def resting(store: Reading, document: str) -> tuple[str, ...]:
    """The cases that rest on a document too."""
    wanted = select(RELIED.c.case_id).where(RELIED.c.document == document).order_by(RELIED.c.case_id)
    return tuple(store.connection.execute(wanted).scalars())


def relied(store: Reading, case: str) -> tuple[str, ...]:
    """The documents of others that a case rests on too."""
    wanted = select(RELIED.c.document).where(RELIED.c.case_id == case).order_by(RELIED.c.document)
    return tuple(store.connection.execute(wanted).scalars())


def _this(direction: str, document: str, revision: int) -> ColumnElement[bool]:
    return (SHARED.c.direction == direction) & (SHARED.c.document == document) & (SHARED.c.revision == revision)


def _keep(
    store: Writing,
    what: What,
    direction: str,
    case: str,
    made: Document,
    state: str,
    request: int,
    who: Who,
    of: tuple[str, ...] = (),
) -> Kept:
    shared = Shared(direction, made.document, made.revision, made.what, made.peer, made.digest, request)
    because = (made.what, f"revision {made.revision}", made.peer)
    cases = of or ((case,) if case else ())
    number = store.add(Entry(what, who.at, who.by, cases, because=because, via=who.via, shared=shared))
    kept = Kept(
        direction,
        made.document,
        made.revision,
        number,
        case,
        made.what,
        made.peer,
        state,
        request,
        who.at,
        made.until,
        made.digest,
        made.body,
    )
    store.connection.execute(insert(SHARED).values(**kept._asdict()))
    return kept
