"""Audits of suspect models in a bundle: each is verified before it goes in, and is told in the words of its report."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from clonewatch.audit import report
from clonewatch.audit.custody import other_plans
from clonewatch.audit.folder import PAGE, PLAN, REPORT, RESULTS, Folder
from clonewatch.audit.json_text import digest_of
from clonewatch.audit.ledger import Ledger
from clonewatch.audit.plan import AuditPlan, converted
from clonewatch.audit.run import read_plan
from clonewatch.audit.verification import age, verify
from clonewatch.dossier.envelope import spelled, strict
from clonewatch.model.errors import InputError, LogError
from clonewatch.report.numerals import amount, visible

FOLDER = "audits/"
CHECKED = "checked.json"
# Prompts, answers, the ledger and its secrets stay where they are.
_TAKEN = (PLAN, RESULTS, REPORT, PAGE)
_LEDGER = "ledger.jsonl"
_TEXT = 2_000
NOT_SHOWN = (
    "An audit says whether a suspect's behaviour depends on a secret. It does not say who operates the group of this"
    " file, nor who trained the suspect, nor that the exchanges of this group were what it was trained on: L5 is no"
    " attribution."
)


def gathered(folders: Sequence[Path]) -> dict[str, bytes]:
    """The files of audits by path in the bundle. Their ledger lies beside each folder.

    Raises InputError where an audit does not hold, with the first of its problems.
    """
    found: dict[str, bytes] = {}
    for number, folder in enumerate(folders, 1):
        kept, ledger = Folder(folder), Ledger(Path(os.path.realpath(folder)).parent / _LEDGER)
        if not ledger.path.is_file():
            raise InputError(f"there is no {_LEDGER} beside this audit", where=str(folder), fix="Put it there")
        held = {name: kept.read(name) for name in _TAKEN}
        _check(kept, ledger)
        if held != {name: kept.read(name) for name in _TAKEN}:
            raise InputError("the audit was changed while it was read", where=str(folder), fix="Run it again")
        _, digest = read_plan(kept)
        checked = {"age": age(ledger), "head": ledger.head(), "plans": len(other_plans(ledger.records(), digest))}
        for name, data in (held | {CHECKED: spelled(checked)}).items():
            found[f"{FOLDER}{number}/{name}"] = data
    return found


def _check(kept: Folder, ledger: Ledger) -> None:
    style = (resources("clonewatch.report") / "templates" / "style.css").read_text(encoding="utf-8")
    problems = verify(kept, ledger, style=style)
    if problems:
        first, more = problems[0], len(problems) - 1
        raise InputError(
            f"this audit does not hold: {first.where}: {first.what}"
            + (f", and {amount(more, 'more problem')}" if more else ""),
            where=str(kept.path),
            fix=f"See all of them: clonewatch audit verify {kept.path}",
        )


def told(files: Mapping[str, bytes], case: str) -> list[dict[str, Any]]:
    """What the audits among the files of a bundle show, in their order. Raises LogError for one that is not whole."""
    names = {name.split("/")[1] for name in files if name.startswith(FOLDER)}
    return [_audit(files, name, case) for name in sorted(names, key=lambda name: (len(name), name))]


def _audit(files: Mapping[str, bytes], name: str, case: str) -> dict[str, Any]:
    place = f"{FOLDER}{name}/"
    if lacking := {*_TAKEN, CHECKED} - {one.removeprefix(place) for one in files if one.startswith(place)}:
        raise LogError(f"the bundle has no {place}{min(lacking)}")
    plain, results = json.loads(files[place + PLAN]), json.loads(files[place + RESULTS])
    checked = strict(files[place + CHECKED], place + CHECKED)
    try:
        plan = converted(plain, AuditPlan, place + PLAN)
    except InputError as error:
        raise LogError(f"{place}{PLAN}: {error.what}") from error
    if results["plan"] != digest_of(plain):
        raise LogError(f"{place}{RESULTS} holds the results of another plan")
    suspect, sources = plan.sources["suspect"], results["sources"]["suspect"]
    return {
        "folder": place,
        "suspect": {"model": visible(suspect.model), "url": visible(suspect.url)},
        "window": {"first": sources["first"], "last": sources["last"]},
        "plan": {"made": plan.made, "sha256": results["plan"]},
        "looks": {"planned": plan.looks, "made": results["parts"]},
        "about_case": _about(plan, case),
        "chapters": [_chapter(one) for one in report.findings(plan, results)],
        "plans_of_ledger": checked["plans"],
        "ledger_head": checked["head"],
        "age": checked["age"],
        "not_shown": NOT_SHOWN,
    }


def _about(plan: AuditPlan, case: str) -> list[str]:
    """Per test, whether its secret was served to the case, as the owner of the ledger states it."""
    said = []
    for test in plan.tests:
        to = (
            "was served to everybody"
            if not test.carriers
            else f"was served to {case}"
            if case in test.carriers
            else f"is not said to have been served to {case}; it says nothing about this case"
        )
        said.append(f"{visible(test.id)}: by its ledger the secret {to}.")
    return said


def _chapter(one: report.Chapter) -> dict[str, Any]:
    return {
        "title": one.title,
        "sentences": [visible(said, _TEXT) for said in one.sentences],
        "points": [visible(said, _TEXT) for said in one.points],
        "table": [[visible(cell, _TEXT) for cell in row] for row in one.table],
    }
