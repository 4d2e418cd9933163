"""What an analyst does to a case. Each is an entry of the log, under the name of whoever signed in."""

from __future__ import annotations

import json
from typing import Annotated

import msgspec
from fastapi import APIRouter, Form
from fastapi.responses import Response

from clonewatch.cases import approvals
from clonewatch.cases.answering import answer
from clonewatch.cases.changes import Decision, annotate, assign, day, merge, rule, split, undo
from clonewatch.cases.records import CONSOLE, Entry
from clonewatch.model.errors import SetupError
from clonewatch.service.pages import back
from clonewatch.service.visits import Analyst, Line, Long, Version

router = APIRouter()


@router.post("/cases/{name}/rule")
def rule_on(
    visit: Analyst,
    name: str,
    ruling: Line,
    version: Version,
    explanation: Line = "",
    scope: Line = "evidence",
    until: Line = "",
    note: Long = "",
) -> Response:
    """Rule on a case as it was shown."""
    innocent = ruling == "innocent"
    decision = Decision(
        ruling, explanation if innocent else "", scope if innocent else "evidence", until if innocent else ""
    )
    with visit.store.writing() as store:
        rule(store, [name], decision, visit.who(), note.strip(), version)
    return back(f"/cases/{name}", "ruled")


@router.post("/cases/{name}/answer")
def answer_to(
    visit: Analyst,
    name: str,
    question: Line,
    answer_: Annotated[str, Form(alias="answer", pattern="^(yes|no)$")],
    version: Version,
    note: Long = "",
    here: Line = "",
) -> Response:
    """Answer a question about a case as it was shown."""
    with visit.store.writing() as store:
        answer(store, name, question, answer_ == "yes", visit.who(), note.strip(), version)
    return back(here or f"/cases/{name}", "answered")


@router.post("/cases/{name}/note")
def note_on(visit: Analyst, name: str, text: Long) -> Response:
    """Add a note."""
    with visit.store.writing() as store:
        annotate(store, name, text.strip(), visit.who())
    return back(f"/cases/{name}", "noted")


@router.post("/cases/{name}/assign")
def assign_to(visit: Analyst, name: str, version: Version, to: Line = "", due: Line = "") -> Response:
    """Say who looks at a case, and until when; empty is nobody, and no day."""
    with visit.store.writing() as store:
        assign(store, [name], visit.who(), to.strip(), day(due) if due else "", version)
    return back(f"/cases/{name}", "assigned")


@router.post("/cases/{name}/merge")
def merge_into(visit: Analyst, name: str, others: Line, note: Long = "") -> Response:
    """Merge other cases into this one."""
    names = others.replace(",", " ").split()
    if not names:
        raise SetupError("no other case is named", fix="Name cases such as K0002")
    with visit.store.writing() as store:
        merge(store, names, name, visit.who(), note.strip())
    return back(f"/cases/{name}", "merged")


@router.post("/cases/{name}/split")
def split_off(
    visit: Analyst,
    name: str,
    accounts: Annotated[list[str] | None, Form()] = None,
    pasted: Annotated[str, Form(max_length=1_500_000)] = "",
    note: Long = "",
) -> Response:
    """Move accounts of a case to a new one: those that were chosen, and those that were pasted, one a line."""
    chosen = frozenset([*(accounts or []), *(line.strip() for line in pasted.splitlines() if line.strip())])
    with visit.store.writing() as store:
        _, part = split(store, name, chosen, visit.who(), note.strip())
    return back(f"/cases/{part.case}", "split")


@router.post("/cases/{name}/undo")
def undo_last(visit: Analyst, name: str, note: Long = "") -> Response:
    """Take the last change of a case back."""
    with visit.store.writing() as store:
        undo(store, name, visit.who(), note.strip())
    return back(f"/cases/{name}", "undone")


@router.post("/cases/{name}/ask")
def ask_for(visit: Analyst, name: str, what: Line, why: Long, version: Version) -> Response:
    """Ask a second person that the file of a case leaves the house. A measure has a form of its own."""
    if what == approvals.BLOCK:
        raise SetupError("a measure takes a ground and an end", fix="Fill in the form for a measure on the case's page")
    with visit.store.writing() as store:
        approvals.ask(store, name, what, why.strip(), visit.who(), version)
    return back(f"/cases/{name}", "asked")


@router.post("/cases/{name}/export")
def export(visit: Analyst, name: str) -> Response:
    """The file of a case, once a second person approved that it leaves the house; every copy is logged."""
    with visit.store.writing() as store:
        found = store.case(name)
        approved = approvals.stands(store, found.case, approvals.EXPORT)
        if approved is None:
            raise SetupError(
                f"nobody approved that the file of {found.case} leaves the house", fix="Ask a second person for it"
            )
        who = visit.who()
        said = ("the file of the case", f"request {approved.entry}")
        store.add(Entry("export", who.at, who.by, (found.case,), because=said, via=CONSOLE))
        held = {
            "case": msgspec.to_builtins(found),
            "accounts": sorted(store.accounts(found.accounts)),
            "history": [
                {"entry": number, **msgspec.to_builtins(entry), "note": note.text if note else None}
                for number, entry in store.history(found.case)
                for note in [store.note(number) if entry.note else None]
            ],
        }
    named = f'attachment; filename="{found.case}.json"'
    return Response(json.dumps(held, indent=1), media_type="application/json", headers={"content-disposition": named})
