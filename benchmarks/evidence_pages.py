"""Measures the evidence pages of the console on a group of 25,000 accounts: the server's time and the browser's.

python benchmarks/evidence_pages.py [--accounts 25000] [--exchanges 3000000] [--chromium /usr/bin/chromium]

The result is invented: forty shared attributes, a million rows of who carries them, accounts that come and go. The
console runs as a process of its own; the pages are opened in Chromium, whose processes the memory does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from playwright.sync_api import Page, sync_playwright

from clonewatch.kernels.arrow import arrow_schema
from clonewatch.model import schema
from clonewatch.pipeline.result_files import NAME, SUMMARY, TABLES, encode
from clonewatch.state.files import digest
from clonewatch.state.manifest import File

RESULTS = Path(__file__).resolve().parent / "results" / "evidence_pages.json"
START = datetime(2026, 4, 1, tzinfo=UTC)
DAYS, ATTRIBUTES = 90, 40
SIGNALS = ("payment", "device", "egress", "template", "client", "system_prompt", "tools", "rare_prompt")
PASSWORD = "plum cake on tuesdays"  # noqa: S105
BROWSER = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
# Served by a process of its own: `python benchmarks/evidence_pages.py --serve FOLDER PORT`.
PORT = 8931


def made(folder: Path, accounts: int, exchanges: int) -> None:
    """A result folder with one flagged group of so many accounts, and a small one for review."""
    chance = np.random.default_rng(0)
    ids = pa.array([f"acct-{i:016x}" for i in range(accounts)])
    first = chance.integers(0, DAYS - 10, accounts)
    last = np.minimum(DAYS - 1, first + 2 + chance.integers(0, 30, accounts))
    sent = np.maximum(1, exchanges // accounts + chance.integers(-20, 20, accounts))

    def at(days: np.ndarray) -> pa.Array:
        return pa.array((days * 86_400_000_000 + START.timestamp() * 1_000_000).astype("int64")).cast(
            pa.timestamp("us", "UTC")
        )

    members = {
        "campaign_id": ["C0001"] * accounts,
        "account_id": ids,
        "membership": 1 - np.arange(accounts) / (2 * accounts),
        "role": np.where(np.arange(accounts) % 10 < 9, "core", "fringe").tolist(),
        "harvested_exchanges": (sent * 0.8).astype("int64"),
        "exchanges": sent,
        "first_ts": at(first),
        "last_ts": at(last),
        "created_ts": at(first - 3),
        "banned_ts": pc.if_else(pa.array(np.arange(accounts) % 4 == 1), at(last), None),
        "unbanned_ts": pa.nulls(accounts, pa.timestamp("us", "UTC")),
    }
    save(folder, schema.MEMBERS, members)
    save(folder, schema.ATTRIBUTES, [attribute(i, accounts) for i in range(ATTRIBUTES)])
    # Each attribute is carried by a part of the accounts that a few bits of the account's number decide.
    parts = [np.flatnonzero((np.arange(accounts) * 2654435761 >> (i % 13)) % 5 != i % 5) for i in range(ATTRIBUTES)]
    lengths = [len(part) for part in parts]
    total = sum(lengths)
    carriers = {
        "campaign_id": pa.array(["C0001"]).take(pa.array(np.zeros(total, int))),
        "signal": pa.array([SIGNALS[i % len(SIGNALS)] for i in range(ATTRIBUTES)]).take(repeated(lengths)),
        "attribute": pa.array([f"{i:016x}" for i in range(ATTRIBUTES)]).take(repeated(lengths)),
        "account_id": ids.take(pa.array(np.concatenate(parts))),
    }
    save(folder, schema.ATTRIBUTE_ACCOUNTS, carriers)
    owner = np.repeat(np.arange(accounts), sent)
    total = len(owner)
    attribution = {
        "exchange_id": pa.array([f"x-{i:012x}" for i in range(total)]),
        "campaign_id": pa.array(["C0001"]).take(pa.array(np.zeros(total, int))),
        "posterior": chance.uniform(0.2, 1, total).astype("float32"),
        "account_id": ids.take(pa.array(chance.permutation(owner))),
    }
    pq.write_table(pa.table(attribution), folder / "attribution.parquet", compression="zstd", row_group_size=262_144)
    save(folder, schema.CAMPAIGNS, [campaign("C0001", accounts, total), campaign("C0002", 12, 400)])
    save(folder, schema.EVIDENCE, [evidence(name) for name in SIGNALS])
    save(folder, schema.TIMELINE, [day_of(i, task, total) for i in range(DAYS) for task in ("reasoning", "grading")])
    save(folder, schema.MODELS, [model_of(i, total) for i in range(DAYS)])
    window = {"first": START.isoformat(), "last": (START + timedelta(days=DAYS)).isoformat()}
    (folder / SUMMARY).write_text(json.dumps({"window": window, "version": "benchmark"}))
    names = (*TABLES, SUMMARY)
    files = [File(name, 0, (folder / name).stat().st_size, digest(folder / name)) for name in names]
    (folder / NAME).write_bytes(encode(tuple(files), {}))


def repeated(lengths: list[int]) -> pa.Array:
    """The number of each part, once for each of its rows."""
    return pa.array(np.repeat(np.arange(len(lengths)), lengths))


def save(folder: Path, table: schema.Table, rows: Any) -> None:
    """Write a table of a result."""
    shape = arrow_schema(table)
    held = pa.Table.from_pylist(rows, schema=shape) if isinstance(rows, list) else pa.table(rows).cast(shape)
    pq.write_table(held, folder / f"{table.name}.parquet", compression="zstd")


def attribute(number: int, accounts: int) -> dict[str, Any]:
    """A row of table `attributes`."""
    held = {"signal": SIGNALS[number % len(SIGNALS)], "attribute": f"{number:016x}", "weight": 12 - number / 8}
    return held | {"campaign_id": "C0001", "entities": accounts * 4 // 5, "users": accounts, "trusted": number % 3}


def campaign(name: str, accounts: int, exchanges: int) -> dict[str, Any]:
    """A row of table `campaigns`."""
    flagged = name == "C0001"
    return {
        "campaign_id": name,
        "flagged": flagged,
        "outcome": "flagged" if flagged else "review",
        "rank": 1 if flagged else 2,
        "score": 24.0,
        "threshold_ratio": 1.7,
        "limiting_criterion": "linkage",
        "limiting_ratio": 1.7,
        "p_value": 0.005,
        "p_n": 199,
        "e_value": 200.0,
        "odds_bits": 7.0,
        "evidence_odds_bits": 7.0,
        "families": ["identity", "network"],
        "level": "L3" if flagged else "L1",
        "accounts": accounts,
        "exchanges": exchanges,
        "harvested_exchanges": exchanges * 4 // 5 if flagged else 0,
        "first_ts": START,
        "last_ts": START + timedelta(days=DAYS - 1),
        "tasks": [("reasoning", exchanges // 2), ("grading", exchanges // 4)],
    }


def evidence(signal: str) -> dict[str, Any]:
    """A row of table `evidence`."""
    said = {"reason": "Many share few.", "innocent": "one office", "ruled_out": "No trusted account does."}
    return said | {"campaign_id": "C0001", "signal": signal, "family": signal, "kind": "link", "bits": 6.0, "n": 100}


def day_of(day: int, task: str, exchanges: int) -> dict[str, Any]:
    """A row of table `timeline`."""
    sent = exchanges // DAYS // 2
    moment = START + timedelta(days=day)
    held = {"campaign_id": "C0001", "day": moment, "task": task, "exchanges": sent, "harvested": sent * 4 // 5}
    return held | {"accounts": 20_000}


def model_of(day: int, exchanges: int) -> dict[str, Any]:
    """A row of table `models`."""
    sent = exchanges // DAYS
    held = {"campaign_id": "C0001", "day": START + timedelta(days=day), "model": f"{day // 30:016x}", "exchanges": sent}
    return held | {"harvested": sent * 4 // 5, "accounts": 20_000}


def serve(folder: Path, port: int) -> None:
    """Serve the console on a result until the input ends; then say how much memory was held at most."""
    import threading

    from clonewatch.cases import people
    from clonewatch.cases.arrivals import arrive, groups
    from clonewatch.cases.changes import Who
    from clonewatch.cases.store import opened
    from clonewatch.pipeline.scan_result import read_summary, table_paths
    from clonewatch.service import serving
    from clonewatch.service.settings import Limits, Settings, now

    place = str(folder / "cases.db")
    store, who = opened(place, create=True), Who("benchmark", now())
    with store.writing() as change:
        arrive(change, groups(table_paths(folder), read_summary(folder)), who.by, who.at)
        people.add(change, "ana", "viewer", who)
        print(people.new_link(change, "ana", who), flush=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    limits = Limits(sign_ins=100_000, requests=1_000_000)
    held = Settings(place, None, f"http://127.0.0.1:{port}", folder, None, limits)
    listener = socket.create_server(("127.0.0.1", port))
    threading.Thread(target=serving.serve, args=(held, listener), daemon=True).start()
    sys.stdin.read()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"before_mb": before // 1024, "peak_mb": after // 1024}), flush=True)


def listening(port: int) -> None:
    """Wait until somebody listens there, a minute at most."""
    for _ in range(600):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise TimeoutError(port)


def interactive(page: Page, address: str) -> float:
    """Seconds until a page is there, scripts and all, and its first filter can be used."""
    begun = time.perf_counter()
    page.goto(address, wait_until="load")
    page.locator("main h1").wait_for()
    return time.perf_counter() - begun


def used(process: int) -> float:
    """CPU-seconds of a process so far, of all its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(page: Page, root: str, repeats: int, server: int) -> dict[str, Any]:
    """Each page: seconds of the first time, after a start, and the median of further ones; the server's CPU-seconds."""
    account = "acct-0000000000000007"
    pages = {
        "campaign": "/campaigns/C0001",
        "accounts, sorted and filtered": "/campaigns/C0001/accounts?sort=share&attribute=3&page=200",
        "accounts of one row": "/campaigns/C0001/accounts?text=ff",
        "account": f"/accounts/{account}",
        "exchanges of an account": f"/campaigns/C0001/exchanges?account={account}",
        "exchanges, far on": "/campaigns/C0001/exchanges?after=x-0000002a0000",
        "compare": "/compare?one=C0001&other=C0002",
        "pools": "/pools",
        "pool": "/pools/C0001",
    }
    found = {}
    for name, path in pages.items():
        seconds, cpu = [], [used(server)]
        for _ in range(repeats):
            seconds.append(interactive(page, root + path))
            cpu.append(used(server))
        spent = [after - before for before, after in pairwise(cpu)]
        found[name] = {
            "first": round(seconds[0], 3),
            "median": round(statistics.median(seconds[1:]), 3),
            "first_server_cpu": round(spent[0], 2),
            "median_server_cpu": round(statistics.median(spent[1:]), 2),
        }
    return found


def main() -> None:
    """Measure, and write the results."""
    options = argparse.ArgumentParser()
    options.add_argument("--accounts", type=int, default=25_000)
    options.add_argument("--exchanges", type=int, default=3_000_000)
    options.add_argument("--chromium", default="/usr/bin/chromium")
    options.add_argument("--repeats", type=int, default=6)
    options.add_argument("--serve", nargs=2, metavar=("FOLDER", "PORT"))
    chosen = options.parse_args()
    if chosen.serve:
        serve(Path(chosen.serve[0]), int(chosen.serve[1]))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        made(folder, chosen.accounts, chosen.exchanges)
        command = [sys.executable, __file__, "--serve", place, str(PORT)]
        load = os.getloadavg()[0]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            if server.stdin is None or server.stdout is None:
                raise RuntimeError("no pipes")
            token, root = server.stdout.readline().strip(), f"http://127.0.0.1:{PORT}"
            listening(PORT)
            with sync_playwright() as play:
                browser = play.chromium.launch(executable_path=chosen.chromium, args=BROWSER)
                page = browser.new_page()
                page.goto(f"{root}/welcome/{token}")
                page.fill("input[name=password]", PASSWORD)
                page.fill("input[name=again]", PASSWORD)
                page.click("main button")
                page.wait_for_url(f"{root}/")
                pages = measured(page, root, chosen.repeats, server.pid)
                browser.close()
            server.stdin.close()
            memory = json.loads(server.stdout.readline())
    found = {
        "accounts": chosen.accounts,
        "exchanges": chosen.exchanges,
        "pages": pages,
        "server": memory,
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "load": [round(load, 1), round(os.getloadavg()[0], 1)],
        },
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
