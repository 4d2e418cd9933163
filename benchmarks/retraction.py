"""How long a correction travels: from an overturn at one provider to no enforcement at another's gateway.

    python benchmarks/retraction.py [--runs 100] [--out FILE.json]

Two instances with a store each, on one machine. At the first, `clonewatch share retract --due --follow` writes into a
folder that an HTTP server offers on loopback; the second fetches what is new twice a second, `clonewatch share import
--follow` takes it in, and `clonewatch policy publish --follow` publishes for a gateway that looks once a second. Each
command is a process of its own. A run begins when the answer to an appeal is in the first store, and ends when the
gateway at the second decides that the account is not acted on. One run before the others, while processes start, is
not counted. Times are of the clock, so they hold for this machine and its load.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(ROOT / "packages" / "gateway" / "src"), str(HERE)]
MEMBERS = 6
POLICY = """schema = "clonewatch.policy.v1"
name = "benchmark"
version = 1
appeal_url = "https://api.example.com/appeal"
[[rules]]
id = "budget"
when = 'campaign.outcome == "flagged"'
action = "budget"
bound = { tokens_per_minute = 10 }
reason = "shared"
mode = "enforce"
"""


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "retraction.json")
    asked = parser.parse_args()
    from scan import machine

    with tempfile.TemporaryDirectory() as place:
        # The first warms up: processes start while it runs.
        seconds = sorted(measured(Path(place), asked.runs + 1)[1:])
    told = {
        "machine": machine(),
        "load_after": os.getloadavg()[0],
        "runs": len(seconds),
        "seconds": {
            "median": round(seconds[len(seconds) // 2], 2),
            "p95": round(seconds[min(len(seconds) - 1, int(0.95 * len(seconds)))], 2),
            "longest": round(seconds[-1], 2),
        },
        "within_60_seconds": sum(one <= 60 for one in seconds),
    }
    print(json.dumps(told, indent=1))
    asked.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def measured(folder: Path, runs: int) -> list[float]:
    """Seconds of every run."""
    from clonewatch.cases.appeals import Answer, decide, write
    from clonewatch.cases.containments import bearer

    north, south = instance(folder / "north", "north", runs), instance(folder / "south", "south", runs)
    tell(north, runs)
    tokens = contain(north, runs)
    take(north, south, runs)
    contain(south, runs)
    found = []
    with following(north, south) as gateway:
        for n in range(runs):
            account = f"C{n + 1}-acct-00000"
            wait(gateway, account, enforced=True)
            with north["store"].writing() as change:
                made = write(change, bearer(change, tokens[n], who("eva").at), "we are a school", who("eva"))
                decide(change, made.appeal, Answer("overturn", whole=True), "they are", who("eva"))
            begun = time.monotonic()
            wait(gateway, account, enforced=False)
            found.append(time.monotonic() - begun)
            print(f"{n + 1}: {found[-1]:.2f} s", file=sys.stderr)
    return found


def who(name: str) -> Any:
    """A person, now."""
    from clonewatch.cases.changes import Who

    return Who(name, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))


def instance(folder: Path, name: str, runs: int) -> dict[str, Any]:
    """A provider with a result of as many groups as runs, each of which is a confirmed case."""
    from tests.unit import report_tables as made
    from tests.unit.kept_results import ALIKE
    from tests.unit.sharing_stand import chosen

    from clonewatch.cases.arrivals import arrive, groups
    from clonewatch.cases.changes import Decision, rule
    from clonewatch.cases.store import opened
    from clonewatch.model import schema
    from clonewatch.pipeline.scan_result import read_summary, table_paths

    folder.mkdir()
    names = [f"C{n + 1}" for n in range(runs)]
    alike = ALIKE | {"families": ["harvest", "identity"]}
    rows = [
        made.campaign(one, accounts=MEMBERS, outcome="flagged", odds_bits=8.0, rank=n + 1, **alike)
        for n, one in enumerate(names)
    ]
    tables = {
        "campaigns": made.table(schema.CAMPAIGNS, rows),
        "members": made.table(schema.MEMBERS, [row for one in names for row in made.members(one, MEMBERS)]),
    }
    result = made.publish(folder / "result", tables, made.summary())
    store = opened(str(folder / "cases.db"), create=True)
    with store.writing() as change:
        arrive(change, groups(table_paths(result), read_summary(result)), "ana", who("ana").at)
        rule(change, [case.case for case in change.cases()], Decision("confirmed"), who("ana"))
    return {"store": store, "result": result, "folder": folder, "settings": chosen(folder, name), "name": name}


def tell(side: dict[str, Any], runs: int) -> None:
    """Let a release of every case leave."""
    from clonewatch.peering import releasing
    from clonewatch.peering.proposing import Order

    for n in range(runs):
        order = Order(f"K{n + 1:04d}", side["result"], side["settings"], bytes(range(32)))
        kept, _ = releasing.ask(side["store"], order, "asked for", who("ana"))
        releasing.approve(side["store"], kept.request, "approved", who("bob"))
        releasing.export(side["store"], kept.request, order.settings, side["folder"] / "outbox", who("ana"))


def contain(side: dict[str, Any], runs: int) -> list[str]:
    """Begin a measure against every case; returns the token of the first account of each group C1, C2, ..."""
    from clonewatch.cases.containments import Plan, ask, begin

    tokens: dict[str, str] = {}
    for n in range(runs):
        with side["store"].writing() as change:
            planned = ask(change, f"K{n + 1:04d}", Plan("budget", "Section 4"), "seen twice", who("ana"))
            _, links = begin(change, planned.containment, who("bob"))
        tokens[links[0].account] = links[0].token
    return [tokens[f"C{n + 1}-acct-00000"] for n in range(runs)]


def take(north: dict[str, Any], south: dict[str, Any], runs: int) -> None:
    """The second takes in what the first told, and rests each case on the release of the same group."""
    from clonewatch.cases import sharing
    from clonewatch.peering.arriving import take_in_files
    from clonewatch.sharing.warning_lists import read

    take_in_files(south["store"], [north["folder"] / "outbox"], "north", read(), who("ana"))
    with north["store"].reading() as store:
        told = {one.case_id: one.document for one in sharing.documents(store, sharing.OUT)}
    with south["store"].writing() as change:
        sharing.switch(change, "north", sharing.ON, who("ana"))
        for n in range(runs):
            sharing.rely(change, f"K{n + 1:04d}", told[f"K{n + 1:04d}"], who("ana"))


@contextlib.contextmanager
def following(north: dict[str, Any], south: dict[str, Any]) -> Iterator[Any]:
    """All that runs at both sides; yields the gateway's follower of the list."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    from clonewatch_gateway import Follower
    from clonewatch_gateway.signatures import spelled
    from clonewatch_gateway.watch_list import Keys, trusted

    here, there = north["folder"], south["folder"]
    key = Ed25519PrivateKey.generate()
    for name, data in (
        ("list.pem", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())),
        ("account.key", bytes(range(32)).hex().encode()),
        ("policy.toml", POLICY.encode()),
    ):
        (there / name).touch(0o600)
        (there / name).write_bytes(data)
    inbox = there / "inbox"
    inbox.mkdir()
    publish = ["policy", "publish", there / "policy.toml", "--scan", south["result"], "--follow", "--every", 86_400]
    publish += ["--store", there / "cases.db", "--out", there / "list", "--signing-key", there / "list.pem"]
    publish += ["--account-key", there / "account.key"]
    retract = ["share", "retract", "--due", "--follow", "--out", here / "outbox", "--store", here / "cases.db"]
    arrive = ["share", "import", inbox, "--from", "north", "--follow", "--store", there / "cases.db"]
    stop = threading.Event()
    serve = functools.partial(Quiet, directory=str(here / "outbox"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        pull = threading.Thread(target=pulling, args=(f"http://127.0.0.1:{server.server_port}/", inbox, stop))
        pull.start()
        words = [publish, [*retract, "--sharing", here / "sharing-north.toml"]]
        words.append([*arrive, "--sharing", there / "sharing-south.toml"])
        running = [started(one) for one in words]
        follower = Follower(
            there / "list", Keys(trusted([spelled(key.public_key().public_bytes_raw())]), bytes(range(32)))
        )
        follower.start()
        try:
            yield follower
        finally:
            follower.stop()
            stop.set()
            pull.join()
            for one in running:
                one.terminate()
                one.wait()
            server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Offers a folder, and says nothing of it."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


def pulling(address: str, inbox: Path, stop: threading.Event) -> None:
    """Fetch what is new twice a second, as a transport does."""
    import re

    seen: set[str] = set()
    while not stop.is_set():
        with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310
            names = set(re.findall(r'href="([0-9a-f-]+\.\d+\.json)"', answer.read().decode()))
        for name in sorted(names - seen):
            with urllib.request.urlopen(address + name, timeout=60) as answer:  # noqa: S310
                data = answer.read()
            (inbox / f".{name}").write_bytes(data)
            (inbox / f".{name}").rename(inbox / name)
            seen.add(name)
        stop.wait(0.5)


def started(words: list[Any]) -> subprocess.Popen[bytes]:
    """A command of Clonewatch in a process of its own."""
    line = [sys.executable, "-c", "from clonewatch.cli.main import run; run()", *map(str, words)]
    return subprocess.Popen(line, stdout=subprocess.DEVNULL)


def wait(follower: Any, account: str, *, enforced: bool) -> None:
    """Wait until the gateway acts on an account, or does not."""
    from clonewatch_gateway import Facts, decide

    begun = time.monotonic()
    while True:
        decision = decide(account, Facts(1_000), follower.current, time.time())
        if (decision.status == 429) == enforced and follower.current is not None:
            return
        if time.monotonic() - begun > 600:
            raise SystemExit(f"{account}: {decision}")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
