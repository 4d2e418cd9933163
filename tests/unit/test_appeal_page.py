"""The page of account holders: what it takes to get there, what it tells, and what somebody hostile tries there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from httpx2 import Response
from tests.unit.appeals_stand import ANA, BOB, EVA, PLAN, at, contained
from tests.unit.console_stand import URL, Browser, Clock, Console, console, csrf_in, settings, sound

from clonewatch.cases.appeal_clock import run
from clonewatch.cases.appeals import Answer, decide
from clonewatch.cases.attachments import MOST_BYTES
from clonewatch.cases.changes import Decision, rule
from clonewatch.cases.containments import Link, ask, begin, end, renew
from clonewatch.service.app import create_app
from clonewatch.service.protection import CSP
from clonewatch.service.settings import Limits

EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'{{7*7}}\u202egnp"
PDF = ("letter.pdf", b"%PDF-1.7 a letter", "application/pdf")


class Stand:
    """A console with B0001 against a, b, c and d, and a browser of somebody who holds a link."""

    def __init__(self, open_: Console, links: list[Link]) -> None:
        self.open_, self.links = open_, links
        self.browser = Browser(open_.app)

    def enter(self, code: str, browser: Browser | None = None) -> Response:
        """Hand a code over, as the page's script does."""
        browser = browser or self.browser
        before = before_in(browser.get("/appeal").text)
        return browser.http.post("/appeal", data={"before_": before, "code": code})  # type: ignore[no-any-return]

    def write(
        self, text: str, files: Sequence[tuple[str, bytes, str]] = (), csrf: str = "", browser: Browser | None = None
    ) -> Response:
        browser = browser or self.browser
        sent = {"csrf": csrf or csrf_in(browser.get("/appeal").text), "text": text}
        parts = [("files", one) for one in files]
        return browser.http.post("/appeal/write", data=sent, files=parts)  # type: ignore[arg-type, no-any-return]

    def written(self) -> int:
        """Messages of holders that the store has."""
        with self.open_.store.reading() as store:
            return sum(entry.what in ("appeal", "reply") for _, entry in store.history("K0001"))


def before_in(page: str) -> str:
    found = re.search(r'name="before_" value="([^"]*)"', page)
    assert found
    return found[1]


def harmless(page: str) -> bool:
    return "<script>alert" not in page and "<img src=x" not in page and "'49" not in page and "\u202e" not in page


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return standing(str(tmp_path / "cases.db"))


@pytest.fixture
def stand_on_both(place: tuple[str, Path]) -> Stand:
    """The same on a file and on PostgreSQL, for what a database may do in its own way."""
    return standing(*place)


def standing(place: str, key: Path | None = None) -> Stand:
    open_ = console(place, key, roles=("analyst",))
    open_.clock.now = "2026-05-07T09:00:00Z"
    return Stand(open_, contained(open_.store)[1])


def test_a_holder_reads_why_appeals_and_reads_the_answer(stand_on_both: Stand) -> None:
    stand = stand_on_both
    assert stand.enter(f"{URL}/appeal#{stand.links[1].token}.").headers["location"] == "/appeal", "as a mail shows it"
    page = stand.browser.get("/appeal").text
    for said in (
        "About your account <bdi>b</bdi>",
        PLAN.ground.split(":")[0],
        "Now in force, to 5 June 2026",
        "appeal",
    ):
        assert said in page
    assert "K0001" not in page and "ana" not in re.sub("<[^>]*>", "", page).split() and "seen twice" not in page
    assert stand.write("we are a school", [PDF]).headers["location"] == "/appeal?done=sent"
    page = stand.browser.get("/appeal").text
    assert "We have your appeal, and answer by 21 May 2026" in page and "letter.pdf" in page
    with stand.open_.store.writing() as store:
        decide(store, "A0001", Answer("ask", by="2026-05-12"), "which classes?", at(EVA, "08"))
    page = stand.browser.get("/appeal").text
    assert "please reply below, by 12 May 2026" in page and "which classes?" in page and "eva" not in page
    assert stand.write("5a and 5b").status_code == 303
    with stand.open_.store.writing() as store:
        decide(store, "A0001", Answer("overturn"), "it exists", at(EVA, "09"))
    page = stand.browser.get("/appeal").text
    assert "You were right" in page and "it exists" in page and 'action="/appeal/write"' not in page
    assert stand.write("thanks", csrf=csrf_in(page) or form_of(stand)).status_code in (400, 403)
    sound(stand.open_.store)


def form_of(stand: Stand, number: int = 1) -> str:
    from clonewatch.cases.sessions import csrf

    return csrf(stand.links[number].token)


def test_a_long_text_is_shown_whole_with_its_lines(stand: Stand) -> None:
    stand.enter(stand.links[0].token)
    text = "\n".join(f"line {n} of our answer" for n in range(400))
    assert stand.write(text).status_code == 303
    assert text in stand.browser.get("/appeal").text
    stand.open_.as_["analyst"].sign_in("analyst")
    assert text in stand.open_.as_["analyst"].get("/appeals/A0001").text


def test_every_state_is_said_in_words(stand: Stand) -> None:
    """Of a holder who never appealed, and of one to whom everything that can be answered was answered."""
    for number in range(3):
        stand.enter(stand.links[number].token)
        stand.write("we are a school")
    store, clock = stand.open_.store, stand.open_.clock

    def page(number: int) -> str:
        stand.enter(stand.links[number].token)
        return stand.browser.get("/appeal").text

    with store.writing() as change:
        decide(change, "A0001", Answer("partial", "budget"), "less", at(EVA, "08"))
        decide(change, "A0002", Answer("conditional", by="2026-05-15"), "show a contract", at(EVA, "08"))
    assert "a limit on how much" in page(0) and "a milder measure takes the place" in page(0)
    assert "is met by 15 May 2026" in page(1) and "answer by 21 May 2026" in page(2)
    clock.now = "2026-05-22T09:00:00Z"
    assert "The measure has lapsed" in page(2), "before anybody recorded it"
    with store.writing() as change:
        run(change, at(EVA, "22"))
    assert "The measure has lapsed" in page(2) and "This appeal is closed" in page(2)
    with store.writing() as change:
        decide(change, "A0002", Answer("uphold"), "no contract came", at(EVA, "23"))
    assert "the measure stays" in page(1) and "Now in force" in page(3)
    with store.writing() as change:
        end(change, "B0001", "enough", at(ANA, "24"))
    assert "The measure has ended" in page(3) and "Send the appeal" in page(3), "it can still be said to be wrong"
    sound(store)


def test_no_page_tells_whether_a_link_ever_was(stand_on_both: Stand) -> None:
    """A guess, a link that was replaced, and one of another kind get the same page."""
    stand = stand_on_both
    with stand.open_.store.writing() as store:
        renew(store, "B0001", "a", BOB)
    session = stand.open_.as_["analyst"].http.cookies["clonewatch"]
    pages = set()
    for code in ("guess", stand.links[0].token, session, "", "é" * 30, "x" * 1999, "' OR 1=1 --"):
        found = stand.enter(code)
        assert (found.status_code == 404 and "set-cookie" in found.headers and code[:5] not in found.text) or not code
        assert "clonewatch-appeal" not in found.headers["set-cookie"]
        pages.add(re.sub(r'value="[^"]*"', "", found.text))
    assert len(pages) == 1
    assert stand.enter("x" * 2001).status_code == 422 and stand.enter("a\0b").status_code == 400


def test_a_link_opens_its_own_appeal_and_nothing_of_the_console(stand_on_both: Stand) -> None:
    stand = stand_on_both
    stand.enter(stand.links[0].token)
    stand.write("the secret of account a", [PDF])
    other = Browser(stand.open_.app)
    stand.enter(stand.links[1].token, other)
    page = other.get("/appeal", params={"account": "a", "appeal": "A0001", "holder": "0"}).text
    assert "secret of account a" not in page and "<bdi>b</bdi>" in page
    assert stand.write("not mine", csrf=csrf_in(stand.browser.get("/appeal").text), browser=other).status_code == 403
    for path in ("/", "/appeals", "/appeals/A0001", "/appeals/A0001/files/16/1", "/containments/B0001", "/log"):
        assert other.get(path).headers["location"].startswith("/sign-in")
    assert stand.open_.as_["analyst"].get("/appeal").text.count("Your link, or its code") == 1, "nor the other way"
    assert stand.written() == 1


def test_a_link_that_was_replaced_ends_where_it_is_open_too(stand: Stand) -> None:
    stand.enter(stand.links[0].token)
    form = csrf_in(stand.browser.get("/appeal").text)
    with stand.open_.store.writing() as store:
        new = renew(store, "B0001", "a", BOB)
    assert stand.browser.get("/appeal").status_code == 404
    assert stand.write("by the old link", csrf=form).status_code == 404 and stand.written() == 0
    assert stand.enter(stand.links[0].token).status_code == 404
    stand.enter(new.token)
    assert "About your account" in stand.browser.get("/appeal").text


NAMES = (
    "../../etc/passwd",
    "a\r\nSet-Cookie: x=1.pdf",
    'a";filename="evil.html',
    "=cmd|' /C calc'!A0.pdf",
    "evil.html",
)


def test_a_file_is_given_back_under_a_name_of_ours_as_what_its_bytes_are(stand: Stand) -> None:
    stand.enter(stand.links[0].token)
    page = b"%PDF-1.4 <html><script>alert(1)</script>"
    assert stand.write("see these", [(name, page, "text/html") for name in NAMES]).status_code == 303
    analyst = stand.open_.as_["analyst"]
    analyst.sign_in("analyst")
    places = re.findall(r'href="(/appeals/A0001/files/(\d+)/(\d+))"', analyst.get("/appeals/A0001").text)
    assert len(places) == len(NAMES)
    for place, entry, number in places:
        head = analyst.get(place).headers
        assert head["content-disposition"] == f'attachment; filename="attachment-{entry}-{number}.pdf"'
        assert (head["content-type"], head["x-content-type-options"]) == ("application/pdf", "nosniff")
        assert "x=1" not in str(head)


def test_a_form_of_another_page_is_refused(stand: Stand) -> None:
    stand.enter(stand.links[0].token)
    stand.open_.as_["analyst"].sign_in("analyst")
    for csrf in ("guessed", form_of(stand, 1), stand.open_.as_["analyst"].csrf()):
        assert stand.write("planted", csrf=csrf).status_code == 403
    csrf = csrf_in(stand.browser.get("/appeal").text)
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {"origin": "null"}):
        for path in ("/appeal", "/appeal/write", "/appeal/leave"):
            sent = {"csrf": csrf, "text": "planted", "before_": before_in(stand.browser.get("/appeal").text)}
            assert stand.browser.http.post(path, data=sent, headers=headers).status_code == 403
    planted = {"before_": "guessed", "code": stand.links[2].token}
    assert Browser(stand.open_.app).http.post("/appeal", data=planted).status_code == 403, "into an account of theirs"
    assert stand.written() == 0


def test_the_secret_is_in_no_address_and_no_log(stand: Stand) -> None:
    done = stand.enter(stand.links[0].token)
    token = stand.links[0].token
    assert token not in done.headers["location"]
    (cookie,) = [one for one in done.headers.get_list("set-cookie") if one.startswith("clonewatch-appeal=")]
    assert {"HttpOnly", "Path=/appeal", "SameSite=strict"} <= set(cookie.split("; "))
    stand.write("we are a school")
    assert token not in stand.browser.get("/appeal").text
    with stand.open_.store.reading() as store:
        assert not any(token in entry for entry in store.log().entries)
    secure = settings(str(stand.open_.store.where.path), None, stand.open_.clock, "https://console.example")
    browser = Browser(create_app(secure), "https://console.example")
    done = stand.enter(token, browser)
    (cookie,) = [one for one in done.headers.get_list("set-cookie") if "clonewatch-appeal=" in one]
    assert cookie.startswith("__Secure-") and "Secure" in cookie.split("; ")
    assert "About your account" in browser.get("/appeal").text
    left = browser.http.post("/appeal/leave")
    assert left.status_code == 303 and "About your account" not in browser.get("/appeal").text


def test_what_is_written_becomes_markup_nowhere(stand: Stand) -> None:
    analyst = stand.open_.as_["analyst"]
    stand.enter(stand.links[0].token)
    assert stand.write(EVIL, [(EVIL, b"<script>alert(1)</script>", EVIL)]).status_code == 303
    assert harmless(stand.browser.get("/appeal").text)
    given_back = stand.write(f"{EVIL}{'x' * 10_000}").text
    assert harmless(given_back.replace("\u202e", "")), "as it was typed"
    with stand.open_.store.writing() as store:
        rule(store, ["K0002"], Decision("confirmed"), ANA)
        ask(store, "K0002", PLAN._replace(ground=EVIL), EVIL, ANA)
    assert analyst.sign_in("analyst").status_code == 303
    for path in ("/appeals", "/appeals/A0001", "/containments/B0001", "/containments/B0002", "/cases/K0002", "/log"):
        page = analyst.get(path)
        assert page.status_code == 200 and harmless(page.text), path
        searched = analyst.get(path, params={"account": EVIL, "done": EVIL}).text
        assert harmless(searched.replace("\u202e", "")), "a search field holds what was typed"
    with stand.open_.store.writing() as store:
        _, links = begin(store, "B0002", BOB)
    stand.enter(links[0].token)
    assert harmless(stand.browser.get("/appeal").text) and "&lt;script&gt;" in stand.browser.get("/appeal").text


def test_pages_of_holders_hold_no_inline_script_or_style_and_nothing_off_site(stand: Stand) -> None:
    for _ in range(2):
        found = stand.browser.get("/appeal")
        page = found.text
        assert found.headers["content-security-policy"] == CSP and found.headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?! src=\"/static/)|<style|\sstyle=|\son[a-z]+=|javascript:", page)
        assert not re.search(r"(?:src|href|action)=\"(?!/|#|\?)", page) and 'href="/"' not in page
        stand.enter(stand.links[0].token)


FILES = {
    "six at once": [PDF] * 6,
    "too large": [("big.pdf", b"%PDF-" + bytes(MOST_BYTES), "application/pdf")],
    "a page": [("a.pdf", b"<html>\x00", "application/pdf")],
    "an archive": [("a.pdf", b"PK\x03\x04\x00\x00", "application/pdf")],
    "empty": [("a.txt", b"", "text/plain")],
    "too much together": [(f"{n}.pdf", b"%PDF-" + bytes(MOST_BYTES - 5), "application/pdf") for n in range(3)],
}


@pytest.mark.parametrize("what", FILES)
def test_files_that_are_not_taken_are_said_so_and_the_text_stays(stand: Stand, what: str) -> None:
    stand.enter(stand.links[0].token)
    found = stand.write("we are a school of 18 classes", FILES[what])
    # What is beyond every bound is refused before it is read.
    assert found.status_code == (413 if what == "too much together" else 400)
    assert found.status_code == 413 or "we are a school of 18 classes</textarea>" in found.text
    assert stand.written() == 0


def test_bodies_and_texts_are_bounded(stand: Stand) -> None:
    stand.enter(stand.links[0].token)
    assert stand.write("x" * 10_001).status_code == 400 and stand.write("  ").status_code == 400
    assert stand.write("x" * 20_001).status_code == 422
    large = {"before_": "x", "code": "x" * 300_000}
    assert stand.browser.http.post("/appeal", data=large).status_code == 413, "without a link little is taken"
    assert stand.written() == 0


def test_links_are_not_guessed_quickly_and_holders_take_nothing_from_people_at_work(stand: Stand) -> None:
    bounded = Limits(sign_ins=3, requests=30, appeals=4, holders=12)
    strict = settings(str(stand.open_.store.where.path), None, Clock())._replace(limits=bounded)
    app = create_app(strict)
    guesser = Browser(app)
    before = before_in(guesser.get("/appeal").text)
    sent = [guesser.http.post("/appeal", data={"before_": before, "code": f"guess{n}"}) for n in range(6)]
    assert [one.status_code for one in sent] == [404] * 4 + [429] * 2
    assert [guesser.get("/appeal").status_code for _ in range(7)].count(429) == 2
    assert [guesser.get("/static/console.css").status_code for _ in range(35)].count(429) >= 4
    assert Browser(app).get("/sign-in").status_code == 200, "the console has rates of its own"
