"""Whether people have the rights, and requests the approvals, that the log says."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, select

from clonewatch.cases.approvals import DECIDED, WAITING, Approval
from clonewatch.cases.records import Entry
from clonewatch.cases.tables import APPROVALS, PEOPLE


def check_rights(connection: Connection, entries: Mapping[int, Entry]) -> list[str]:
    """What the tables of people and approvals say that the log does not, and the other way round."""
    return [*_people(connection, entries), *_approvals(connection, entries)]


def _people(connection: Connection, entries: Mapping[int, Entry]) -> list[str]:
    wanted = {e.because[0]: e.because[1:3] for _, e in sorted(entries.items()) if e.what == "person" and e.because}
    rows = connection.execute(select(PEOPLE.c.name, PEOPLE.c.role, PEOPLE.c.active))
    held = {row.name: (row.role, "active" if row.active else "inactive") for row in rows}
    return [
        f"the rights of {name} are not what the log says of them"
        for name in sorted(wanted.keys() | held.keys())
        if wanted.get(name) != held.get(name)
    ]


def _approvals(connection: Connection, entries: Mapping[int, Entry]) -> list[str]:
    held = [Approval._make([*row, ""]) for row in connection.execute(select(APPROVALS))]
    asked = {number for number, e in entries.items() if e.what == "request"}
    decided = {number for number, e in entries.items() if e.what in DECIDED.values()}
    wrong = [one.entry for one in held if not (_was_asked(one, entries) and _was_decided(one, entries))]
    wrong += list(asked - {one.entry for one in held})
    lost = decided - {one.decided_entry for one in held}
    return [f"request {number} is not what the log says of it" for number in sorted(wrong)] + [
        f"the decision of entry {number} is on no request" for number in sorted(lost)
    ]


def _was_asked(one: Approval, entries: Mapping[int, Entry]) -> bool:
    entry = entries.get(one.entry)
    said = (one.by, one.at, (one.case_id,), (one.what, f"version {one.version}"))
    return entry is not None and entry.what == "request" and (entry.by, entry.at, entry.of, entry.because) == said


def _was_decided(one: Approval, entries: Mapping[int, Entry]) -> bool:
    if one.state == WAITING:
        return (one.decided_entry, one.decided_by, one.decided_at) == (None, "", "")
    entry = entries.get(-1 if one.decided_entry is None else one.decided_entry)
    said = (one.decided_by, one.decided_at, (one.case_id,), (one.what, f"request {one.entry}"))
    return (
        entry is not None
        and entry.what == DECIDED.get(one.state)
        and (entry.by, entry.at, entry.of, entry.because) == said
    )
