"""Whether containments, the accounts under them, appeals and attachments are what the log says of them."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from msgspec import UNSET
from sqlalchemy import Table, select

from clonewatch.cases import attachments
from clonewatch.cases.measures import PLANNED, Appeal, Containment
from clonewatch.cases.records import Entry
from clonewatch.cases.store import Reading, hashed
from clonewatch.cases.tables import (
    ACCOUNT_SETS,
    APPEALS,
    ATTACHED,
    ATTACHMENTS,
    CARRIED,
    CONTAINMENTS,
    HOLDERS,
    appeal_row,
    containment_row,
)


def check_appeals(store: Reading, entries: Mapping[int, Entry]) -> list[str]:
    """What the tables of measures and appeals say that the log does not, and the other way round."""
    containments: dict[str, Containment] = {}
    appeals: dict[str, Appeal] = {}
    for _, entry in sorted(entries.items()):
        if entry.containment is not UNSET:
            containments[entry.containment.containment] = entry.containment
        if entry.appeal is not UNSET:
            appeals[entry.appeal.appeal] = entry.appeal
    return [
        *_differ(store, CONTAINMENTS, "containment", {n: containment_row(c) for n, c in containments.items()}),
        *_differ(store, APPEALS, "appeal", {n: appeal_row(a) for n, a in appeals.items()}),
        *_holders(store, containments),
        *_attached(store, entries),
        *_contents(store),
        *_carried(store),
    ]


def _differ(store: Reading, table: Table, key: str, wanted: Mapping[str, dict[str, object]]) -> list[str]:
    held = {row[key]: dict(row) for row in store.connection.execute(select(table)).mappings()}
    return [
        f"{name} is not what the log says of it"
        for name in sorted(held.keys() | wanted.keys())
        if held.get(name) != wanted.get(name)
    ]


def _holders(store: Reading, containments: Mapping[str, Containment]) -> list[str]:
    """Accounts follow from the newest containment: who they are, their state and their measure."""
    columns = (HOLDERS.c.number, HOLDERS.c.account, HOLDERS.c.state, HOLDERS.c.measure)
    rows = store.connection.execute(select(HOLDERS.c.containment, *columns)).all()
    held: dict[str, list[tuple[object, ...]]] = {}
    for name, *row in rows:
        held.setdefault(name, []).append(tuple(row))
    sets = set(store.connection.execute(select(ACCOUNT_SETS.c.digest)).scalars())
    faults = [f"accounts are under {name}, which the log does not know" for name in sorted(held.keys() - containments)]
    for name, one in sorted(containments.items()):
        # A list that is gone is reported elsewhere.
        if one.accounts not in sets:
            continue
        accounts = sorted(store.accounts(one.accounts))
        if len(accounts) != one.size:
            continue
        under = [] if one.state == PLANNED else one.holders()
        wanted = [(h.holder, hashed(accounts[h.holder]), h.state, h.measure) for h in under]
        if sorted(held.get(name, []), key=str) != sorted(wanted, key=str):
            faults.append(f"the accounts under {name} are not what the log says of them")
    return faults


def _attached(store: Reading, entries: Mapping[int, Entry]) -> list[str]:
    wanted = {
        (number, said)
        for number, entry in entries.items()
        if entry.what in ("appeal", "reply")
        for said in entry.because
    }
    numbers = [number for (number,) in store.connection.execute(select(ATTACHED.c.entry).distinct())]
    found = attachments.of(store, numbers)
    held = {(a.entry, attachments.said(a.number, a.digest, a.media_type, a.size)) for a in found}
    return [f"the files of entry {n} are not what the log says of them" for n in sorted({n for n, _ in wanted ^ held})]


def _contents(store: Reading) -> list[str]:
    """Files are read one after the other, as all of them may be large."""
    faults = []
    for (digest,) in store.connection.execute(select(ATTACHMENTS.c.digest)).all():
        row = store.connection.execute(select(ATTACHMENTS).where(ATTACHMENTS.c.digest == digest)).one()
        if sha256(row.content).hexdigest() != digest or len(row.content) != row.size:
            faults.append(f"the file {digest[:12]} was changed")
    return faults


def _carried(store: Reading) -> list[str]:
    """No system carried out more than was decided."""
    joined = CARRIED.outerjoin(
        HOLDERS, (HOLDERS.c.containment == CARRIED.c.containment) & (HOLDERS.c.number == CARRIED.c.number)
    )
    beyond = (HOLDERS.c.version.is_(None)) | (CARRIED.c.version > HOLDERS.c.version)
    rows = store.connection.execute(select(CARRIED.c.target, CARRIED.c.containment).select_from(joined).where(beyond))
    found = sorted({(str(target), str(name)) for target, name in rows})
    return [f"{target} is said to have done more about {name} than was decided" for target, name in found]
