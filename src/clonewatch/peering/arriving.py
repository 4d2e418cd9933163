"""How something comes in: checked, compared with warning lists, kept whole; a retraction lifts what rests on it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

from clonewatch.cases import sharing
from clonewatch.cases.changes import Who
from clonewatch.cases.containments import containments, end
from clonewatch.cases.measures import STANDING
from clonewatch.cases.sharing import Document, Heard
from clonewatch.cases.store import Store, Writing
from clonewatch.model.errors import ClonewatchError, InputError, SetupError, StaleError
from clonewatch.model.text_files import bytes_of
from clonewatch.sharing import word as words
from clonewatch.sharing.indicators import wrong
from clonewatch.sharing.release import ALONE, MOST_BYTES, Release, decoded
from clonewatch.sharing.release_gate.vocabulary import REASONS
from clonewatch.sharing.warning_lists import WarningLists

PERIOD = 0.5
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_NAME = re.compile(r"[a-z][a-z0-9-]{1,38}[a-z0-9]")
_AHEAD = timedelta(days=1)


class Taken(NamedTuple):
    """What came in. cases: that rest on it. ended: measures that were ended with it. warned: indicators on lists.

    news: whether it was not known before. refused: why it was refused as a whole; empty where it was taken.
    """

    where: str
    document: str = ""
    revision: int = 0
    what: str = ""
    peer: str = ""
    indicators: int = 0
    warned: int = 0
    cases: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    news: bool = False
    refused: str = ""


def take_in(store: Store, data: bytes, peer: str, lists: WarningLists, who: Who, where: str = "") -> Taken:
    """Take in one document of a peer: all of it, or nothing. Raises SetupError that says why it is refused.

    peer: who gave it, as transport or people know; it has to be its sender.
    """
    if _schema(data) == words.SCHEMA:
        return _word(store, data, peer, who, where)
    release = decoded(data)
    if faults := problems(release, peer, who.at):
        raise SetupError(f"this release is refused: {'; '.join(faults[:3])}", where=where)
    heard = [
        Heard(
            release.id,
            one.id,
            release.sender,
            one.kind,
            one.value,
            one.until,
            one.confidence,
            _reason(one.withdrawn or (release.reason if release.what == "retraction" else "")),
            lists.warning(one.kind, one.value),
        )
        for one in release.indicators
    ]
    made = Document(release.id, release.revision, release.what, peer, release.until, data.decode("utf-8"))
    with store.writing() as writing:
        before = sharing.held(writing, release.id)
        kept, cases = sharing.hear(writing, made, heard, who)
        news = before is None or before.revision < kept.revision
        holds = release.what != "retraction" and any(not one.withdrawn for one in heard)
        ended = () if holds or not news else _lifted(writing, cases, kept.peer, who)
    told = (release.id, release.revision, release.what, peer, len(heard), sum(bool(one.warned) for one in heard))
    return Taken(where, *told, cases, ended, news)


def _lifted(store: Writing, cases: Iterable[str], peer: str, who: Who) -> tuple[str, ...]:
    """End every measure against the accounts of cases that rest on what was taken back: people may ask for it again."""
    why = f"{peer} took back what it rests on too; what is left may be asked for again"
    found = [one.containment for case in cases for one in containments(store, case, STANDING)]
    for name in found:
        end(store, name, why, who)
    return tuple(found)


def problems(release: Release, peer: str, now: str) -> list[str]:
    """Everything that is wrong with a release that came in. now: ISO 8601, UTC. A retraction may be over."""
    found = []
    if not _NAME.fullmatch(release.sender) or release.sender != peer:
        found.append(f"its sender is {release.sender[:40]!r}, and {peer!r} gave it")
    if not _UUID.fullmatch(release.id):
        found.append("its id is no UUID")
    if release.statement != ALONE:
        found.append("it does not say that each recipient decides alone")
    if not 1 <= release.revision <= 1_000_000:
        found.append("its revision is out of bounds")
    made, until = _day(release.made_at[:10]), _day(release.until)
    today = date.fromisoformat(now[:10])
    if made is None or made > today + _AHEAD:
        found.append("it was made at no time, or in days to come")
    if until is None or (until < today and release.what != "retraction"):
        found.append(f"it has no end, or ended on {release.until[:10]}")
    seen: set[str] = set()
    for number, one in enumerate(release.indicators):
        if why := _indicator(one.id, one.kind, one.value, one.until, seen):
            found.append(f"indicators.{number}: {why}")
        if not 0 <= one.confidence <= 100:
            found.append(f"indicators.{number}: its confidence is not from 0 to 100")
        seen.add(one.id)
    return found


def _indicator(name: str, kind: str, value: str, until: str, seen: set[str]) -> str:
    if not _UUID.fullmatch(name) or name in seen:
        return "its id is no UUID, or is there twice"
    if _day(until) is None:
        return "it has no last day"
    return wrong(kind, value)


def _reason(word: str) -> str:
    """A reason as we know it: another provider's own words are not kept."""
    return word if word in REASONS else "mistake"


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


class _Front(msgspec.Struct):
    schema: str = ""


def _schema(data: bytes) -> str:
    try:
        return msgspec.json.decode(data, type=_Front).schema
    except (msgspec.ValidationError, msgspec.DecodeError):
        return ""


def _word(store: Store, data: bytes, peer: str, who: Who, where: str) -> Taken:
    said = words.decoded(data)
    if said.sender != peer or not _UUID.fullmatch(said.id) or not _NAME.fullmatch(said.sender):
        raise SetupError(f"its sender is {said.sender[:40]!r}, and {peer!r} gave it", where=where)
    made = Document(said.id, 0, said.what, peer, "", data.decode("utf-8"))
    with store.writing() as writing:
        if sharing.held(writing, said.id):
            return Taken(where, said.id, 0, said.what, peer)
        about = [one for one in sharing.documents(writing, sharing.OUT) if one.document == said.release and one.case_id]
        if not about:
            raise SetupError("it is about nothing that was told here", where=where)
        sharing.hear_word(writing, made, about[0].case_id, who)
    return Taken(where, said.id, 0, said.what, peer, cases=(about[0].case_id,), news=True)


def take_in_files(store: Store, paths: Iterable[Path], peer: str, lists: WarningLists, who: Who) -> list[Taken]:
    """Take in files, and those of folders, one after the other; one that is refused stops no other."""
    found = []
    for path in _files(paths):
        data = _bytes(path)
        try:
            found.append(take_in(store, data, peer, lists, who, str(path)))
        except (SetupError, StaleError) as error:
            found.append(Taken(str(path), refused=error.what))
    return found


def _files(paths: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        found += sorted(path.glob("*.json"), key=_order) if path.is_dir() else [path]
    return found


def _order(path: Path) -> tuple[str, int]:
    """By document, then by revision as `releasing.put` names files."""
    name, _, revision = path.stem.partition(".")
    return name, int(revision) if revision.isdecimal() else 0


def _bytes(path: Path) -> bytes:
    try:
        return bytes_of(path, MOST_BYTES)
    except OSError as error:
        raise InputError(f"cannot read it: {error.strerror or error}", where=str(path)) from error


def follow(
    store: Store,
    folder: Path,
    peer: str,
    lists: WarningLists,
    who: Callable[[], Who],
    told: Callable[[Taken], None],
    said: Callable[[str], None],
    stop: threading.Event,
) -> None:
    """Take in whatever appears in a folder, until it is stopped. told: called with each document that is news.

    said: called with what is wrong, once for each file as it is.
    """
    seen: dict[Path, tuple[int, int]] = {}
    problem = ""
    while not stop.is_set():
        wrong = ""
        try:
            for path in _files([folder]):
                state = path.stat()
                mark = (state.st_mtime_ns, state.st_size)
                if seen.get(path) == mark:
                    continue
                for one in take_in_files(store, [path], peer, lists, who()):
                    if one.refused:
                        said(f"{path}: {one.refused}")
                    elif one.news:
                        told(one)
                seen[path] = mark
        except (ClonewatchError, OSError) as error:
            wrong = str(error)
        if wrong and wrong != problem:
            said(wrong)
        problem = wrong
        stop.wait(PERIOD)
