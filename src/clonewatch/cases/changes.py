"""What people do to cases: rule, note, assign, merge, split, and take the last of these back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from clonewatch.cases.records import (
    ALIVE,
    COMMAND_LINE,
    INNOCENT,
    MERGED,
    NEEDS_MORE,
    OPEN,
    RULED,
    RULINGS,
    VOID,
    Case,
    Entry,
    Ruling,
    What,
    note_digest,
)
from clonewatch.cases.store import Writing, new_note
from clonewatch.model.errors import InputError, SetupError, StaleError
from clonewatch.model.questions import BY_ID
from clonewatch.model.same_evidence import ACCOUNTS, SCOPES

_UNDOABLE = ("rule", "answer", "assign", "merge", "split", "undo")
_CHANGED = {
    "seen": "saw it in another scan",
    "rule": "ruled on it",
    "answer": "answered a question about it",
    "assign": "assigned it",
    "merge": "merged it",
    "split": "split it",
    "undo": "took a change back",
}


class Who(NamedTuple):
    """Who changes a case, and when: ISO 8601, UTC. via: how they came; on the command line a name is only claimed."""

    by: str
    at: str
    via: str = COMMAND_LINE


class Decision(NamedTuple):
    """A ruling as it is asked for: see `records.Ruling`."""

    ruling: str
    explanation: str = ""
    scope: str = "evidence"
    until: str = ""


def rule(
    store: Writing, names: Sequence[str], decision: Decision, who: Who, note: str = "", version: int | None = None
) -> list[Case]:
    """Rule on one or several cases, on all or on none. version: that of the case as it was looked at.

    Raises SetupError for a ruling that cannot be given, StaleError where a case changed since that version.
    """
    _check(decision, who.at[:10])
    changed = []
    for case in alive(store, names, version):
        ruling = Ruling(
            ruling=decision.ruling,
            explanation=decision.explanation,
            scope=decision.scope,
            until=decision.until,
            accounts=case.accounts,
            families=case.seen.families,
            odds_bits=case.seen.odds_bits,
            at=who.at,
            by=who.by,
        )
        status = OPEN if decision.ruling == NEEDS_MORE else RULED
        changed.append(following(case, ruling=ruling, status=status))
        add_entry(store, "rule", who, (changed[-1],), note=note)
    return changed


def annotate(store: Writing, name: str, text: str, who: Who) -> Case:
    """Add a note to a case. It changes nothing of the case, so it goes with whatever others do."""
    if not text.strip():
        raise SetupError("the note is empty", fix="Write what you know: clonewatch cases note K0001 TEXT")
    case = store.case(name)
    add_entry(store, "note", who, (), (case.case,), note=text)
    return case


def assign(
    store: Writing, names: Sequence[str], who: Who, to: str | None, due: str | None, version: int | None = None
) -> list[Case]:
    """Say who looks at cases, and until when. None leaves what there is; an empty text takes it away."""
    if to is None and due is None:
        raise SetupError("neither a person nor a day is named", fix="Pass --to NAME, --due DATE, or both")
    changed = []
    for case in alive(store, names, version):
        kept = {"assignee": case.assignee if to is None else to, "due": case.due if due is None else due}
        changed.append(following(case, **kept))
        add_entry(store, "assign", who, (changed[-1],))
    return changed


def merge(store: Writing, names: Sequence[str], into: str, who: Who, note: str = "") -> Case:
    """Merge cases into another. It is open afterwards: rulings and answers were about fewer accounts."""
    kept, others = alive(store, [into], None)[0], alive(store, names, None)
    if kept.case in {case.case for case in others}:
        raise SetupError(f"{kept.case} cannot be merged into itself", fix="Name other cases than the one of --into")
    accounts = frozenset().union(*(store.accounts(case.accounts) for case in (kept, *others)))
    whole = following(
        kept,
        accounts=store.keep(accounts),
        size=len(accounts),
        absorbed=(*kept.absorbed, *(case.case for case in others)),
        seen=max((kept.seen, *(case.seen for case in others)), key=lambda seen: seen.last),
        ruling=None,
        answers=UNSET,
        status=OPEN,
    )
    gone = [following(case, status=MERGED, merged_into=kept.case) for case in others]
    add_entry(store, "merge", who, (whole, *gone), note=note)
    return whole


def split(store: Writing, name: str, accounts: frozenset[str], who: Who, note: str = "") -> tuple[Case, Case]:
    """Move accounts of a case to a new one; returns both. A ruling stays with both: it was about all of them."""
    (case,) = alive(store, [name], None)
    held = store.accounts(case.accounts)
    if strange := sorted(accounts - held):
        raise InputError(
            f"{len(strange):,} of these accounts are not in {case.case}: {', '.join(strange[:3])}",
            fix=f"`clonewatch cases show {case.case} --accounts` lists its accounts",
        )
    if not accounts or accounts == held:
        raise InputError(f"that leaves one of both parts of {case.case} empty", fix="Name some of its accounts")
    rest = following(case, accounts=store.keep(held - accounts), size=len(held - accounts))
    part = msgspec.structs.replace(
        case,
        case=store.new_id(),
        version=1,
        accounts=store.keep(accounts),
        size=len(accounts),
        absorbed=(),
        split_from=case.case,
    )
    add_entry(store, "split", who, (rest, part), note=note)
    return rest, part


def undo(store: Writing, name: str, who: Who, note: str = "") -> tuple[What, list[Case]]:
    """Take back the last ruling, assignment, merge or split of a case; returns what it was, and the cases as they are.

    Raises StaleError where one of the cases that it changed was changed again.
    """
    case = store.case(name)
    done = [(n, entry) for n, entry in store.history(case.case) if entry.what in _UNDOABLE]
    if not done:
        raise InputError(
            f"nobody has changed {case.case}: scans saw it, which cannot be undone", fix="Rule on it, or split it"
        )
    number, last = done[-1]
    back = []
    for changed in last.cases:
        now = store.case(changed.case)
        if not _only_seen(changed, now):
            _refuse_stale(store, now, changed.version)
        earlier = [held for n, entry in store.history(now.case) if n < number for held in entry.cases]
        before = [held for held in earlier if held.case == now.case]
        kept = {"version": now.version + 1, "seen": now.seen}
        back.append(msgspec.structs.replace(before[-1], **kept) if before else following(now, status=VOID))
    add_entry(store, "undo", who, tuple(back), note=note, undone=number)
    return last.what, back


def _only_seen(before: Case, now: Case) -> bool:
    """Whether nothing changed but that scans saw the case again, with no other accounts."""
    return msgspec.structs.replace(before, version=now.version, seen=now.seen) == now


def day(text: str) -> str:
    """A day as cases hold it. Raises SetupError.

    >>> day("2026-12-01")
    '2026-12-01'
    """
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise SetupError(f"{text!r} is no day", fix="Write it as 2026-12-01") from error


def _check(decision: Decision, today: str) -> None:
    if decision.ruling not in RULINGS or decision.scope not in SCOPES:
        raise SetupError(f"there is no ruling {decision.ruling!r} of scope {decision.scope!r}")
    innocent = decision.ruling == INNOCENT
    if innocent and decision.explanation not in BY_ID:
        named = f"there is no innocent explanation {decision.explanation!r}"
        raise SetupError(
            named if decision.explanation else "an innocent ruling names the explanation that holds",
            fix=f"Use one of: {', '.join(BY_ID)}",
        )
    if not innocent and (decision.scope == ACCOUNTS or decision.until):
        raise SetupError("only an innocent ruling has a scope or ends", fix="Leave out --scope and --until")
    if decision.scope == ACCOUNTS and not decision.until:
        raise SetupError(
            "a ruling for whatever these accounts do needs an end", fix="Pass --until DATE, such as the contract's end"
        )
    if decision.until and day(decision.until) < today:
        raise SetupError(f"{decision.until} is over", fix="Pass a day to come with --until")


def alive(store: Writing, names: Sequence[str], version: int | None) -> list[Case]:
    """The cases of these names, each once. Raises InputError for one that is merged or void, StaleError."""
    found = list({case.case: case for case in map(store.case, names)}.values())
    if version is not None and len(found) != 1:
        raise SetupError(
            "several cases have no version in common", fix="Change them one by one, or without --if-version"
        )
    for case in found:
        if version is not None:
            _refuse_stale(store, case, version)
        if case.status not in ALIVE:
            where = f"merged into {case.merged_into}" if case.status == MERGED else "void"
            raise InputError(f"{case.case} is {where}", fix=f"Look at it: clonewatch cases show {case.case}")
    return found


def _refuse_stale(store: Writing, case: Case, version: int) -> None:
    """Raise StaleError where a case is not the one that somebody looked at, with who changed it how."""
    if case.version == version:
        return
    since = [
        f"{entry.by or 'somebody'} {_CHANGED.get(entry.what, 'changed it')} on {entry.at}"
        for _, entry in store.history(case.case)
        for held in entry.cases
        if held.case == case.case and held.version > version
    ]
    said = "; ".join(since) if since else f"it never had a version {version}"
    raise StaleError(
        f"{case.case} is at version {case.version}, not {version}: {said}",
        fix=f"Look at it again and decide anew: clonewatch cases show {case.case}",
    )


def following(case: Case, **changed: object) -> Case:
    """A case after a change: its next version."""
    return msgspec.structs.replace(case, version=case.version + 1, **changed)


def add_entry(
    store: Writing,
    what: What,
    who: Who,
    cases: tuple[Case, ...],
    of: tuple[str, ...] = (),
    *,
    note: str = "",
    undone: int | None = None,
    because: tuple[str, ...] = (),
) -> int:
    """Add an entry about these cases as they are now, or about those named by `of`; returns its number."""
    held = new_note(note) if note.strip() else None
    names = of or tuple(case.case for case in cases)
    digest = note_digest(held.salt, held.text) if held else ""
    return store.add(Entry(what, who.at, who.by, names, cases, because, note=digest, undone=undone, via=who.via), held)
