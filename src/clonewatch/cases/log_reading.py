"""The log, read a page at a time, and proofs that an entry is in it and that it only grew."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select

from clonewatch.cases.heads import Head, public_key
from clonewatch.cases.merkle import consistency_proof, includes, inclusion_proof, is_consistent, leaf_hash, root
from clonewatch.cases.records import Entry
from clonewatch.cases.records import entry as read
from clonewatch.cases.store import Reading
from clonewatch.cases.tables import ENTRIES, HEADS, TOUCHED
from clonewatch.model.errors import InputError

PER_PAGE = 100


class Filter(NamedTuple):
    """Which entries. by: a name. what: a kind of entry. case: an id. Empty for all."""

    by: str = ""
    what: str = ""
    case: str = ""


class Found(NamedTuple):
    """One page of the log, the newest first. total: entries that fit. head: the newest; None for an empty log."""

    wanted: Filter
    entries: list[tuple[int, Entry]]
    total: int
    page: int
    pages: int
    head: Head | None


class Proof(NamedTuple):
    """An entry with what proves it. body: its one spelling. leaf: its hash. path: hashes to the root of the head.

    holds: whether the path leads there. before: the head that was signed with or after the entry; consistent: whether
    the newest head continues it.
    """

    number: int
    entry: Entry
    body: str
    leaf: bytes
    path: list[bytes]
    head: Head
    holds: bool
    before: Head
    consistency: list[bytes]
    consistent: bool


def entries(store: Reading, wanted: Filter, page: int) -> Found:
    """A page of entries; the last one where there is none of that number."""
    total = store.connection.execute(_filtered(select(func.count()).select_from(ENTRIES), wanted)).scalar_one()
    pages = max(1, -(-total // PER_PAGE))
    page = min(page, pages)
    rows = _filtered(select(ENTRIES.c.number, ENTRIES.c.body), wanted).order_by(ENTRIES.c.number.desc())
    held = store.connection.execute(rows.limit(PER_PAGE).offset((page - 1) * PER_PAGE))
    return Found(wanted, [(number, read(body, number)) for number, body in held], total, page, pages, newest(store))


def newest(store: Reading) -> Head | None:
    """The newest head, its signature checked; None for an empty log. Raises LogError."""
    note = store.connection.execute(select(HEADS.c.note).order_by(HEADS.c.size.desc()).limit(1)).scalar_one_or_none()
    return public_key(store.log_key()).check(note) if note else None


def proof(store: Reading, number: int) -> Proof:
    """An entry and its proofs. Raises InputError for a number that there is not, LogError for a bad signature."""
    body = store.connection.execute(select(ENTRIES.c.body).where(ENTRIES.c.number == number)).scalar_one_or_none()
    head = newest(store)
    if body is None or head is None:
        raise InputError(f"there is no entry {number}")
    signed = select(HEADS.c.note).where(HEADS.c.size > number).order_by(HEADS.c.size).limit(1)
    before = public_key(store.log_key()).check(store.connection.execute(signed).scalar_one())
    bodies = store.connection.execute(
        select(ENTRIES.c.body).where(ENTRIES.c.number < head.size).order_by(ENTRIES.c.number)
    ).scalars()
    leaves = [leaf_hash(one.encode()) for one in bodies]
    path, grown = inclusion_proof(leaves, number), consistency_proof(leaves, before.size)
    return Proof(
        number,
        read(body, number),
        body,
        leaves[number],
        path,
        head,
        includes(leaves[number], number, head.size, path, head.root) and root(leaves) == head.root,
        before,
        grown,
        is_consistent(before.size, before.root, head.size, head.root, grown),
    )


def _filtered(query: Select[Any], wanted: Filter) -> Select[Any]:
    if wanted.case:
        query = query.join(TOUCHED, TOUCHED.c.entry == ENTRIES.c.number).where(TOUCHED.c.case_id == wanted.case)
    # An entry has one spelling, so these parts of it can be found as text.
    for name in ("by", "what"):
        if value := getattr(wanted, name):
            query = query.where(
                ENTRIES.c.body.contains(f'"{name}":{json.dumps(value, ensure_ascii=False)}', autoescape=True)
            )
    return query
