"""A console that is killed while people rule, contain and appeal: its log and its tables agree, whenever it was."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx2
import pytest
from tests.required import required
from tests.unit.appeals_stand import PLAN
from tests.unit.cases_stand import group
from tests.unit.console_stand import PASSWORD, SETUP, csrf_in, kept_password, sound, version_in

from clonewatch.cases import people
from clonewatch.cases.arrivals import arrive
from clonewatch.cases.changes import Decision, Who, rule
from clonewatch.cases.containments import Link, ask, begin
from clonewatch.cases.store import Store, opened
from clonewatch.service.settings import now

KILLS = 4
# What is done before a kill; then the console is killed in the midst of whatever is under way.
DONE_BEFORE = 6

pytestmark = required("a console process", [] if os.name == "posix" else ["signals"])


def started(place: Path) -> tuple[subprocess.Popen[str], str]:
    """A console of its own process, and its address once it answers."""
    program = [sys.executable, "-u", "-c", "from clonewatch.cli.main import run; run()"]
    words = ["console", "--store", str(place), "--port", "0"]
    running = subprocess.Popen([*program, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout
    said = running.stdout.readline()
    found = re.search(r"http://\S+?:\d+", said)
    assert found, said
    return running, found[0]


class Worker(threading.Thread):
    """Somebody who goes on until the console is gone. done: answers that said that something was kept."""

    def __init__(self, address: str, went: threading.Semaphore) -> None:
        super().__init__()
        self.address, self.went, self.done, self.faults = address, went, list[str](), list[int]()

    def run(self) -> None:
        with httpx2.Client(base_url=self.address, timeout=60) as http:
            try:
                self.enter(http)
                for number in range(10_000):
                    marked = f"{self.name} {number}"
                    status = self.change(http, marked)
                    if status == 303:
                        self.done.append(marked)
                        self.went.release()
                    elif status not in (409, 429, 503):
                        self.faults.append(status)
            except httpx2.TransportError:
                return

    def enter(self, http: httpx2.Client) -> None:
        raise NotImplementedError

    def change(self, http: httpx2.Client, marked: str) -> int:
        raise NotImplementedError


class Analyst(Worker):
    """Rules on K0002 again and again."""

    def enter(self, http: httpx2.Client) -> None:
        sent = {"name": "ana", "password": PASSWORD, "csrf": csrf_in(http.get("/sign-in").text)}
        assert http.post("/sign-in", data=sent).status_code == 303

    def change(self, http: httpx2.Client, marked: str) -> int:
        page = http.get("/cases/K0002").text
        sent = {"csrf": csrf_in(page), "version": version_in(page), "ruling": "needs_more", "note": marked}
        return http.post("/cases/K0002/rule", data=sent).status_code


class AccountHolder(Worker):
    """Appeals, and writes on, with a file each time."""

    def __init__(self, address: str, went: threading.Semaphore, link: Link) -> None:
        super().__init__(address, went)
        self.link = link

    def enter(self, http: httpx2.Client) -> None:
        page = http.get("/appeal").text
        found = re.search(r'name="before_" value="([^"]*)"', page)
        assert found
        assert http.post("/appeal", data={"before_": found[1], "code": self.link.token}).status_code == 303

    def change(self, http: httpx2.Client, marked: str) -> int:
        sent = {"csrf": csrf_in(http.get("/appeal").text), "text": marked}
        file = ("files", ("a.txt", marked.encode(), "text/plain"))
        return http.post("/appeal/write", data=sent, files=[file]).status_code


def begun(store: Store) -> list[Link]:
    """B0001 against the accounts of K0001, from today; returns their links."""
    ana = Who("ana", now())
    with store.writing() as change:
        rule(change, ["K0001"], Decision("confirmed"), ana)
        ask(change, "K0001", PLAN, "seen twice", ana)
        return begin(change, "B0001", ana._replace(by="bob"))[1]


def notes(store: Store) -> set[str]:
    with store.reading() as held:
        entries = [*held.history("K0001"), *held.history("K0002")]
        return {note.text for number, entry in entries if entry.note for note in [held.note(number)] if note}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    store = opened(str(tmp_path / "cases.db"), create=True)
    with store.writing() as change:
        arrive(change, [group("C0001", "abcd"), group("C0002", "xyz")], "ana", SETUP.at)
        people.add(change, "ana", "admin", SETUP)
        people.set_password(change, "ana", kept_password(), SETUP)
    return tmp_path / "cases.db"


def test_a_killed_console_leaves_a_log_that_agrees_with_its_tables(place: Path) -> None:
    """Whatever somebody was told was kept is there; whatever was under way is there whole, or not at all."""
    links = begun(opened(str(place)))
    kept: set[str] = set()
    for kill in range(KILLS):
        running, address = started(place)
        went = threading.Semaphore(0)
        workers: list[Worker] = [Analyst(address, went), AccountHolder(address, went, links[kill])]
        for worker in workers:
            worker.start()
        for _ in range(DONE_BEFORE + kill):
            assert went.acquire(timeout=60)
        running.send_signal(signal.SIGKILL)
        running.communicate()
        for worker in workers:
            worker.join()
            kept |= set(worker.done)
            assert worker.faults == []
        store = opened(str(place))
        sound(store)
        assert kept <= notes(store), "what was said to be kept"
    assert len(kept) >= KILLS * DONE_BEFORE
