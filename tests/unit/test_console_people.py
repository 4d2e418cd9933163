"""People of the console and their rights: who gives them, what the log says of them, and what it finds."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.unit.cases_stand import busy, filled
from tests.unit.console_stand import SETUP, Browser, Console, console, invited, sound, version_in

from clonewatch.cases import database, people
from clonewatch.cases.people import ADMIN
from clonewatch.cases.store import opened
from clonewatch.cases.store_checking import check_store
from clonewatch.errors import SetupError
from clonewatch.service import passwords


@pytest.fixture
def open_(tmp_path: Path) -> Console:
    return console(str(tmp_path / "cases.db"), roles=("analyst", "approver", "admin"))


def test_an_admin_adds_somebody_who_chooses_a_password(open_: Console) -> None:
    admin, eva = open_.as_["admin"], Browser(open_.app)
    page = admin.post("/people", name="Eva", role="viewer").text
    link = re.search(r"http://127\.0\.0\.1:8642/welcome/(\S+?)<", page)
    assert link and eva.choose(link[1]).status_code == 303
    assert "signed in: one-time link" in eva.get("/log").text and eva.get("/people").status_code == 403
    assert link[1] not in admin.get("/people").text
    assert admin.post("/people/eva/role", role="analyst").status_code == 303
    version = version_in(eva.get("/cases/K0001").text)
    assert eva.post("/cases/K0001/rule", ruling="needs_more", version=version).status_code == 303, "at once"
    assert admin.post("/people/eva/active", active="no").status_code == 303
    assert eva.get("/").status_code == 303 and eva.sign_in("eva").status_code == 401
    assert admin.post("/people/eva/link").status_code == 400, "kept out"
    assert admin.post("/people/eva/active", active="yes").status_code == 303
    assert eva.sign_in("eva").status_code == 303
    page = admin.post("/people/eva/link").text
    assert eva.get("/").status_code == 303, "who forgot a password may have lost more"
    log = admin.get("/log?what=person").text
    for said in ("eva: added; now viewer, active", "eva: viewer before; now analyst, active", "eva: kept out; now"):
        assert said in log
    sound(open_.store)


@pytest.mark.parametrize("name", ["", " ", "-x", "a b", "ä", "x" * 65, "a/b", "<b>"])
def test_a_name_is_plain(open_: Console, name: str) -> None:
    assert open_.as_["admin"].post("/people", name=name, role="viewer").status_code in (400, 422)


def test_what_is_not_there_cannot_be_given(open_: Console) -> None:
    admin = open_.as_["admin"]
    assert admin.post("/people", name="eva", role="king").status_code == 400
    assert admin.post("/people", name="ANALYST", role="viewer").status_code == 400, "that is taken"
    assert admin.post("/people/nobody/role", role="viewer").status_code == 404
    assert admin.post("/people/analyst/active", active="perhaps").status_code == 422


def test_the_last_admin_stays(open_: Console) -> None:
    admin = open_.as_["admin"]
    for path, fields in (("role", {"role": "viewer"}), ("active", {"active": "no"})):
        refused = admin.post(f"/people/admin/{path}", **fields)
        assert refused.status_code == 400 and "last admin" in refused.text
    invited(open_.store, "eva", ADMIN)
    assert admin.post("/people/admin/role", role="viewer").status_code == 303
    assert admin.get("/people").status_code == 403


def test_every_sign_in_is_in_the_log_and_a_wrong_password_is_not(open_: Console) -> None:
    before = sound(open_.store)
    eva = Browser(open_.app)
    eva.sign_in("analyst", "guess number one")
    assert sound(open_.store) == before
    eva.sign_in("analyst")
    eva.post("/sign-out")
    assert sound(open_.store) == before + 2
    log = open_.as_["admin"].get("/log?by=analyst").text
    assert "signed in: password" in log and "signed out" in log


def test_a_right_that_somebody_gave_themselves_is_found(open_: Console) -> None:
    path = str(open_.store.where.path)
    with sqlite3.connect(path) as store:
        store.execute("UPDATE people SET role = 'admin' WHERE name = 'analyst'")
        columns = "role, active, password, subject, link, link_until, failures, locked_until, made, seen"
        copied = f"SELECT 'mallory', {columns} FROM people WHERE name = 'analyst'"
        store.execute(f"INSERT INTO people (name, {columns}) {copied}")
    faults = check_store_of(open_)
    assert faults == [f"the rights of {name} are not what the log says of them" for name in ("analyst", "mallory")]
    page = open_.as_["admin"].post("/health/check").text
    assert "The log does not hold: 2 faults" in page and "the rights of mallory" in page


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE approvals SET state = 'approved'", "request {n} is not what the log says of it"),
        ("UPDATE approvals SET what = 'block'", "request {n} is not what the log says of it"),
        ("UPDATE approvals SET version = 2", "request {n} is not what the log says of it"),
        ("UPDATE approvals SET decided_by = 'eve'", "request {n} is not what the log says of it"),
        ("DELETE FROM approvals", "request {n} is not what the log says of it"),
        ("UPDATE notes SET text = 'another reason'", "the note of entry {n} was changed"),
    ],
)
def test_an_approval_that_nobody_gave_is_found(open_: Console, change: str, said: str) -> None:
    analyst = open_.as_["analyst"]
    version = version_in(analyst.get("/cases/K0001").text)
    analyst.post("/cases/K0001/ask", what="export", why="a court asks", version=version)
    number = sound(open_.store) - 1
    with sqlite3.connect(str(open_.store.where.path)) as store:
        store.execute(change)
    assert said.format(n=number) in check_store_of(open_)


def test_a_decision_that_was_taken_from_its_request_is_found(open_: Console) -> None:
    analyst, approver = open_.as_["analyst"], open_.as_["approver"]
    version = version_in(analyst.get("/cases/K0001").text)
    analyst.post("/cases/K0001/ask", what="export", why="a court asks", version=version)
    number = sound(open_.store) - 1
    approver.post(f"/approvals/{number}", state="declined")
    with sqlite3.connect(str(open_.store.where.path)) as store:
        store.execute("UPDATE approvals SET state = 'waiting', decided_by = '', decided_at = '', decided_entry = NULL")
    assert check_store_of(open_) == [f"the decision of entry {sound_size(open_) - 1} is on no request"]


def test_an_entry_has_proofs_that_hold_and_one_that_was_changed_has_none(open_: Console) -> None:
    admin = open_.as_["admin"]
    page = admin.get("/log/3").text
    assert page.count('<span class="tag approved">holds</span>') == 2
    with sqlite3.connect(str(open_.store.where.path)) as store:
        store.execute("""UPDATE entries SET body = replace(body, '"by":"ana"', '"by":"eve"') WHERE number = 0""")
    assert "does not hold" in admin.get("/log/0").text
    assert "does not hold" in admin.get("/log/3").text, "the tree above it"


def test_a_store_of_the_first_version_is_brought_up_with_its_cases(tmp_path: Path) -> None:
    """Its tables as they were: made from these by taking away what later revisions added."""
    path = str(tmp_path / "cases.db")
    store = filled(path)
    busy(store)
    before = sound(store)
    with sqlite3.connect(path) as old:
        held = dict(old.execute("SELECT case_id, odds_bits FROM cases"))
        third = (
            "relied",
            "feeds",
            "heard",
            "shared",
            "deliveries",
            "targets",
            "carried",
            "attached",
            "attachments",
            "appeals",
            "holders",
            "containments",
        )
        for table in (*third, "approvals", "saved_views", "sessions", "people"):
            old.execute(f"DROP TABLE {table}")
        old.execute("DROP INDEX cases_by_odds")
        for column in ("outcome", "ruling", "size", "exchanges", "odds_bits", "whole_bits", "last"):
            old.execute(f"ALTER TABLE cases DROP COLUMN {column}")
        old.execute("UPDATE alembic_version SET version_num = '0001'")
    again = opened(path)
    assert sound(again) == before
    with sqlite3.connect(path) as now:
        assert dict(now.execute("SELECT case_id, odds_bits FROM cases")) == held
        assert now.execute("SELECT version_num FROM alembic_version").fetchone() == (database.NEWEST,)


def test_passwords_are_argon2id_and_those_that_are_easy_are_refused() -> None:
    kept = passwords.hashed("plum cake on tuesdays", "eva")
    assert kept.startswith("$argon2id$") and passwords.fits(kept, "plum cake on tuesdays")
    assert not passwords.fits(kept, "plum cake on Tuesdays") and not passwords.fits("", "nobody has this password")
    assert not passwords.fits("no hash", "plum cake") and not passwords.fits(kept, "x" * 100_000)
    for easy in ("short", "aaaabbbbaaaabbbb", "here comes eva again", "x" * 2000):
        with pytest.raises(SetupError):
            passwords.hashed(easy, "eva")


def test_secrets_are_in_the_store_as_hashes_only(open_: Console) -> None:
    token = invited(open_.store, "eva", "viewer", SETUP)
    session = open_.as_["admin"].http.cookies["clonewatch"]
    held = Path(str(open_.store.where.path))
    beside = held.with_name(f"{held.name}-wal")
    raw = held.read_bytes() + (beside.read_bytes() if beside.exists() else b"")
    for secret in (token, session, open_.as_["admin"].csrf(), "plum cake"):
        assert secret.encode() not in raw
    with open_.store.reading() as store:
        assert people.of_link(store.connection, "", "2026-01-01T00:00:00Z") is None
        assert store.connection.execute(text("SELECT count(*) FROM sessions")).scalar_one() == 3


def check_store_of(open_: Console) -> list[str]:
    with open_.store.reading() as store:
        return list(check_store(store).faults)


def sound_size(open_: Console) -> int:
    with open_.store.reading() as store:
        return check_store(store).size
