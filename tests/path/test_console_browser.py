"""The console in a real browser: what people do there, what it looks like, and what axe finds on every page."""

from __future__ import annotations

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
from tests.unit.console_stand import Console, console, sound

from clonewatch.service.app import create_app

CHROMIUM = Path("/usr/bin/chromium")
PAGES = ("/", "/?status=any", "/cases/K0001", "/cases/K0002", "/approvals", "/log", "/log/0", "/people", "/health")
# The bar is the same for all: what it takes to be read by people who see little, or hear the page.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
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
    held.clock.now = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}"
    with listening(held) as address:
        yield held, address


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browsing() as browser:
        yield browser


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


def shot(person: Person, name: str, tmp_path: Path) -> None:
    """A picture for whoever looks at a failed build: in the folder that CONSOLE_SHOTS names, or a passing one."""
    folder = Path(os.environ.get("CONSOLE_SHOTS", tmp_path))
    person.page.screenshot(path=str(folder / f"{name}.png"), full_page=True)


def test_two_persons_take_a_case_from_the_queue_to_a_block(
    chromium: Any, open_: tuple[Console, str], tmp_path: Path
) -> None:
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
    page.get_by_text("Ask a second person").click()
    page.get_by_role("textbox", name="Why").fill("a pool of one operator")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_role("status").get_by_text("Another person has to approve it.").wait_for()
    page.goto("/approvals")
    assert not page.get_by_role("button", name="Approve", exact=True).is_visible()
    shot(ana, "waiting", tmp_path)
    bob = Person(chromium, open_, "approver")
    bob.page.goto("/approvals")
    bob.page.get_by_role("button", name="Approve", exact=True).click()
    bob.page.get_by_role("status").get_by_text("Approved.").wait_for()
    page.goto("/cases/K0001")
    page.get_by_text("block approved").wait_for()
    shot(ana, "blocked", tmp_path)
    bob.leave()
    ana.leave()
    sound(open_[0].store)


def test_an_analyst_splits_merges_and_takes_it_back(chromium: Any, open_: tuple[Console, str], tmp_path: Path) -> None:
    ana = Person(chromium, open_, "analyst")
    page = ana.page
    page.goto("/cases/K0002")
    page.get_by_label("Choose x").check()
    page.get_by_text("Split: move accounts").click()
    page.get_by_role("button", name="Split", exact=True).click()
    page.get_by_role("status").get_by_text("Split in two.").wait_for()
    assert page.get_by_role("heading", level=1).inner_text().startswith("K0003")
    page.get_by_label("Cases to merge into").fill("K0002")
    page.get_by_role("button", name="Merge", exact=True).click()
    page.get_by_role("status").get_by_text("Merged.").wait_for()
    shot(ana, "merged", tmp_path)
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


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (375, "dark")])
def test_every_page_can_be_used_by_everybody(
    chromium: Any, open_: tuple[Console, str], width: int, scheme: str, tmp_path: Path
) -> None:
    """By axe, in both themes, and as narrow as a phone without scrolling to the side."""
    from axe_playwright_python.sync_playwright import Axe

    admin = Person(chromium, open_, "admin", color_scheme=scheme, viewport={"width": width, "height": 800})
    faults = []
    for place in PAGES:
        admin.page.goto(place)
        admin.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        found = Axe().run(admin.page, options={"runOnly": RULES}).response["violations"]
        faults += [(place, one["id"], one["nodes"][0]["html"][:200]) for one in found]
        if admin.page.evaluate("document.documentElement.scrollWidth") > width:
            faults.append((place, "wider than the window", ""))
        name = re.sub(r"\W+", "-", place).strip("-") or "queue"
        shot(admin, f"{name}-{width}-{scheme}", tmp_path)
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
