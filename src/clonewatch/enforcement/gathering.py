"""Gathers what a policy is applied to: groups of scans, and measures and rulings of a case store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.model.errors import InputError

if TYPE_CHECKING:
    from clonewatch.cases.store import Reading, Store
    from clonewatch.pipeline.daily.growing import Grown
    from clonewatch.policy.backtest import Kept
    from clonewatch.policy.entries import Measure
    from clonewatch.policy.groups import Ruled
    from clonewatch.policy.matching import Member

_TABLES = ("campaigns", "members", "attributes", "evidence")


def of_scans(
    scans: Sequence[Path], ruled: Iterable[Ruled], group: str = "", grown: Sequence[Sequence[Grown]] = ()
) -> tuple[list[Member], dict[str, list[str]]]:
    """The accounts of groups of several scans with their facts, and the slices of the groups. group: only this one.

    grown: for each scan the accounts that joined its groups since; those of groups that were ruled confirmed count.

    With several scans the id of a group gets the number of its scan, since each scan counts from C0001.
    """
    from clonewatch.pipeline.scan_result import read_table
    from clonewatch.policy.groups import joined, members, slices

    cases = list(ruled)
    found: list[Member] = []
    attributes: dict[str, list[str]] = {}
    for number, scan in enumerate(scans, 1):
        prefix = f"{number}:" if len(scans) > 1 else ""
        tables = {name: _rows(read_table(scan, name), group) for name in _TABLES}
        held = members(tables["campaigns"], tables["members"], _last(scan), cases)
        since = grown[number - 1] if number <= len(grown) else ()
        held += joined([(g.account, g.group, g.posterior, g.families, g.asked / g.exchanges) for g in since], held)
        found += [one._replace(group=prefix + one.group) for one in held]
        attributes |= {
            prefix + group: named for group, named in slices(tables["attributes"], tables["evidence"]).items()
        }
    return found, attributes


def _rows(table: pa.Table, group: str) -> list[dict[str, Any]]:
    held: list[dict[str, Any]] = (table.filter(pc.field("campaign_id") == group) if group else table).to_pylist()
    return held


def kept(scans: Sequence[Path], ruled: Iterable[Ruled]) -> list[Kept]:
    """Results as a backtest reads them: what was ruled after the end of a window is not known in it.

    Raises InputError for a result without a window.
    """
    from clonewatch.pipeline.scan_result import read_table
    from clonewatch.policy.backtest import Kept
    from clonewatch.policy.groups import members

    cases = list(ruled)
    found = []
    for scan in scans:
        last = _last(scan)
        if last is None:
            raise InputError(
                "this result has no exchange, so its window has no end", where=str(scan), fix="Leave it out"
            )
        tables = {name: read_table(scan, name).to_pylist() for name in ("campaigns", "members", "timeline")}
        harvested: dict[str, dict[datetime, int]] = {}
        for row in tables["timeline"]:
            days = harvested.setdefault(row["campaign_id"], {})
            days[row["day"]] = days.get(row["day"], 0) + row["harvested"]
        then = [case for case in cases if case.at <= last]
        held = members(tables["campaigns"], tables["members"], last, then)
        found.append(Kept(last, held, tables["members"], harvested))
    return found


class Approved(NamedTuple):
    """What people decided. measures: in force, by account. cleared: accounts that the same evidence says nothing about.

    Those are of cases that were ruled innocent, or their measure was overturned, lapsed or lifted, and no other began.
    """

    measures: dict[str, list[Measure]]
    ruled: list[Ruled]
    cleared: frozenset[str]


NOBODY = Approved({}, [], frozenset())


def approved(store: Store, now: int) -> Approved:
    """The measures in force, what was ruled on which accounts, and who was cleared. now: seconds since 1970."""
    from clonewatch.cases.appeal_clock import in_force
    from clonewatch.cases.records import INNOCENT, RULED
    from clonewatch.cases.repeats import earlier
    from clonewatch.policy.entries import Measure
    from clonewatch.policy.groups import Ruled

    at = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}"
    measures: dict[str, list[Measure]] = {}
    again: dict[str, int] = {}
    with store.reading() as reading:
        for one in in_force(reading, at):
            by = one.containment
            ends = datetime.fromisoformat(by.until).replace(tzinfo=UTC) + timedelta(days=1)
            persons = (by.asked_by, by.begun_by)
            if by.containment not in again:
                again[by.containment] = len(earlier(reading, by))
            times = _seconds(by.begins), int(ends.timestamp())
            measures.setdefault(one.account, []).append(
                Measure(one.measure, by.case, persons, *times, again[by.containment])
            )
        ruled = [
            Ruled(
                case.case,
                case.ruling.ruling,
                reading.accounts(case.accounts),
                datetime.fromisoformat(case.ruling.at),
                case.ruling.explanation or "",
            )
            for case in reading.cases()
            if case.status == RULED and case.ruling
        ]
        cleared = _cleared(reading).union(*(one.accounts for one in ruled if one.ruling == INNOCENT))
    return Approved(measures, ruled, cleared - measures.keys())


def _cleared(store: Reading) -> frozenset[str]:
    from clonewatch.cases.containments import containments
    from clonewatch.cases.measures import CLEARED

    found: set[str] = set()
    for held in containments(store):
        accounts = sorted(store.accounts(held.accounts))
        found |= {accounts[one.holder] for one in held.holders() if one.state in CLEARED}
    return frozenset(found)


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def _last(scan: Path) -> datetime | None:
    """The end of a result's window; None where it holds no exchange."""
    from clonewatch.pipeline.scan_result import read_summary

    last = (read_summary(scan).get("window") or {}).get("last")
    try:
        return datetime.fromisoformat(last) if last else None
    except (TypeError, ValueError) as error:
        raise InputError(
            "the window of this result has no end that can be read", where=str(scan), fix="Run the scan again"
        ) from error
