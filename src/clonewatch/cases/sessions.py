"""Sessions of people who signed in. The store holds hashes, so a copy of it signs nobody in."""

from __future__ import annotations

import secrets
from datetime import timedelta
from hashlib import sha256

from sqlalchemy import Connection, delete, insert, select, update

from clonewatch.cases.people import Person, digest, later
from clonewatch.cases.tables import PEOPLE, SESSIONS

IDLE = timedelta(hours=1)
LONGEST = timedelta(hours=12)
_TOUCH = timedelta(minutes=1)


def begin(connection: Connection, name: str, at: str) -> str:
    """Begin a session; returns its secret, for a cookie. Sessions that are over are removed."""
    idle, oldest = later(at, -IDLE), later(at, -LONGEST)
    connection.execute(delete(SESSIONS).where((SESSIONS.c.seen < idle) | (SESSIONS.c.made < oldest)))
    token = secrets.token_urlsafe(32)
    connection.execute(insert(SESSIONS).values(digest=digest(token), person=name, made=at, seen=at))
    return token


def bearer(connection: Connection, token: str, at: str) -> tuple[Person, bool] | None:
    """Whose session this is, and whether its last use should be recorded; None for one that is over or none."""
    wanted = (
        select(PEOPLE, SESSIONS.c.made.label("begun"), SESSIONS.c.seen.label("used"))
        .join(SESSIONS, SESSIONS.c.person == PEOPLE.c.name)
        .where(SESSIONS.c.digest == digest(token))
    )
    row = connection.execute(wanted).first()
    if row is None:
        return None
    *columns, begun, used = row
    found = Person(*columns)
    if not found.active or used < later(at, -IDLE) or begun < later(at, -LONGEST):
        return None
    return found, used < later(at, -_TOUCH)


def used(connection: Connection, token: str, at: str) -> None:
    """Record that a session was used."""
    connection.execute(update(SESSIONS).where(SESSIONS.c.digest == digest(token)).values(seen=at))


def end(connection: Connection, token: str) -> None:
    """End a session."""
    connection.execute(delete(SESSIONS).where(SESSIONS.c.digest == digest(token)))


def csrf(token: str) -> str:
    """What every form of a session carries, so that no other site can send one."""
    return sha256(b"form of " + token.encode()).hexdigest()
