"""What somebody hostile tries on the console: markup in every text, injection, ids of others, paths, guessing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.unit.cases_stand import group
from tests.unit.console_stand import (
    NO_LIMITS,
    PASSWORD,
    URL,
    Browser,
    Clock,
    Console,
    console,
    csrf_in,
    invited,
    settings,
    sound,
    version_in,
)

from clonewatch.cases.arrivals import arrive
from clonewatch.cases.people import LOCKED_MINUTES, WRONG_PASSWORDS
from clonewatch.errors import SetupError
from clonewatch.service.app import create_app
from clonewatch.service.protection import CSP
from clonewatch.service.rates import Rates
from clonewatch.service.settings import Limits, Settings, check

EVIL = """"><script>alert(1)</script><img src=x onerror=alert(1)>'{{7*7}}"""
PAGES = (
    "/",
    "/?status=any",
    "/cases/K0001",
    "/cases/K0002",
    "/cases/K0003",
    "/approvals",
    "/log",
    "/health",
    "/people",
)


@pytest.fixture
def open_(tmp_path: Path) -> Console:
    return console(str(tmp_path / "cases.db"), roles=("analyst", "approver", "admin"))


def harmless(page: str) -> bool:
    """Whether nothing hostile became markup, or was run by the template."""
    return (
        "<script>alert" not in page and "<img src=x" not in page and '"><' + "script" not in page and "'49" not in page
    )


def test_no_field_of_a_log_becomes_markup(open_: Console) -> None:
    """Everything that comes from a log: ids of accounts and groups, families, times, and what a scan says of them."""
    hostile = group(EVIL, [f"{EVIL}{n}" for n in range(3)], families=(EVIL,), outcome="review", last=EVIL)
    asked = {"limiting": EVIL, "ratio": 0.5, "question": EVIL, "look_alike": EVIL}
    import msgspec

    sighting = msgspec.structs.replace(hostile.sighting, scan=EVIL, first=EVIL, **asked)
    with open_.store.writing() as store:
        arrive(store, [hostile._replace(sighting=sighting)], EVIL, "2026-05-04T09:00:00Z")
    for path in (*PAGES, "/cases/K0003?account=%22%3E%3Cscript%3Ealert", "/log/2"):
        page = open_.as_["admin"].get(path)
        assert page.status_code == 200 and harmless(page.text), path
    assert "&lt;script&gt;" in open_.as_["admin"].get("/cases/K0003").text, "it is shown, as text"


def test_no_text_of_a_person_becomes_markup(open_: Console) -> None:
    analyst, admin = open_.as_["analyst"], open_.as_["admin"]
    assert analyst.post("/cases/K0001/note", text=EVIL).status_code == 303
    version = version_in(analyst.get("/cases/K0001").text)
    assert analyst.post("/cases/K0001/assign", to=EVIL, due="2030-01-01", version=version).status_code == 303
    version = version_in(analyst.get("/cases/K0001").text)
    assert analyst.post("/cases/K0001/ask", what="export", why=EVIL, version=version).status_code == 303
    assert analyst.post("/views", name=EVIL[:60], here=f"/?text={EVIL}").status_code == 303
    for path in PAGES:
        assert harmless(admin.get(path).text) and (path == "/people" or harmless(analyst.get(path).text)), path
    for query in ("text", "assignee", "status", "sort", "by", "case", "what", "done", "outcome"):
        assert harmless(admin.get("/", params={query: EVIL}).text)
        assert harmless(admin.get("/log", params={query: EVIL}).text)
    stranger = Browser(open_.app)
    assert harmless(stranger.get("/sign-in", params={"next": EVIL}).text)
    assert harmless(stranger.sign_in(EVIL, EVIL).text)
    assert harmless(stranger.get(f"/{EVIL}").text)


@pytest.mark.parametrize(
    "text", ["' OR 1=1 --", "%", "_", "\\", '"; DROP TABLE cases; --', "\0", "\ud7ff", "K0001' --"]
)
def test_what_is_searched_for_is_never_a_command(open_: Console, text: str) -> None:
    admin = open_.as_["admin"]
    found = admin.get("/", params={"text": text, "status": "any"})
    assert found.status_code == (400 if "\0" in text else 200) and "/cases/K0001" not in found.text
    for path in ("/log", "/cases/K0001"):
        params = {"by": text, "case": text, "account": text}
        assert admin.get(path, params=params).status_code == found.status_code
    params = {"sort": text, "status": text, "ruling": text}
    assert admin.get("/", params=params).status_code == found.status_code
    assert admin.post("/cases/K0001/note", text=f"x{text}").status_code == (400 if "\0" in text else 303)
    assert admin.sign_in(f"x{text}").status_code == (400 if "\0" in text else 401)
    sound(open_.store)


OUT = (
    "/static/../app.py",
    "/static/%2e%2e/app.py",
    "/static/..%2f..%2fcases.db",
    "/static//etc/passwd",
    "/static/",
    "/cases/..%2f..",
    "/cases/%00",
    "/cases/K9999",
    "/log/-1",
    "/log/99",
    "/log/99999999999999999999",
    "/welcome/..%2f..",
)


@pytest.mark.parametrize("path", OUT)
def test_no_path_leads_out(open_: Console, path: str) -> None:
    found = open_.as_["admin"].get(path)
    assert found.status_code in (404, 422, 400) and "import" not in found.text and "root:" not in found.text


def test_ids_of_others_give_nothing(open_: Console) -> None:
    """A saved view is its owner's; a request is withdrawn by who made it; a session is ended by who has it."""
    analyst, approver = open_.as_["analyst"], open_.as_["approver"]
    analyst.post("/views", name="mine", here="/?text=secret-project")
    assert "secret-project" in analyst.get("/").text and "secret-project" not in approver.get("/").text
    approver.post("/views/forget", name="mine", here="/")
    assert "secret-project" in analyst.get("/").text
    version = version_in(analyst.get("/cases/K0001").text)
    analyst.post("/cases/K0001/ask", what="export", why="a court", version=version)
    number = re.search(r'action="/approvals/(\d+)"', approver.get("/approvals").text)
    assert number
    assert approver.post(f"/approvals/{number[1]}", state="withdrawn").status_code == 400
    assert analyst.post("/approvals/1", state="withdrawn").status_code == 404, "an entry that is no request"


def test_a_session_has_a_new_id_at_sign_in(open_: Console) -> None:
    planted = Browser(open_.app)
    planted.http.cookies.set("clonewatch", "planted", domain="127.0.0.1")
    assert planted.get("/").status_code == 303
    first = planted.sign_in("analyst").cookies["clonewatch"]
    assert first != "planted"
    second = Browser(open_.app)
    second.http.cookies.set("clonewatch", first, domain="127.0.0.1")
    assert second.get("/").status_code == 200
    assert second.sign_in("analyst").cookies["clonewatch"] != first
    for old in ("planted", first):
        holder = Browser(open_.app)
        holder.http.cookies.set("clonewatch", old, domain="127.0.0.1")
        assert holder.get("/").status_code == 303, "the old one is of no use"


def test_a_session_ends_when_it_is_told_to_when_idle_and_after_half_a_day(open_: Console) -> None:
    analyst = open_.as_["analyst"]
    open_.clock.now = "2026-05-06T09:59:00Z"
    assert analyst.get("/").status_code == 200
    open_.clock.now = "2026-05-06T11:00:01Z"
    assert analyst.get("/").status_code == 303, "an hour without use"
    assert analyst.sign_in("analyst").status_code == 303
    for hour in range(12, 23):
        for minute in ("00", "30"):
            open_.clock.now = f"2026-05-06T{hour}:{minute}:00Z"
            assert analyst.get("/").status_code == 200
    open_.clock.now = "2026-05-06T23:00:02Z"
    assert analyst.get("/").status_code == 303, "twelve hours"
    analyst.sign_in("analyst")
    token = analyst.http.cookies["clonewatch"]
    assert analyst.post("/sign-out").headers["location"] == "/sign-in"
    thief = Browser(open_.app)
    thief.http.cookies.set("clonewatch", token, domain="127.0.0.1")
    assert thief.get("/").status_code == 303


def test_guessing_locks_a_person_out_and_says_nothing_of_who_is_there(open_: Console) -> None:
    guesser = Browser(open_.app)
    wrong = [guesser.sign_in("analyst", "guess number one") for _ in range(WRONG_PASSWORDS)]
    assert {one.status_code for one in wrong} == {401}
    assert guesser.sign_in("analyst").status_code == 401, "the right one, while locked"
    nobody = guesser.sign_in("nobody", "guess number one")
    strip = re.compile(r'value="[^"]*"')
    assert strip.sub("", nobody.text) == strip.sub("", wrong[0].text) and nobody.status_code == 401
    assert "locked out" in open_.as_["admin"].get("/log?what=lock-out").text
    open_.clock.now = f"2026-05-06T09:{LOCKED_MINUTES + 1}:00Z"
    assert guesser.sign_in("analyst").status_code == 303
    sound(open_.store)


def test_one_address_cannot_guess_quickly(open_: Console) -> None:
    strict = settings(str(open_.store.where.path), None, Clock())._replace(limits=Limits(sign_ins=3, requests=1000))
    guesser = Browser(create_app(strict))
    assert [guesser.sign_in(f"name{n}", "guess number one").status_code for n in range(4)] == [401, 401, 401, 429]
    flooder = Browser(create_app(strict._replace(limits=Limits(sign_ins=3, requests=5))))
    assert [flooder.get("/sign-in").status_code for _ in range(6)] == [200] * 5 + [429]


def test_rates_recover_and_forget(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    rates = Rates(60, lambda: now[0])
    assert [rates.takes("a") for _ in range(61)] == [True] * 60 + [False]
    now[0] = 1.5
    assert rates.takes("a") and not rates.takes("a") and rates.takes("b")
    for number in range(20_000):
        rates.takes(str(number))
    assert len(rates._left) == 10_000


def test_a_link_works_once_and_for_a_day(open_: Console) -> None:
    token = invited(open_.store, "eva", "viewer")
    assert Browser(open_.app).choose(token, "short").status_code == 400
    assert Browser(open_.app).choose(token, "eva and more of eva").status_code == 400, "the name is in it"
    assert Browser(open_.app).choose(token, "a" * 20).status_code == 400
    assert Browser(open_.app).choose(token).status_code == 303
    assert Browser(open_.app).get(f"/welcome/{token}").status_code == 404
    late = invited(open_.store, "fay", "viewer")
    open_.clock.now = "2026-05-07T09:00:00Z"
    assert Browser(open_.app).get(f"/welcome/{late}").status_code == 404
    assert Browser(open_.app).get("/welcome/").status_code == 404, "nobody has an empty link"


def test_the_sign_in_form_takes_only_what_it_gave(open_: Console) -> None:
    browser = Browser(open_.app)
    sent = {"name": "analyst", "password": PASSWORD, "csrf": "guessed"}
    assert browser.http.post("/sign-in", data=sent).status_code == 403
    browser.get("/sign-in")
    assert browser.http.post("/sign-in", data=sent).status_code == 403
    assert browser.http.post("/sign-in", data=sent | {"csrf": ""}).status_code == 403


@pytest.mark.parametrize(
    "place", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "evil", "/\tevil\n"]
)
def test_no_form_sends_a_person_elsewhere(open_: Console, place: str) -> None:
    assert Browser(open_.app).sign_in("analyst", place=place).headers["location"] == "/"
    assert open_.as_["analyst"].post("/views", name="x", here=place).headers["location"] == "/?done=saved"


def test_a_wanted_page_comes_after_sign_in(open_: Console) -> None:
    browser = Browser(open_.app)
    sent = browser.get("/cases/K0001?account=a").headers["location"]
    assert sent == "/sign-in?next=%2Fcases%2FK0001%3Faccount%3Da"
    form = browser.get(sent).text
    fields = {"name": "analyst", "password": PASSWORD, "csrf": csrf_in(form), "next": "/cases/K0001?account=a"}
    assert browser.http.post("/sign-in", data=fields).headers["location"] == "/cases/K0001?account=a"


def test_every_answer_has_strict_headers(open_: Console) -> None:
    for path in ("/", "/sign-in", "/static/console.css", "/nowhere", "/cases/K0001", "/alive"):
        for browser in (open_.as_["analyst"], Browser(open_.app)):
            headers = browser.get(path).headers
            assert headers["content-security-policy"] == CSP and "unsafe" not in CSP
            assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
            assert headers["cache-control"] == ("no-cache" if path.startswith("/static") else "no-store")


def test_pages_hold_no_inline_script_or_style_and_nothing_off_site(open_: Console) -> None:
    for path in (*PAGES, "/sign-in", "/log/0"):
        page = open_.as_["admin"].get(path).text
        assert not re.search(r"<script(?! src=\"/static/)|<style|\sstyle=|\son[a-z]+=|javascript:", page), path
        assert not re.search(r"(?:src|href|action)=\"(?!/|#|\?)", page), path


def test_cookies_are_out_of_reach_of_scripts_and_bound_to_the_host_over_tls(open_: Console) -> None:
    secure = settings(str(open_.store.where.path), None, open_.clock, "https://console.example")
    browser = Browser(create_app(secure), "https://console.example")
    done = browser.sign_in("analyst")
    (cookie,) = [one for one in done.headers.get_list("set-cookie") if one.startswith("__Host-clonewatch=")]
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert done.headers["strict-transport-security"] == "max-age=31536000"
    plain = Browser(open_.app).sign_in("analyst").headers.get_list("set-cookie")
    assert "HttpOnly" in plain[0] and "Secure" not in plain[0]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8642", ""])
def test_a_foreign_host_is_refused(open_: Console, host: str) -> None:
    assert open_.as_["analyst"].get("/", headers={"host": host}).status_code == 421
    assert open_.as_["analyst"].get("/", headers={"host": "localhost:8642"}).status_code in (200, 303)


def test_a_body_is_bounded_whatever_its_length_says(open_: Console) -> None:
    analyst = open_.as_["analyst"]
    csrf = analyst.csrf()
    large = {"csrf": csrf, "name": "x", "here": "/" + "a" * 300_000}
    assert analyst.http.post("/views", data=large).status_code == 413

    def pieces() -> object:
        yield f"csrf={csrf}&name=x&here=".encode()
        for _ in range(400):
            yield b"a" * 1000

    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert analyst.http.post("/views", content=pieces(), headers=kind).status_code == 413
    assert analyst.http.post("/views", headers={**kind, "content-length": "-5"}).status_code == 413


@pytest.mark.parametrize(
    "url",
    ["http://console.example", "ftp://127.0.0.1", "127.0.0.1:80", "https://console.example/path", "http://10.0.0.1"],
)
def test_an_address_that_shows_passwords_is_refused(url: str) -> None:
    with pytest.raises(SetupError):
        check(Settings("cases.db", url=url, limits=NO_LIMITS))
    check(Settings("cases.db", url=URL))
    check(Settings("cases.db", url="https://console.example"))
