"""Gathers what a policy is applied to: groups of scans, and measures and rulings of a case store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clonewatch.cli.case_options import opened

if TYPE_CHECKING:
    from clonewatch.policy.entries import Measure
    from clonewatch.policy.groups import Ruled
    from clonewatch.policy.matching import Member


def of_scans(scans: Sequence[Path], ruled: Iterable[Ruled]) -> tuple[list[Member], dict[str, list[str]]]:
    """The accounts of groups of several scans with their facts, and the slices of the groups.

    With several scans the id of a group gets the number of its scan, since each scan counts from C0001.
    """
    from clonewatch.pipeline.scan_result import read_summary, read_table
    from clonewatch.policy.groups import members, slices

    cases = list(ruled)
    found: list[Member] = []
    attributes: dict[str, list[str]] = {}
    for number, scan in enumerate(scans, 1):
        prefix = f"{number}:" if len(scans) > 1 else ""
        tables = {name: read_table(scan, name).to_pylist() for name in ("campaigns", "members", "attributes")}
        held = members(tables["campaigns"], tables["members"], _last(read_summary(scan)), cases)
        found += [one._replace(group=prefix + one.group) for one in held]
        attributes |= {prefix + group: named for group, named in slices(tables["attributes"]).items()}
    return found, attributes


def approved(store: str, now: int) -> tuple[dict[str, Measure], list[Ruled]]:
    """The measures in force by account, and what was ruled on which accounts."""
    held = opened(store)
    from clonewatch.cases.appeal_clock import in_force
    from clonewatch.cases.records import RULED
    from clonewatch.policy.entries import Measure
    from clonewatch.policy.groups import Ruled

    at = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}"
    measures: dict[str, Measure] = {}
    with held.reading() as reading:
        for one in in_force(reading, at):
            by = one.containment
            ends = datetime.fromisoformat(by.until).replace(tzinfo=UTC) + timedelta(days=1)
            persons = (by.asked_by, by.begun_by)
            measures[one.account] = Measure(one.measure, by.case, persons, _seconds(by.begins), int(ends.timestamp()))
        ruled = [
            Ruled(case.case, case.ruling.ruling, reading.accounts(case.accounts))
            for case in reading.cases()
            if case.status == RULED and case.ruling
        ]
    return measures, ruled


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def _last(summary: dict[str, Any]) -> datetime | None:
    last = (summary.get("window") or {}).get("last")
    return datetime.fromisoformat(last) if last else None
