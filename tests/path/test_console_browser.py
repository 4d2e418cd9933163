"""The console in a real browser: what people do there, what it looks like, and what axe finds on every page."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tests.required import required
from tests.unit.cases_stand import group
from tests.unit.console_stand import Console, console, sound

from clonewatch.cases.appeal_clock import in_force
from clonewatch.cases.appeals import appeals, write
from clonewatch.cases.arrivals import arrive
from clonewatch.cases.attachments import File
from clonewatch.cases.changes import Decision, Who, rule
from clonewatch.cases.containments import Plan, ask, bearer, begin, containments, renew
from clonewatch.cases.measures import STANDING
from clonewatch.cases.store import Store
from clonewatch.service.app import create_app

CHROMIUM = Path("/usr/bin/chromium")
PAGES = ("/", "/?status=any", "/cases/K0001", "/cases/K0002", "/approvals", "/log", "/log/0", "/people", "/health")
PAGES += ("/appeals", "/appeals/A0001", "/containments/B0001", "/appeal")
LETTER = b"%PDF-1.7 a letter"
# The bar is the same for all: what it takes to be read by people who see little, or hear the page.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Widths and themes in which each page is looked at, and what is asked there.
LOOKS = (
    (1280, "light", RULES),
    (1280, "dark", {"type": "rule", "values": ["color-contrast"]}),
    (375, "dark", RULES),
    (375, "light", {"type": "rule", "values": ["color-contrast"]}),
)
_FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


def _lacking() -> list[str]:
    lacking = [] if CHROMIUM.exists() else ["Chromium (Debian: chromium)"]
    for name in ("playwright", "axe_playwright_python"):
        try:
            __import__(name)
        except ImportError:
            lacking.append(name)
    return lacking


pytestmark = required("the console in a browser", _lacking())


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


@contextmanager
def listening(held: Console) -> Iterator[str]:
    """The address of a console that listens on loopback."""
    app = create_app(held.app.state.settings)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@contextmanager
def browsing() -> Iterator[Any]:
    """A browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=str(CHROMIUM), args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def open_(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Console, str]]:
    """A console that listens on loopback, and its address."""
    held = console(str(tmp_path_factory.mktemp("browser") / "cases.db"), roles=("analyst", "approver", "admin"))
    held.clock.now = now()
    with listening(held) as address:
        yield held, address


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browsing() as browser:
        yield browser


# What reaches out of its panel, and is in nothing that scrolls.
STICKING_OUT = """
[...document.querySelectorAll('.panel')].flatMap(panel => [...panel.querySelectorAll('*')].filter(one => {
  const place = one.getBoundingClientRect();
  return place.width > 1 && place.right > panel.getBoundingClientRect().right && !one.closest('.wide, pre, figure');
}).map(one => one.outerHTML.slice(0, 200)))
"""

# Tables that scroll sideways; which account shares what is a drawing, and stays one.
SIDEWAYS = """
[...document.querySelectorAll('.wide')].filter(one =>
  one.querySelector('table:not(.matrix)') && one.scrollWidth > one.clientWidth + 1
).map(one => one.outerHTML.slice(0, 200))
"""


class Person:
    """Somebody with a browser of their own; what the browser complains about, and asks other hosts, is kept."""

    def __init__(self, chromium: Any, open_: tuple[Console, str], role: str, **how: Any) -> None:
        from clonewatch.cases import sessions

        held, self.address = open_
        with held.store.tending() as connection:
            token = sessions.begin(connection, role, held.clock.now)
        self.context = chromium.new_context(base_url=self.address, **how)
        self.context.add_cookies([{"name": "clonewatch", "value": token, "url": self.address}])
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        self.page.on("console", lambda said: self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda sent: self._asked(sent.url))

    def _asked(self, url: str) -> None:
        if not url.startswith((self.address, "data:")):
            self.elsewhere.append(url)

    def leave(self) -> None:
        """Close the browser; nothing was complained about, and nobody else was asked."""
        self.context.close()
        assert (self.complaints, self.elsewhere) == ([], [])


def shot(person: Person, name: str) -> None:
    """A picture in the folder that CONSOLE_SHOTS names; without it none is taken."""
    picture(person.page, name)


def picture(page: Any, name: str) -> None:
    """The same of any page; `appeals-of-` are pictures of docs/using/cases.md: what fits on a screen."""
    if folder := os.environ.get("CONSOLE_SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=not name.startswith("appeals-of-"))


def test_from_the_queue_to_an_overturned_appeal(chromium: Any, open_: tuple[Console, str]) -> None:
    """A ruling, a measure that a second person begins, an appeal by the link, and not again on the same evidence."""
    ana = Person(chromium, open_, "analyst")
    page = ana.page
    page.goto("/")
    page.get_by_role("link", name="K0001").click()
    page.get_by_role("button", name=re.compile("^No")).first.click()
    page.get_by_role("status").get_by_text("Answered. The odds moved").wait_for()
    page.get_by_label("confirmed: one operator").check()
    assert not page.locator("select[name=explanation]").is_visible()
    page.get_by_label("Note: how you know").fill("one card pays for all")
    page.get_by_role("button", name="Rule on K0001").click()
    page.get_by_role("status").get_by_text("Ruled. It goes to the next scan.").wait_for()
    ask_for_a_measure(page)
    page.get_by_role("status").get_by_text("Another person has to approve it.").wait_for()
    assert not page.get_by_role("button", name="Approve and begin").is_visible()
    bob = Person(chromium, open_, "approver")
    token = begin_and_get_notices(bob)
    holder = appeal_by_the_link(chromium, open_[1], token)
    page.goto("/appeals")
    page.get_by_role("link", name="A0001").click()
    with page.expect_download() as file:
        page.get_by_role("link", name=re.compile("attachment-")).click()
    assert Path(file.value.path()).read_bytes() == LETTER and file.value.suggested_filename.endswith(".pdf")
    page.get_by_label("overturn").check()
    page.get_by_label("Reasons, which the holder reads").fill("The school exists, and has 18 classes.")
    shot(ana, "appeals-of-console")
    page.get_by_role("button", name="Answer A0001").click()
    page.get_by_role("status").get_by_text("Answered.").wait_for()
    holder.reload()
    holder.get_by_text("You were right").wait_for()
    picture(holder, "holder-over")
    with open_[0].store.reading() as store:
        assert [one.account for one in in_force(store, now())] == ["b", "c", "d"]
        (left,) = [one.case for one in store.cases() if one.split_from == "K0001"]
    page.goto(f"/cases/{left}")
    page.get_by_label("confirmed: one operator").check()
    page.get_by_role("button", name=f"Rule on {left}").click()
    ask_for_a_measure(page)
    page.get_by_text("B0001 was overturned for them, on the same evidence").wait_for()
    page.goto("/containments/B0001")
    page.get_by_label("Why", exact=True).fill("the others moved on")
    page.once("dialog", lambda asked: asked.accept())
    page.get_by_role("button", name="End it for all accounts").click()
    page.get_by_role("status").get_by_text("Ended for all accounts.").wait_for()
    with open_[0].store.reading() as store:
        assert in_force(store, now()) == []
    holder.context.close()
    bob.leave()
    ana.complaints = [said for said in ana.complaints if "status of 400" not in said]
    ana.leave()
    sound(open_[0].store)


def ask_for_a_measure(page: Any) -> None:
    page.get_by_text("Ask for a measure against").click()
    page.get_by_label("suspend: suspension").check()
    page.get_by_label("Ground: the clause").fill("Section 4: one person, one account.")
    page.get_by_label("Why, for the second person").fill("a pool of one operator")
    page.get_by_role("button", name="Ask a second person").click()


def begin_and_get_notices(bob: Person) -> str:
    """Begin B0001 as a second person; returns the link of its first account."""
    page = bob.page
    page.goto("/approvals")
    page.get_by_role("link", name="Read and begin it").click()
    shot(bob, "appeals-of-measure")
    page.get_by_role("button", name="Approve and begin").click()
    page.get_by_role("alert").get_by_text("Nobody has been told yet.").wait_for()
    with page.expect_download() as file:
        page.get_by_role("button", name="Write the notices").click()
    notices = [json.loads(line) for line in Path(file.value.path()).read_text(encoding="utf-8").splitlines()]
    assert [one["account"] for one in notices] == ["a", "b", "c", "d"]
    page.reload()
    page.get_by_text("Written by approver").wait_for()
    assert not page.get_by_text("Nobody has been told yet.").is_visible()
    return str(notices[0]["token"])


def appeal_by_the_link(chromium: Any, address: str, token: str) -> Any:
    """Open the link on a phone, without scripts first, and appeal; returns the page."""
    plain = chromium.new_context(base_url=address, java_script_enabled=False)
    page = plain.new_page()
    page.goto(f"/appeal#{token}")
    page.get_by_label("Your link, or its code").fill(f"{address}/appeal#{token}")
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("heading", name="About your account a").wait_for()
    plain.close()
    asked: list[tuple[str, str]] = []
    phone = chromium.new_context(base_url=address, viewport={"width": 390, "height": 800})
    page = phone.new_page()
    page.on("request", lambda sent: asked.append((sent.url, sent.headers.get("referer", ""))))
    page.goto(f"/appeal#{token}")
    page.get_by_role("heading", name="About your account a").wait_for()
    assert page.url == f"{address}/appeal"
    page.get_by_label("Who you are").fill("We are a school.\nThe letter of our head is attached.")
    file = {"name": "letter.pdf", "mimeType": "application/pdf", "buffer": LETTER}
    page.get_by_label("Files, if any").set_input_files(files=[file])
    page.get_by_role("button", name="Send the appeal").click()
    page.get_by_role("status").get_by_text("Sent.").wait_for()
    page.get_by_text("We have your appeal").wait_for()
    picture(page, "appeals-of-holder")
    assert not any(token in url.partition("#")[0] or token in referer for url, referer in asked)
    return page


def test_an_analyst_splits_merges_and_takes_it_back(chromium: Any, open_: tuple[Console, str]) -> None:
    ana = Person(chromium, open_, "analyst")
    page = ana.page
    page.goto("/cases/K0002")
    page.get_by_label("Choose x").check()
    page.get_by_text("Split: move accounts").click()
    page.get_by_role("button", name="Split", exact=True).click()
    page.get_by_role("status").get_by_text("Split in two.").wait_for()
    assert page.get_by_role("heading", level=1).inner_text().startswith("K000")
    page.get_by_label("Cases to merge into").fill("K0002")
    page.get_by_role("button", name="Merge", exact=True).click()
    page.get_by_role("status").get_by_text("Merged.").wait_for()
    shot(ana, "merged")
    for _ in range(2):
        page.get_by_role("button", name="Take the last change back").click()
        page.get_by_role("status").get_by_text("Taken back.").wait_for()
    ana.leave()
    sound(open_[0].store)


def test_the_queue_answers_as_one_types_and_is_walked_with_keys(chromium: Any, open_: tuple[Console, str]) -> None:
    from playwright.sync_api import expect

    ana = Person(chromium, open_, "analyst")
    page = ana.page
    page.goto("/?status=any")
    rows = page.locator("[data-row]")
    assert rows.count() >= 2
    page.keyboard.press("/")
    page.keyboard.type("k0002")
    expect(rows).to_have_count(1)
    assert "text=k0002" in page.url
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/cases/K0002")
    page.keyboard.press("g")
    page.keyboard.press("q")
    page.wait_for_url(re.compile(r":\d+/$"))
    ana.leave()


def test_several_cases_are_chosen_and_ruled_on(chromium: Any, open_: tuple[Console, str]) -> None:
    ana = Person(chromium, open_, "analyst")
    page = ana.page
    page.goto("/?status=any")
    bar = page.get_by_text("Rule on all")
    assert not bar.is_visible()
    page.get_by_label("Choose K0001").check()
    assert bar.is_visible()
    bar.click()
    page.get_by_role("status").get_by_text("Ruled. It goes to the next scan.").wait_for()
    ana.leave()


def test_a_person_chooses_a_theme_and_it_stays(chromium: Any, open_: tuple[Console, str]) -> None:
    ana = Person(chromium, open_, "analyst", color_scheme="light")
    page = ana.page
    background = "getComputedStyle(document.body).backgroundColor"
    page.goto("/")
    light = page.evaluate(background)
    page.get_by_role("button", name="Change between light and dark").click()
    dark = page.evaluate(background)
    assert dark != light
    page.reload()
    assert page.evaluate(background) == dark
    ana.leave()


def measured(store: Store) -> tuple[str, list[str]]:
    """A measure that stands, one that waits and an open appeal, made once; returns a link's secret, and their pages."""
    who = Who("ana", now())
    with store.writing() as change:
        if not containments(change, state=STANDING):
            for name in ("mno", "pqr"):
                (case,) = arrive(change, [group(f"C-{name}", name)], "ana", who.at).opened
                rule(change, [case], Decision("confirmed"), who)
                made = ask(change, case, Plan("suspend", "Section 4: one person, one account."), "a pool", who)
            _, links = begin(change, made.containment, who._replace(by="bob"))
            text = "We are a school.\nThe letter of our head is attached."
            write(change, bearer(change, links[0].token, who.at), text, who, [File("letter.pdf", LETTER)])
        (held,) = containments(change, state=STANDING)
        (open_,) = appeals(change, held.containment)
        token = renew(change, held.containment, "p", who).token
    return token, [f"/appeals/{open_.appeal}", f"/containments/{held.containment}"]


def looked_at(person: Person, name: str) -> list[tuple[object, ...]]:
    """What is wrong with the page that somebody has open: by axe, in both themes, and as narrow as a phone.

    The page is loaded once. What depends on neither theme nor width is asked once.
    """
    from axe_playwright_python.sync_playwright import Axe

    page, faults = person.page, list[tuple[object, ...]]()
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    for width, scheme, rules in LOOKS:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page, options={"runOnly": rules}).response["violations"]
        faults += [(name, width, scheme, one["id"], one["nodes"][0]["html"][:200]) for one in found]
        if page.evaluate("document.documentElement.scrollWidth") > width:
            faults.append((name, width, scheme, "wider than the window"))
        faults += [(name, width, scheme, "wider than its panel", one) for one in page.evaluate(STICKING_OUT)]
        faults += [(name, width, scheme, "scrolls sideways", one) for one in page.evaluate(SIDEWAYS)]
        shot(person, f"{re.sub(r'[^a-zA-Z0-9]+', '-', name).strip('-') or 'queue'}-{width}-{scheme}")
    return faults


def test_every_page_can_be_used_by_everybody(chromium: Any, open_: tuple[Console, str]) -> None:
    # Without motion: colours that are still on their way from one theme to the other have no contrast of their own.
    admin = Person(chromium, open_, "admin", reduced_motion="reduce")
    token, more = measured(open_[0].store)
    faults = []
    for place in (*PAGES, *more):
        admin.page.goto(place)
        faults += looked_at(admin, place)
    admin.page.goto(f"/appeal#{token}")
    admin.page.get_by_role("heading", name="About your account").wait_for()
    faults += looked_at(admin, "/appeal (entered)")
    admin.leave()
    assert faults == []


def test_who_is_not_signed_in_gets_a_form_that_can_be_used_by_everybody(
    chromium: Any, open_: tuple[Console, str]
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    context = chromium.new_context(base_url=open_[1])
    page = context.new_page()
    page.goto("/cases/K0001")
    assert Axe().run(page, options={"runOnly": RULES}).response["violations"] == []
    page.get_by_label("Name").fill("analyst")
    page.get_by_label("Password").fill("plum cake on tuesdays")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/cases/K0001")
    context.close()
