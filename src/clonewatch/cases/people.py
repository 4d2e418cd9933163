"""People who use the console and what they may do. Every change of a right is an entry of the log."""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from clonewatch.cases.changes import Who
from clonewatch.cases.records import Entry
from clonewatch.cases.store import Writing
from clonewatch.cases.tables import PEOPLE, SESSIONS
from clonewatch.model.errors import InputError, SetupError

VIEWER, ANALYST, APPROVER, ADMIN = "viewer", "analyst", "approver", "admin"
# Each may do what those before may.
ROLES = (VIEWER, ANALYST, APPROVER, ADMIN)
MAY = {
    VIEWER: "reads",
    ANALYST: "rules, notes, assigns, splits, merges, answers, and asks for what takes a second person",
    APPROVER: "approves what another person asked for",
    ADMIN: "makes people and gives them roles",
}
WRONG_PASSWORDS = 5
LOCKED_MINUTES = 15
LINK_HOURS = 24
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")


class Person(NamedTuple):
    """Somebody who may sign in: a row of table `people`."""

    name: str
    role: str
    active: bool
    password: str
    subject: str
    link: str
    link_until: str
    failures: int
    locked_until: str
    made: str
    seen: str

    def may(self, role: str) -> bool:
        """Whether this person may do what a role may."""
        return self.active and ROLES.index(self.role) >= ROLES.index(role)


def everybody(connection: Connection) -> list[Person]:
    """All people, by name."""
    return [Person(*row) for row in connection.execute(select(PEOPLE).order_by(PEOPLE.c.name))]


def find(connection: Connection, name: str) -> Person | None:
    """A person by name."""
    return _one(connection, PEOPLE.c.name == name.casefold())


def of_subject(connection: Connection, subject: str) -> Person | None:
    """A person by what an identity provider calls them."""
    return _one(connection, PEOPLE.c.subject == subject) if subject else None


def of_link(connection: Connection, token: str, now: str) -> Person | None:
    """The person of a one-time link that still holds."""
    found = _one(connection, PEOPLE.c.link == digest(token)) if token else None
    return found if found and found.active and found.link_until > now else None


def person(connection: Connection, name: str) -> Person:
    """A person by name. Raises InputError."""
    found = find(connection, name)
    if found is None:
        raise InputError(f"there is nobody called {name!r}")
    return found


def add(store: Writing, name: str, role: str, who: Who, subject: str = "") -> Person:
    """Add a person, who needs a link or an identity provider to sign in. Raises SetupError."""
    name = name.strip().casefold()
    if not _NAME.fullmatch(name):
        raise SetupError(
            "this cannot be a name", fix="Use up to 64 letters without accents, digits, dots, dashes, _ and @"
        )
    _check_role(role)
    if find(store.connection, name):
        raise SetupError(f"there is somebody called {name} already", fix="Choose another name")
    made = Person(name, role, True, "", subject, "", "", 0, "", who.at, "")
    store.connection.execute(insert(PEOPLE).values(**made._asdict()))
    _log(store, made, who, "added")
    return made


def give_role(store: Writing, name: str, role: str, who: Who) -> Person:
    """Give a person another role. Raises SetupError where nobody would be left to give roles."""
    _check_role(role)
    held = person(store.connection, name)
    if held.role == role:
        return held
    return _changed(store, held, who, f"{held.role} before", role=role)


def let_in(store: Writing, name: str, active: bool, who: Who) -> Person:
    """Let a person sign in, or keep them out: their sessions end, and their link and lock with them."""
    held = person(store.connection, name)
    if not active:
        store.connection.execute(delete(SESSIONS).where(SESSIONS.c.person == held.name))
    cleared = {"link": "", "link_until": "", "failures": 0, "locked_until": ""}
    return _changed(store, held, who, "let in" if active else "kept out", active=active, **cleared)


def new_link(store: Writing, name: str, who: Who) -> str:
    """A one-time link to set a password, in place of the old one; returns its secret. Sessions end, a lock too."""
    held = person(store.connection, name)
    if not held.active:
        raise SetupError(f"{held.name} is kept out", fix="Let them in first")
    token = secrets.token_urlsafe(32)
    until = later(who.at, timedelta(hours=LINK_HOURS))
    store.connection.execute(delete(SESSIONS).where(SESSIONS.c.person == held.name))
    _changed(store, held, who, "new link", link=digest(token), link_until=until, failures=0, locked_until="")
    return token


def set_password(store: Writing, name: str, password: str, who: Who) -> Person:
    """Set a password by its hash. Links and all sessions of the person end."""
    held = person(store.connection, name)
    store.connection.execute(delete(SESSIONS).where(SESSIONS.c.person == held.name))
    cleared = {"link": "", "link_until": "", "failures": 0, "locked_until": ""}
    return _changed(store, held, who, "set a password", password=password, **cleared)


def failed(store: Writing, name: str, who: Who) -> None:
    """Count a wrong password. After WRONG_PASSWORDS in a row the person is locked out for LOCKED_MINUTES; logged."""
    held = find(store.connection, name)
    if held is None or held.locked_until > who.at:
        return
    locked = held.failures + 1 >= WRONG_PASSWORDS
    until = later(who.at, timedelta(minutes=LOCKED_MINUTES)) if locked else ""
    failures = 0 if locked else held.failures + 1
    _update(store.connection, held.name, failures=failures, locked_until=until)
    if locked:
        store.add(Entry("lock-out", who.at, held.name, (), because=(f"until {until}",), via=who.via))


def came(store: Writing, held: Person, who: Who, how: str) -> None:
    """Record that a person signed in."""
    _update(store.connection, held.name, failures=0, locked_until="", seen=who.at)
    store.add(Entry("sign-in", who.at, held.name, (), because=(how,), via=who.via))


def digest(token: str) -> str:
    """The hash by which the store knows a secret of a link or a cookie."""
    return sha256(token.encode()).hexdigest()


def later(at: str, by: timedelta) -> str:
    """A time after another, in the one spelling of times."""
    return f"{datetime.strptime(at, _TIME) + by:{_TIME}}"


def seconds_between(first: str, last: str) -> float:
    """How long it is from one time to another.

    >>> seconds_between("2026-05-04T09:00:00Z", "2026-05-05T09:00:00Z") / 3600
    24.0
    """
    return (datetime.strptime(last, _TIME) - datetime.strptime(first, _TIME)).total_seconds()


def _one(connection: Connection, where: object) -> Person | None:
    row = connection.execute(select(PEOPLE).where(where)).first()  # type: ignore[arg-type]
    return Person(*row) if row else None


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise SetupError(f"there is no role {role!r}", fix=f"Use one of: {', '.join(ROLES)}")


def _changed(store: Writing, held: Person, who: Who, done: str, **changed: Any) -> Person:
    after = held._replace(**changed)
    others = [one for one in everybody(store.connection) if one.name != held.name]
    if held.may(ADMIN) and not after.may(ADMIN) and not any(one.may(ADMIN) for one in others):
        raise SetupError(f"{held.name} is the last admin", fix="Make somebody else an admin first")
    _update(store.connection, held.name, **changed)
    _log(store, after, who, done)
    return after


def _update(connection: Connection, name: str, **changed: object) -> None:
    connection.execute(update(PEOPLE).where(PEOPLE.c.name == name).values(**changed))


def _log(store: Writing, after: Person, who: Who, done: str) -> None:
    """Log a person as they are now: name, role and whether they may come in, and what was done."""
    state = "active" if after.active else "inactive"
    store.add(Entry("person", who.at, who.by, (), because=(after.name, after.role, state, done), via=who.via))
