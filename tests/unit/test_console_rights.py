"""Every page of the console by every role, and by nobody; every form without what shows that it is ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.appeals_stand import HOLDER, contained
from tests.unit.console_stand import URL, Browser, Console, console, csrf_in, sound, version_in

from clonewatch.cases.appeals import appeal, messages, write
from clonewatch.cases.attachments import File
from clonewatch.cases.containments import bearer
from clonewatch.cases.people import ROLES

# Method, path, the least role (None for nobody), and fields that make the request well-formed.
ROUTES = {
    ("GET", "/sign-in"): None,
    ("POST", "/sign-in"): None,
    ("GET", "/welcome/{token}"): None,
    ("POST", "/welcome/{token}"): None,
    ("GET", "/sign-in/provider"): None,
    ("GET", "/sign-in/provider/back"): None,
    ("GET", "/alive"): None,
    # Of account holders, by the secret of a link: tests/unit/test_appeal_page.py.
    ("GET", "/appeal"): None,
    ("POST", "/appeal"): None,
    ("POST", "/appeal/write"): None,
    ("POST", "/appeal/leave"): None,
    ("GET", "/containments/{name}"): "viewer",
    ("GET", "/appeals"): "viewer",
    ("GET", "/appeals/{name}"): "viewer",
    ("GET", "/appeals/{name}/files/{entry}/{number}"): "analyst",
    ("POST", "/cases/{name}/contain"): "analyst",
    ("POST", "/containments/{name}/receive"): "analyst",
    ("POST", "/containments/{name}/end"): "analyst",
    ("POST", "/appeals/lapse"): "analyst",
    ("POST", "/appeals/{name}/answer"): "analyst",
    ("POST", "/containments/{name}/begin"): "approver",
    ("POST", "/containments/{name}/notices"): "approver",
    ("POST", "/containments/{name}/link"): "approver",
    ("GET", "/"): "viewer",
    ("POST", "/sign-out"): "viewer",
    ("POST", "/views"): "viewer",
    ("POST", "/views/forget"): "viewer",
    ("GET", "/cases/{name}"): "viewer",
    ("GET", "/approvals"): "viewer",
    ("GET", "/policies"): "viewer",
    ("GET", "/decisions"): "viewer",
    ("GET", "/live"): "viewer",
    ("GET", "/log"): "viewer",
    ("GET", "/log/{number}"): "viewer",
    ("GET", "/health"): "viewer",
    ("POST", "/health/check"): "analyst",
    ("POST", "/cases/rule"): "analyst",
    ("POST", "/cases/{name}/rule"): "analyst",
    ("POST", "/cases/{name}/answer"): "analyst",
    ("POST", "/cases/{name}/note"): "analyst",
    ("POST", "/cases/{name}/assign"): "analyst",
    ("POST", "/cases/{name}/merge"): "analyst",
    ("POST", "/cases/{name}/split"): "analyst",
    ("POST", "/cases/{name}/undo"): "analyst",
    ("POST", "/cases/{name}/ask"): "analyst",
    ("POST", "/cases/{name}/export"): "analyst",
    ("POST", "/cases/{name}/dossier"): "analyst",
    ("POST", "/approvals/{number}"): "analyst",
    ("GET", "/people"): "admin",
    ("POST", "/people"): "admin",
    ("POST", "/people/{name}/link"): "admin",
    ("POST", "/people/{name}/role"): "admin",
    ("POST", "/people/{name}/active"): "admin",
}
FIELDS = {
    "name": "v",
    "here": "/?status=any",
    "ruling": "needs_more",
    "version": "1",
    "question": "one_customer",
    "answer": "no",
    "text": "asked sales",
    "to": "ana",
    "others": "K0002",
    "accounts": "a",
    "what": "export",
    "why": "a regulator asks",
    "state": "declined",
    "role": "viewer",
    "active": "yes",
    "case": "K0001@1",
    "measure": "verify",
    "ground": "Section 4",
    "account": "a",
    "note": "they signed",
    "outcome": "overturn",
}
GUARDED = sorted((method, path, role) for (method, path), role in ROUTES.items() if role)


@pytest.fixture(scope="module")
def open_(tmp_path_factory: pytest.TempPathFactory) -> Console:
    held = console(str(tmp_path_factory.mktemp("console") / "cases.db"))
    _, links = contained(held.store)
    with held.store.writing() as store:
        write(store, bearer(store, links[0].token, HOLDER.at), "we are a school", HOLDER, [File("a.txt", b"a letter")])
        (said,) = messages(store, appeal(store, "A0001"))
    GIVEN["entry"] = said.entry
    return held


# What stands for the parts of an address; entry: of the appeal with a file.
GIVEN = {"token": "none", "entry": 0}
NAMES = {"/people": "viewer", "/containments": "B0001", "/appeals": "A0001"}


def filled_in(path: str) -> str:
    name = next((name for start, name in NAMES.items() if path.startswith(start)), "K0001")
    return path.format(**GIVEN, name=name, number=1 if path.startswith("/appeals") else 0)


def send(browser: Browser, method: str, path: str, csrf: str | None = None) -> int:
    if method == "GET":
        return browser.get(filled_in(path)).status_code
    return browser.post(filled_in(path), csrf, **FIELDS).status_code


def test_every_route_is_in_the_table(open_: Console) -> None:
    found = {(method, route.path) for route in open_.app.state.pages for method in route.methods}
    assert set(ROUTES) <= found
    # Evidence pages have tests of their own, and their own table.
    others = {path for _, path in found - set(ROUTES)}
    assert all(path.startswith(("/campaigns", "/accounts", "/compare", "/pools")) for path in others)


@pytest.mark.parametrize(("method", "path", "role"), GUARDED)
def test_nobody_gets_in(open_: Console, method: str, path: str, role: str) -> None:
    stranger = Browser(open_.app)
    status = send(stranger, method, path, "guessed")
    assert status == (303 if method == "GET" else 401)


@pytest.mark.parametrize(("method", "path", "role"), GUARDED)
def test_a_role_below_is_refused_and_changes_nothing(open_: Console, method: str, path: str, role: str) -> None:
    before = sound(open_.store)
    for below in ROLES[: ROLES.index(role)]:
        assert send(open_.as_[below], method, path) == 403, below
    assert sound(open_.store) == before


@pytest.mark.parametrize(("method", "path", "role"), [one for one in GUARDED if one[0] == "POST"])
def test_a_form_of_another_session_or_none_is_refused(open_: Console, method: str, path: str, role: str) -> None:
    before, other = sound(open_.store), open_.as_["viewer"].csrf()
    for sent in ("", "guessed", other) if role != "viewer" else ("", "guessed"):
        assert send(open_.as_["admin"], method, path, sent) == 403
    assert sound(open_.store) == before


@pytest.mark.parametrize(("method", "path", "role"), [one for one in GUARDED if one[0] == "GET"])
def test_those_of_the_role_and_above_get_the_page(open_: Console, method: str, path: str, role: str) -> None:
    for able in ROLES[ROLES.index(role) :]:
        assert send(open_.as_[able], method, path) == 200, able


@pytest.mark.parametrize(("method", "path", "role"), [one for one in GUARDED if one[0] == "POST"])
def test_those_of_the_role_are_not_refused_for_it(tmp_path: Path, method: str, path: str, role: str) -> None:
    able = console(str(tmp_path / "cases.db"), roles=(role,)).as_[role]
    assert send(able, method, path) in (200, 303, 400, 404), "neither 401 nor 403 nor a fault"


def test_a_form_from_another_site_is_refused_whatever_it_carries(open_: Console) -> None:
    analyst = open_.as_["analyst"]
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {"origin": "null"}):
        sent = {"csrf": analyst.csrf(), "text": "hello"}
        assert analyst.http.post("/cases/K0001/note", data=sent, headers=headers).status_code == 403
    same = {"sec-fetch-site": "same-origin", "origin": URL}
    sent = {"csrf": analyst.csrf(), "text": "hello"}
    assert analyst.http.post("/cases/K0001/note", data=sent, headers=same).status_code == 303


def test_pages_show_no_form_that_a_role_cannot_send(open_: Console) -> None:
    for path in (
        "/",
        "/cases/K0001",
        "/approvals",
        "/decisions",
        "/health",
        "/containments/B0001",
        "/appeals",
        "/appeals/A0001",
    ):
        page = open_.as_["viewer"].get(path).text
        assert page.count("<form") - page.count('method="get"') == page.count('action="/sign-out"')


def test_an_approver_approves_and_an_analyst_does_not(tmp_path: Path) -> None:
    held = console(str(tmp_path / "cases.db"), roles=("analyst", "approver"))
    analyst, approver = held.as_["analyst"], held.as_["approver"]
    version = version_in(analyst.get("/cases/K0001").text)
    assert analyst.post("/cases/K0001/ask", what="export", why="a court asks", version=version).status_code == 303
    with held.store.reading() as store:
        from clonewatch.cases import approvals

        (asked,) = approvals.requests(store)
    refused = analyst.post(f"/approvals/{asked.entry}", state="approved")
    assert refused.status_code == 400 and "role approver" in refused.text
    assert analyst.post("/cases/K0001/export").status_code == 400
    assert approver.post(f"/approvals/{asked.entry}", state="approved").status_code == 303
    assert analyst.post("/cases/K0001/export").json()["accounts"] == ["a", "b", "c", "d"]
    assert csrf_in(analyst.get("/health").text) != csrf_in(approver.get("/health").text)
