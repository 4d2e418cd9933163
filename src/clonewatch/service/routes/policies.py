"""Policies with their backtests, whom they would touch in a group, and the decisions that gateways were given."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from clonewatch.cases.appeal_clock import in_force
from clonewatch.cases.changes import day
from clonewatch.cases.containments import containments
from clonewatch.cases.measures import MEASURES, STANDING
from clonewatch.enforcement.gathering import approved
from clonewatch.enforcement.preview import SHOWN, reach
from clonewatch.model.errors import ClonewatchError
from clonewatch.policy.published import InPlace, in_place
from clonewatch.service.pages import render
from clonewatch.service.views.results import opened
from clonewatch.service.views.trials import shown, usable
from clonewatch.service.visits import Reader, Visit

router = APIRouter()
Day = Annotated[str, Query(max_length=10)]


@router.get("/policies")
def listed(visit: Reader, since: Day = "", until: Day = "") -> HTMLResponse:
    """The policies that the console was started with, each tried on the kept results."""
    settings = visit.settings
    days = tuple(date.fromisoformat(day(one)) if one else None for one in (since, until))
    results = dict.fromkeys([*settings.kept, *([settings.result] if settings.result else [])])
    found = shown(settings.policies, list(results), visit.store, _now(visit), (days[0], days[1]))
    return render(visit, "policies.html.j2", found=found, since=since, until=until, results=len(results))


@router.get("/campaigns/{group}/policies")
def preview(visit: Reader, group: str) -> HTMLResponse:
    """Whom policies would touch in a group, had they been published now."""
    with opened(visit.settings.result) as result:
        row = result.group(group)
        now = _now(visit)
        found = reach(usable(visit.settings.policies), result.folder, group, approved(visit.store, now), now)
        values: dict[str, Any] = {"row": row, "group": group, "found": found, "most": SHOWN}
        return render(visit, "reach.html.j2", faulty=len(visit.settings.policies) - len(found), **values)


@router.get("/decisions")
def decisions(visit: Reader) -> HTMLResponse:
    """Measures in force and what gateways were given, each with its end, and how to lift it."""
    at = visit.settings.clock()
    with visit.store.reading() as store:
        standing = [one for one in containments(store, state=STANDING) if one.until >= at[:10]]
        under: dict[str, int] = {}
        for holder in in_force(store, at):
            name = holder.containment.containment
            under[name] = under.get(name, 0) + 1
    given, problem = given_list(visit)
    enforced: dict[str, list[tuple[Any, int]]] = {}
    simulated: dict[tuple[str, str], int] = {}
    for entry, accounts in given.decisions if given else ():
        if entry["mode"] == "enforce":
            enforced.setdefault(entry["case"], []).append((entry, accounts))
        else:
            key = entry["action"], entry["reason"]
            simulated[key] = simulated.get(key, 0) + accounts
    values: dict[str, Any] = {
        "standing": standing,
        "under": under,
        "given": given,
        "problem": problem,
        "enforced": enforced,
        "others": {case: held for case, held in enforced.items() if case not in {one.case for one in standing}},
        "simulated": sorted(simulated.items()),
        "stale": bool(given and given.valid_until <= _now(visit)),
        "moment": lambda seconds: f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    return render(visit, "decisions.html.j2", measures=MEASURES, **values)


def given_list(visit: Visit) -> tuple[InPlace | None, str]:
    """The list that gateways follow, and why there is none to show."""
    folder = visit.settings.watch_list
    if folder is None:
        return None, "The console was started without the folder of the list (--watch-list)."
    try:
        found = in_place(folder)
    except ClonewatchError as error:
        return None, f"The list cannot be read: {getattr(error, 'what', str(error))}."
    return found, "" if found else "Nothing was published yet."


def _now(visit: Visit) -> int:
    return int(datetime.fromisoformat(visit.settings.clock()).timestamp())
