"""Whether documents of sharing, whose word counts, and what cases rest on are what the log says of them."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from msgspec import UNSET
from sqlalchemy import Connection, select

from clonewatch.cases.records import Entry
from clonewatch.cases.tables import FEEDS, RELIED, SHARED


def check_sharing(connection: Connection, entries: Mapping[int, Entry]) -> list[str]:
    """What the tables of sharing say that the log does not, and the other way round."""
    return [*_documents(connection, entries), *_feeds(connection, entries), *_relied(connection, entries)]


def _documents(connection: Connection, entries: Mapping[int, Entry]) -> list[str]:
    wanted = {
        (one.shared.direction, one.shared.document, one.shared.revision): (number, one.shared)
        for number, one in sorted(entries.items())
        if one.shared is not UNSET
    }
    faults, held = [], set()
    for row in connection.execute(select(SHARED)).mappings():
        key = (row["direction"], row["document"], row["revision"])
        held.add(key)
        number, said = wanted.get(key, (-1, None))
        same = said and (number, said.digest, said.peer, said.what, said.request) == (
            row["entry"],
            row["digest"],
            row["peer"],
            row["what"],
            row["request"],
        )
        if not same or sha256(row["body"].encode()).hexdigest() != row["digest"]:
            faults.append(f"the document {row['document']} is not what the log says of it")
    return faults + [f"the document {key[1]} is gone" for key in sorted(wanted.keys() - held)]


def _feeds(connection: Connection, entries: Mapping[int, Entry]) -> list[str]:
    wanted = {
        one.shared.peer: "evaluation"
        for one in entries.values()
        if one.what == "hear" and one.shared is not UNSET and one.shared.revision
    }
    for _, one in sorted(entries.items()):
        if one.what == "feed":
            wanted[one.because[0]] = one.because[1]
    held = {row.peer: row.state for row in connection.execute(select(FEEDS))}
    return [
        f"whether the word of {peer} counts is not what the log says"
        for peer in sorted(wanted.keys() | held.keys())
        if wanted.get(peer) != held.get(peer)
    ]


def _relied(connection: Connection, entries: Mapping[int, Entry]) -> list[str]:
    wanted = {(one.of[0], one.because[1], number) for number, one in entries.items() if one.what == "rely"}
    held = {tuple(row) for row in connection.execute(select(RELIED))}
    return [f"what {case} rests on is not what the log says" for case, _, _ in sorted(wanted ^ held)]
