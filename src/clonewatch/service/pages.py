"""How a page is made: templates, what they may call, and answers that are pages."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from clonewatch.cases import sentences
from clonewatch.model.errors import StaleError
from clonewatch.model.version import __version__
from clonewatch.report import numerals
from clonewatch.service import words
from clonewatch.service.visits import Visit

HERE = Path(__file__).parent
THEMES = ("light", "dark")
# Pages of the bar, in order: path, title, role.
BAR = (
    ("/", "Queue", "viewer"),
    ("/pools", "Pools", "viewer"),
    ("/compare", "Compare", "viewer"),
    ("/appeals", "Appeals", "viewer"),
    ("/approvals", "Approvals", "viewer"),
    ("/policies", "Policies", "viewer"),
    ("/decisions", "Decisions", "viewer"),
    ("/live", "Live", "viewer"),
    ("/log", "Log", "viewer"),
    ("/people", "People", "admin"),
    ("/health", "Health", "viewer"),
)
# What a page says after something was done, by the word in its address. Only these are said.
DONE = {
    "ruled": "Ruled. It goes to the next scan.",
    "answered": "Answered. The odds moved, and the next scan knows it.",
    "noted": "Noted.",
    "assigned": "Assigned.",
    "merged": "Merged.",
    "split": "Split in two.",
    "undone": "Taken back. The log keeps both.",
    "asked": "Asked. Another person has to approve it.",
    "begun": "Begun. Now write the notices.",
    "ended": "Ended for all accounts. Whatever carries it out takes it back.",
    "received": "Taken down. The clock runs.",
    "decided": "Answered. Who appealed reads it on their page.",
    "lapsed": "Ended what was over.",
    "nothing": "Nothing is over.",
    "sent": "Sent.",
    "approved": "Approved.",
    "declined": "Declined.",
    "withdrawn": "Withdrawn.",
    "saved": "Saved.",
    "removed": "Removed.",
    "added": "Added.",
    "changed": "Changed.",
}


@cache
def templates() -> Environment:
    """The templates; everything that they print is escaped."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "count": numerals.count,
        "number": numerals.number,
        "day": numerals.day,
        "minute": numerals.minute,
        "visible": numerals.visible,
        "written": numerals.written,
        "amount": numerals.amount,
        "size": numerals.size,
        "share": numerals.share,
        "segment": lambda text: quote(str(text), safe=""),
        "odds": words.odds,
        "bits": sentences.bits,
        "spelled": sentences.spelled,
    }
    made.globals |= {"version": __version__, "query": query, "words": words, "sentences": sentences}
    return made


def query(values: Mapping[str, Any], **changed: Any) -> str:
    """The query of an address: these values with some changed; empty ones are left out."""
    held = {name: value for name, value in (dict(values) | changed).items() if value not in ("", None)}
    return f"?{urlencode(held)}" if held else "?"


def render(visit: Visit, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page for somebody who signed in."""
    shown = {"person": visit.person, "may": visit.may, "csrf": visit.csrf, "waiting": visit.waiting, "visit": visit}
    return bare(visit.request, template, status, **shown, **values)


def bare(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page for anybody."""
    theme = request.cookies.get("theme", "")
    paths = {getattr(route, "path", "") for route in request.app.state.pages}
    shown = {
        "person": None,
        "may": lambda _role: False,
        "csrf": "",
        "waiting": 0,
        "path": request.url.path,
        "theme": theme if theme in THEMES else "",
        "bar": [page for page in BAR if page[0] in paths],
        "done": DONE.get(request.query_params.get("done", ""), ""),
    }
    return HTMLResponse(templates().get_template(template).render(shown | values), status)


def advice(error: Exception) -> tuple[str, str]:
    """What went wrong, and what a person can do about it; advice about commands is for the command line."""
    what, fix = getattr(error, "what", ""), getattr(error, "fix", "")
    if isinstance(error, StaleError):
        fix = "Nothing was changed. Go back, load the page again, and decide anew."
    elif "clonewatch " in fix or "--" in fix:
        fix = ""
    return f"{what[:1].upper()}{what[1:]}.", fix


def back(place: str, done: str = "") -> RedirectResponse:
    """Go to a page of the console after a form was sent; places elsewhere lead to the queue."""
    where = place if is_local(place) else "/"
    if done:
        path, _, rest = where.partition("?")
        kept = [pair for pair in rest.split("&") if pair and not pair.startswith("done=")]
        where = f"{path}?{'&'.join([*kept, f'done={done}'])}"
    return RedirectResponse(where, 303)


def is_local(place: str) -> bool:
    """Whether an address is a path of this console."""
    return place.startswith("/") and not place.startswith(("//", "/\\")) and place.isprintable() and "\\" not in place
