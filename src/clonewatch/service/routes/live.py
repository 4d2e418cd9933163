"""Live traffic at a glance: what comes in, how old it is, what gateways follow, and whether they act."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from clonewatch.service.pages import render
from clonewatch.service.routes.policies import given_list
from clonewatch.service.views.live import SILENT, ago, by_minute, canary, traffic
from clonewatch.service.visits import Reader

router = APIRouter()


@router.get("/live")
def live(visit: Reader) -> HTMLResponse:
    """The overview. Everything is read from files of this machine; nobody is asked."""
    settings = visit.settings
    now = datetime.fromisoformat(settings.clock()).timestamp()
    found = traffic(settings.spool, now) if settings.spool else None
    given, problem = given_list(visit)
    decisions: Counter[tuple[str, str]] = Counter()
    for entry, accounts in given.decisions if given else ():
        decisions[entry["mode"], entry["action"]] += accounts
    values: dict[str, Any] = {
        "traffic": found,
        "chart": by_minute(found.minutes) if found else "",
        "silent": bool(found and now - found.written > SILENT),
        "given": given,
        "problem": problem,
        "stale": bool(given and given.valid_until <= now),
        "decisions": sorted(decisions.items()),
        "canary": canary(settings.canary) if settings.canary else None,
        "ago": lambda at: ago(max(0.0, now - at)),
    }
    return render(visit, "live.html.j2", **values)
