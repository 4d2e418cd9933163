"""How something leaves: shown, asked for, approved by a second person, and written as one file per release."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from clonewatch.cases import approvals, sharing
from clonewatch.cases.changes import Who
from clonewatch.cases.sharing import Document, Kept
from clonewatch.cases.store import Store
from clonewatch.model.errors import SetupError, StaleError
from clonewatch.model.whole_files import PRIVATE, write
from clonewatch.peering.proposing import Order, proposed, retracted
from clonewatch.peering.settings import Settings
from clonewatch.sharing.release import Release, decoded
from clonewatch.sharing.release_gate.gate import opened, refusals
from clonewatch.sharing.release_gate.preview import preview


class Shown(NamedTuple):
    """What would leave, and why each field may (`release_gate.preview`). notes: what was left out."""

    told: dict[str, Any]
    notes: list[str]


def show(store: Store, order: Order, who: Who) -> Shown:
    """What would leave if it were asked for now. Nothing is written."""
    with store.reading() as reading:
        made = proposed(reading, order, who.at)
    return Shown(preview(made.release, order.settings.known(who.at[:10])), made.notes)


def ask(store: Store, order: Order, why: str, who: Who) -> tuple[Kept, Shown]:
    """Ask a second person that what would leave now may leave. Raises SetupError where the gate refuses it."""
    with store.reading() as reading:
        made = proposed(reading, order, who.at)
    known = order.settings.known(who.at[:10])
    body = opened(made.release, known).decode("utf-8")
    with store.writing() as writing:
        if writing.case(order.case) != made.case:
            raise StaleError(f"{made.case.case} was changed meanwhile", fix="Look at it, and ask again")
        kept = sharing.propose(writing, made.case.case, document(made.release, body, order.settings.circle), why, who)
    return kept, Shown(preview(made.release, known), made.notes)


def approve(store: Store, number: int, state: str, who: Who) -> Kept:
    """Decide a request: approved, declined or withdrawn. Returns what it is about."""
    with store.writing() as writing:
        held = sharing.proposed(writing, number)
        approvals.decide(writing, number, state, who)
    return held


def export(store: Store, number: int, settings: Settings, out: Path, who: Who) -> Kept:
    """Write what was approved, byte for byte as it was asked for, and log it.

    Raises SetupError where the gate no longer lets it through, as after a change of the law.
    """
    with store.writing() as writing:
        held = sharing.proposed(writing, number)
        release = decoded(held.body.encode())
        # It was made on the day of asking; what else the gate looks at is as it is now.
        known = settings.known(release.made_at[:10])
        if refused := refusals(release, known):
            raise SetupError(
                f"the release gate refuses it now: {refused[0].field}: {refused[0].why}",
                fix="Ask again: clonewatch share ask",
            )
        if release.until < who.at[:10]:
            raise SetupError(f"it held until {release.until}", fix="Ask again: clonewatch share ask")
        kept = sharing.tell(writing, number, settings.circle, who)
        put(out, kept.document, kept.revision, kept.body, release.made_at)
    return kept


def retract(store: Store, case: str, reason: str, settings: Settings, out: Path, who: Who) -> Kept:
    """Tell recipients that nothing of what they were told of a case holds. It needs no second person."""
    with store.writing() as writing:
        name = writing.case(case).case
        before = sharing.told(writing, name)
        if not before:
            raise SetupError(f"nothing was told of {name}", fix="See `clonewatch share list`")
        if before[0].what == "retraction":
            return before[0]
        made = retracted(before[0], reason, settings, who.at)
        body = opened(made, settings.known(who.at[:10])).decode("utf-8")
        kept = sharing.take_back(writing, name, document(made, body, before[0].peer), who)
        put(out, kept.document, kept.revision, kept.body, made.made_at)
    return kept


def document(release: Release, body: str, peer: str) -> Document:
    """A release as the store keeps it."""
    return Document(release.id, release.revision, release.what, peer, release.until, body)


def put(out: Path, name: str, revision: int, body: str, made_at: str) -> Path:
    """Write a document into a folder, for its owner only; its name and times say no more than it does itself."""
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = out / f"{name}.{revision}.json"
    write(path, body.encode("utf-8"), PRIVATE, "the release")
    hour = datetime.strptime(made_at, "%Y-%m-%dT%H:00:00Z").replace(tzinfo=UTC).timestamp()
    os.utime(path, (hour, hour))
    return path


def listed(kept: Iterable[Kept]) -> list[dict[str, Any]]:
    """Documents without their bytes, for whoever lists them."""
    return [{name: value for name, value in one._asdict().items() if name != "body"} for one in kept]
