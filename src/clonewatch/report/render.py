"""A scan as one HTML page that needs nothing else: no script, no request, the same bytes for the same tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, PackageLoader, StrictUndefined

from clonewatch.model import schema
from clonewatch.ports.signal import Signal
from clonewatch.report import chapters, method, numerals, phrases, standing
from clonewatch.report.cards import Cards
from clonewatch.report.tables import whole


def render(directory_tables: Mapping[str, pa.Table], summary: Mapping[str, Any], signals: Iterable[Signal] = ()) -> str:
    """The report of a scan as one self-contained HTML page.

    directory_tables: the tables of `model.schema.RESULTS` by name; absent ones count as empty. summary: what
    `scan.json` holds; absent keys are shown as unknown. signals: the signals this version has, whose cards the
    page prints. No clock, no randomness: the same arguments give the same page.

    >>> page = render({}, {})
    >>> "Nothing was flagged" in page, "<script" in page
    (True, False)
    """
    known = Cards(signals)
    rows = chapters.ranked(directory_tables)
    of = {which: [row for row in rows if standing.outcome(row) == which] for which in ("flagged", "review", "listed")}
    full = [row for which, most in chapters.IN_FULL.items() for row in of[which][:most]]
    shown = chapters.chapters(directory_tables, full, known)
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            answer=headline(directory_tables),
            flagged=[c for c in shown if standing.outcome(c.row) == "flagged"],
            review=[c for c in shown if standing.outcome(c.row) == "review"],
            linked=[c for c in shown if standing.outcome(c.row) == "listed"],
            others=[row for which, most in chapters.IN_FULL.items() for row in of[which][most:]],
            method=method.gather(summary, known),
            never_said=phrases.NEVER_SAID,
        )
    )


def headline(tables: Mapping[str, pa.Table]) -> method.Answer:
    """The answer of a scan in a sentence, and what limits it.

    tables: at least `campaigns`; with `members` accounts in several campaigns count once.
    """
    rows = chapters.ranked(tables)
    return method.answer(rows, _members(tables, [row for row in rows if row["flagged"]]))


def _members(tables: Mapping[str, pa.Table], flagged: list[dict[str, Any]]) -> tuple[int, int] | None:
    """Distinct accounts that act in flagged campaigns, and distinct bystanders; None when members are absent."""
    if schema.MEMBERS.name not in tables:
        return None
    members = whole(tables, schema.MEMBERS)
    ids = pa.array([row["campaign_id"] for row in flagged], pa.string())
    inside = members.filter(pc.is_in(members["campaign_id"], value_set=ids))
    passing = pc.fill_null(pc.equal(inside["role"], phrases.BYSTANDER), False)
    acting = pc.count_distinct(inside["account_id"].filter(pc.invert(passing))).as_py()
    return acting, pc.count_distinct(inside["account_id"]).as_py() - acting


@cache
def environment() -> Environment:
    """The templates of reports; everything that they print is escaped."""
    environment = Environment(
        loader=PackageLoader("clonewatch.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for reading in (
        numerals.count,
        numerals.number,
        numerals.share,
        numerals.amount,
        numerals.size,
        numerals.day,
        numerals.minute,
        numerals.visible,
        numerals.short,
        numerals.sentence,
        phrases.plain,
        phrases.thing,
        standing.seen,
        standing.outcome,
        standing.question,
    ):
        environment.filters[reading.__name__] = reading
    environment.globals["role"] = phrases.role
    environment.globals["ladder"] = phrases.LADDER
    return environment
