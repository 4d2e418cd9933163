"""How long the pages of the console take, with many cases and one large case: median and slowest of several requests.

    python benchmarks/console_pages.py [--cases 10000] [--accounts 25000] [--times 20] [--out FILE.json]

The application runs in this process, on SQLite, and is asked as a browser would ask: session, rights and page included.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from scan import machine
from starlette.testclient import TestClient

from clonewatch.cases import people, sessions
from clonewatch.cases.arrivals import Group, arrive
from clonewatch.cases.changes import Decision, Who, annotate, assign, rule
from clonewatch.cases.records import Sighting
from clonewatch.cases.store import Store, opened
from clonewatch.model.questions import BY_ID
from clonewatch.service.app import create_app
from clonewatch.service.settings import Limits, Settings

WHO = Who("the benchmark", "2026-05-06T09:00:00Z")
URL = "http://127.0.0.1:8642"
FAMILIES = ("content", "harvest", "identity", "load", "network", "pacing", "payment", "software")


def groups(count: int, large: int) -> list[Group]:
    """Groups of 3 to 60 accounts, a third of them flagged, and one large one."""
    random_ = random.Random(1)  # noqa: S311
    found = []
    for number in range(count):
        size = large if number == count - 1 else random_.randint(3, 60)
        accounts = frozenset(f"acct-{number:05}-{n:05}" for n in range(size))
        sighting = Sighting(
            scan="benchmark",
            group=f"C{number:05}",
            outcome=random_.choice(("flagged", "review", "review")),
            accounts=size,
            exchanges=size * random_.randint(10, 400),
            families=tuple(sorted(random_.sample(FAMILIES, 4))),
            odds_bits=round(random_.uniform(-3, 12), 3),
            first="2026-04-01T00:00:00Z",
            last=f"2026-05-{random_.randint(1, 28):02}T00:00:00Z",
            limiting="sum_of_families",
            ratio=round(random_.random(), 3),
            question=random_.choice(sorted(BY_ID)),
            look_alike="",
        )
        found.append(Group(sighting, accounts))
    return found


def filled(store: Store, cases: int, accounts: int) -> None:
    """The groups as cases, a third of them with a note, a quarter assigned, a tenth ruled on."""
    with store.writing() as change:
        arrive(change, groups(cases, accounts), WHO.by, WHO.at)
        for number in range(1, cases + 1):
            name = f"K{number:04}"
            if number % 3 == 0:
                annotate(change, name, f"asked sales about contract {number}", WHO)
            if number % 4 == 0:
                assign(change, [name], WHO, ("ana", "bob", "eva")[number // 4 % 3], "2026-05-20")
            if number % 10 == 0:
                rule(change, [name], Decision("innocent", "one_customer"), WHO)
        people.add(change, "ana", "admin", WHO)


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--accounts", type=int, default=25_000)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "results" / "console_pages.json")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "cases.db")
        store = opened(path, create=True)
        before = time.perf_counter()
        filled(store, asked.cases, asked.accounts)
        print(f"{asked.cases:,} cases made in {time.perf_counter() - before:.0f} s")
        browser = TestClient(create_app(Settings(path, url=URL, limits=Limits(requests=10**9))), base_url=URL)
        with store.tending() as connection:
            token = sessions.begin(connection, "ana", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
        browser.cookies.set("clonewatch", token, domain="127.0.0.1", path="/")
        pages = {
            "queue, first page": "/",
            "queue, by odds, last page": "/?sort=odds&page=1000000",
            "queue, for review, of one person": "/?outcome=review&assignee=bob",
            "queue, a word in a note": "/?status=any&text=contract%20300",
            "queue, an account in full": "/?status=any&text=acct-00042-00001",
            f"case of {asked.accounts:,} accounts": f"/cases/K{asked.cases:04}",
            "log, first page": "/log",
            "log, of one person": "/log?by=ana",
            "proof of one entry": "/log/100",
        }
        found = [measured(browser, name, page, asked.times) for name, page in pages.items()]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = {
        "machine": machine(),
        "cases": asked.cases,
        "accounts": asked.accounts,
        "pages": found,
        "peak_mb": round(peak),
    }
    asked.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def measured(browser: TestClient, name: str, page: str, times: int) -> dict[str, object]:
    """The milliseconds of one page, and the processor's share of them."""
    if browser.get(page).status_code != 200:
        raise SystemExit(f"{page} cannot be opened")
    took, cpu = [], time.process_time()
    for _ in range(times):
        before = time.perf_counter()
        size = len(browser.get(page).content)
        took.append((time.perf_counter() - before) * 1000)
    cpu_ms = (time.process_time() - cpu) * 1000 / times
    print(f"{name}: {statistics.median(took):.0f} ms, slowest {max(took):.0f} ms, {cpu_ms:.0f} ms CPU, {size:,} bytes")
    figures = {"median_ms": statistics.median(took), "slowest_ms": max(took), "cpu_ms": cpu_ms}
    return {"page": name, **{key: round(value, 1) for key, value in figures.items()}, "bytes": size}


if __name__ == "__main__":
    main()
