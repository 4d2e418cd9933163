"""Filters of the queue that a person keeps under a name."""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, insert, select

from clonewatch.cases.tables import SAVED_VIEWS
from clonewatch.model.errors import SetupError

_MOST = 50
_LONGEST_NAME, _LONGEST_QUERY = 64, 500


def saved(connection: Connection, person: str) -> list[tuple[str, str]]:
    """The views of a person, by name: name and query."""
    wanted = select(SAVED_VIEWS.c.name, SAVED_VIEWS.c.query).where(SAVED_VIEWS.c.person == person)
    return [(row.name, row.query) for row in connection.execute(wanted.order_by(SAVED_VIEWS.c.name))]


def save(connection: Connection, person: str, name: str, query: str) -> None:
    """Keep a view, in place of one with that name. Raises SetupError."""
    name = " ".join(name.split())
    if not name or len(name) > _LONGEST_NAME or len(query) > _LONGEST_QUERY:
        raise SetupError("a view needs a name", fix=f"Use up to {_LONGEST_NAME} letters")
    forget(connection, person, name)
    held = select(func.count()).select_from(SAVED_VIEWS).where(SAVED_VIEWS.c.person == person)
    if connection.execute(held).scalar_one() >= _MOST:
        raise SetupError(f"you have {_MOST} views", fix="Remove one first")
    connection.execute(insert(SAVED_VIEWS).values(person=person, name=name, query=query))


def forget(connection: Connection, person: str, name: str) -> None:
    """Remove a view."""
    connection.execute(delete(SAVED_VIEWS).where(SAVED_VIEWS.c.person == person, SAVED_VIEWS.c.name == name))
