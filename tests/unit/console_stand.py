"""A console on a small store, with somebody of every role signed in."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from fastapi import FastAPI
from httpx2 import Response
from starlette.testclient import TestClient
from tests.unit.cases_stand import filled

from clonewatch.cases import people, sessions
from clonewatch.cases.changes import Who
from clonewatch.cases.people import ROLES
from clonewatch.cases.store import Store
from clonewatch.cases.store_checking import check_store
from clonewatch.service import passwords
from clonewatch.service.app import create_app
from clonewatch.service.settings import Limits, Provider, Settings

URL = "http://127.0.0.1:8642"
PASSWORD = "plum cake on tuesdays"  # noqa: S105
SETUP = Who("the test", "2026-05-03T09:00:00Z")
NO_LIMITS = Limits(sign_ins=100_000, requests=1_000_000, appeals=100_000, holders=1_000_000)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = "2026-05-06T09:00:00Z"

    def __call__(self) -> str:
        return self.now


class Console(NamedTuple):
    """A running console. as_: a browser in which somebody of a role, named like it, is signed in."""

    app: FastAPI
    store: Store
    clock: Clock
    as_: dict[str, Browser]


class Browser:
    """A browser of one person, which sends what forms of its pages carry."""

    def __init__(self, app: FastAPI, url: str = URL) -> None:
        self.http = TestClient(app, base_url=url, follow_redirects=False, raise_server_exceptions=True)

    def get(self, path: str, **more: object) -> Response:
        return self.http.get(path, **more)  # type: ignore[arg-type, no-any-return]

    def post(self, path: str, csrf: str | None = None, **fields: object) -> Response:
        sent = {"csrf": self.csrf() if csrf is None else csrf} | fields
        return self.http.post(path, data=sent)  # type: ignore[no-any-return]

    def csrf(self) -> str:
        return csrf_in(self.get("/health").text)

    def sign_in(self, name: str, password: str = PASSWORD, place: str = "/") -> Response:
        form = csrf_in(self.get("/sign-in").text)
        fields = {"name": name, "password": password, "next": place, "csrf": form}
        return self.http.post("/sign-in", data=fields)  # type: ignore[no-any-return]

    def choose(self, token: str, password: str = PASSWORD) -> Response:
        form = csrf_in(self.get(f"/welcome/{token}").text)
        fields = {"password": password, "again": password, "csrf": form}
        return self.http.post(f"/welcome/{token}", data=fields)  # type: ignore[no-any-return]


def csrf_in(page: str) -> str:
    """What the first form of a page carries."""
    found = re.search(r'name="csrf" value="([^"]*)"', page)
    return found[1] if found else ""


def version_in(page: str) -> str:
    found = re.search(r'name="version" value="(\d+)"', page)
    assert found
    return found[1]


def settings(
    place: str, key: Path | None, clock: Callable[[], str], url: str = URL, provider: Provider | None = None
) -> Settings:
    return Settings(place, key, url, None, provider, NO_LIMITS, clock)


def console(place: str, key: Path | None = None, roles: tuple[str, ...] = ROLES) -> Console:
    """A console on a new store with two cases, K0001 of a, b, c, d and K0002 of x, y, z."""
    store, clock = filled(place, key), Clock()
    app = create_app(settings(place, key, clock))
    held = {role: Browser(app) for role in roles}
    for role, browser in held.items():
        with store.writing() as change:
            people.add(change, role, role, SETUP)
            people.set_password(change, role, kept_password(), SETUP)
            token = sessions.begin(change.connection, role, clock.now)
        browser.http.cookies.set("clonewatch", token, domain="127.0.0.1", path="/")
    return Console(app, store, clock, held)


@cache
def kept_password() -> str:
    """The hash of PASSWORD: made once, as it takes long on purpose."""
    return passwords.hashed(PASSWORD, "nobody")


def invited(store: Store, name: str, role: str, who: Who | None = None) -> str:
    """Add somebody; returns the secret of the link."""
    who = who or Who("the test", "2026-05-06T08:59:00Z")
    with store.writing() as change:
        people.add(change, name, role, who)
        return people.new_link(change, name, who)


def sound(store: Store) -> int:
    """Check that log and tables agree; returns the number of entries."""
    with store.reading() as held:
        found = check_store(held)
    assert found.faults == ()
    return found.size
