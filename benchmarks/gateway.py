"""Decisions of a gateway with a long watch list: time of one, decisions a second, memory, and over HTTP.

    python benchmarks/gateway.py [--accounts 1000000] [--campaigns 2000] [--decisions 400000] [--out FILE.json]

The list is published as `clonewatch policy publish` does it. Every reader is a fresh process that imports the gateway
package alone. Half of the decisions are about listed accounts. Times are those of single calls; decisions a second are
by processor time of one core, in the fastest of five rounds. In the same run the same list as a dictionary in memory is
measured, for comparison.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
GATEWAY = HERE.parent / "packages" / "gateway" / "src"
ACCOUNT_KEY = bytes(range(32))
DAY = 86_400
# The fastest counts: other programs share the processor.
ROUNDS = 5
_PER_ACTION = ("budget", "suspend", "notify", "drop_logprobs", "verify", "shorten_reasoning")
_BOUNDS = {"budget": {"tokens_per_minute": 60_000}, "shorten_reasoning": {"reasoning_tokens": 1_024}}


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--campaigns", type=int, default=2_000)
    parser.add_argument("--decisions", type=int, default=400_000)
    parser.add_argument("--requests", type=int, default=5_000, help="questions over HTTP")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "gateway.json")
    parser.add_argument("--reader", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--as-dict", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.reader:
        print(json.dumps(dictionary(asked) if asked.as_dict else reader(asked)))
        return
    sys.path.insert(0, str(HERE))
    from scan import machine

    told: dict[str, Any] = {"machine": machine(), "accounts": asked.accounts, "campaigns": asked.campaigns}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        told["publishing"] = publishing(folder, asked)
        told["snapshot"] = child(folder, asked)
        told["dictionary"] = child(folder, asked, "--as-dict")
        told["delta"] = renewing(folder, asked) | {"reading": child(folder, asked)}
        told["http"] = over_http(folder, asked)
    for name in ("publishing", "snapshot", "dictionary", "delta", "http"):
        print(name, json.dumps(told[name]))
    asked.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def said(asked: argparse.Namespace, now: int) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """The accounts of a list and its entries, one a campaign."""
    entries = [
        {
            "action": (action := _PER_ACTION[number % len(_PER_ACTION)]),
            "appeal": "https://api.example.com/appeal",
            "approved_by": ["ana", "bob"],
            "bound": _BOUNDS.get(action, {}),
            "campaign": f"K{number:04}",
            "case": f"K{number:04}",
            "ends": now + 30 * DAY,
            "expires": now + DAY,
            "mode": "enforce" if number % 2 else "shadow",
            "reason": "linked_campaign",
            "since": now,
            "slice": [],
        }
        for number in range(asked.campaigns)
    ]
    return {f"acct-{number:08x}": number % asked.campaigns for number in range(asked.accounts)}, entries


def publishing(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Seconds and bytes of a snapshot; the keys of readers are left beside it."""
    signing, publish = writer()
    (folder / "public").write_text(signing.public.hex())
    now = int(time.time())
    numbers, entries = said(asked, now)
    before = time.process_time()
    done = publish(folder, "accounts", numbers, entries, signing, now, DAY)
    return {"cpu_seconds": round(time.process_time() - before, 2), "bytes": done.size}


def renewing(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """The same as a delta: every entry renewed, 500 accounts lifted, 500 added."""
    signing, publish = writer()
    now = int(time.time()) + 60
    numbers, entries = said(asked, now)
    for number in range(500):
        del numbers[f"acct-{number:08x}"]
        numbers[f"fresh-{number}"] = number
    before = time.process_time()
    done = publish(folder, "accounts", numbers, entries, signing, now - 60, DAY)
    cpu = round(time.process_time() - before, 2)
    return {"cpu_seconds": cpu, "bytes": done.size, "kind": done.kind, "rows": done.rows}


def writer() -> Any:
    """The keys and the function that publish."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from clonewatch.policy.publishing import publish
    from clonewatch.policy.watch_list_file import Signing

    return Signing(Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64))), ACCOUNT_KEY), publish


def child(folder: Path, asked: argparse.Namespace, *more: str) -> dict[str, Any]:
    """What a reader measures, in a process of its own."""
    words = [sys.executable, __file__, "--reader", str(folder), "--accounts", str(asked.accounts), *more]
    words += ["--decisions", str(asked.decisions), "--campaigns", str(asked.campaigns)]
    env = {**os.environ, "PYTHONPATH": str(GATEWAY)}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=env)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def reader(asked: argparse.Namespace) -> dict[str, Any]:
    """Open the list and decide."""
    from clonewatch_gateway import decide
    from clonewatch_gateway.watch_list import Keys, opened

    keys = Keys((bytes.fromhex((asked.reader / "public").read_text()),), ACCOUNT_KEY)
    delta = asked.reader / "delta.cwl"
    before = time.perf_counter()
    snapshot, shared = asked.reader / "snapshot.cwl", asked.reader / "shared"
    watch = opened(snapshot, keys, delta if delta.exists() else None, shared=shared)
    took = time.perf_counter() - before
    return {"open_seconds": round(took, 3), **measured(asked, lambda a, f, now: decide(a, f, watch, now)), **memory()}


def dictionary(asked: argparse.Namespace) -> dict[str, Any]:
    """The same accounts in a dictionary: what a list costs that every worker holds by itself."""
    numbers, entries = said(asked, int(time.time()))
    held = {account: entries[number] for account, number in numbers.items()}
    del numbers

    def look(account: str, facts: Any, now: float) -> Any:
        one = held.get(account)
        return None if one is None or now >= one["expires"] else (one["action"], one["reason"], one["case"])

    return {**measured(asked, look), **memory()}


def measured(asked: argparse.Namespace, decide: Any) -> dict[str, Any]:
    """Percentiles of single calls in microseconds, and calls a second of processor time."""
    from clonewatch_gateway import Facts

    draw = random.Random(1)  # noqa: S311
    accounts = [f"acct-{draw.randrange(2 * asked.accounts):08x}" for _ in range(asked.decisions)]
    facts, now = Facts(tokens=100), time.time()
    for account in accounts[:10_000]:
        decide(account, facts, now)
    rounds = []
    for _ in range(ROUNDS):
        before = time.process_time()
        for account in accounts:
            decide(account, facts, now)
        rounds.append(time.process_time() - before)
    cpu = min(rounds)
    took = []
    for account in accounts:
        start = time.perf_counter_ns()
        decide(account, facts, now)
        took.append(time.perf_counter_ns() - start)
    took.sort()
    places = {"p50_us": 0.5, "p99_us": 0.99, "p999_us": 0.999}
    figures = {name: round(took[int(place * len(took))] / 1_000, 2) for name, place in places.items()}
    return {"decisions_per_cpu_second": round(len(accounts) / cpu), **figures}


def memory() -> dict[str, int]:
    """Megabytes of this process, and of them those that are no pages of files, which other workers share."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    held = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return {"rss_mb": held["Rss"] // 1024, "own_mb": (held["Anonymous"] + held.get("Swap", 0)) // 1024}


def over_http(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds of `clonewatch-gateway check`, asked one question after the other over one connection."""
    from clonewatch_gateway.signatures import spelled

    (folder / "account.key").write_text(ACCOUNT_KEY.hex())
    public = spelled(bytes.fromhex((folder / "public").read_text()))
    words = [sys.executable, "-m", "clonewatch_gateway", "check", "--folder", str(folder), "--port", "0"]
    words += ["--trust", public, "--account-key", str(folder / "account.key")]
    env = {**os.environ, "PYTHONPATH": str(GATEWAY)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env) as server:
        try:
            said = server.stdout.readline() if server.stdout else ""
            return one_after_another(int(said.rpartition(":")[2]), asked)
        finally:
            server.terminate()


def one_after_another(port: int, asked: argparse.Namespace) -> dict[str, Any]:
    """Ask and wait, over and over."""
    line = http.client.HTTPConnection("127.0.0.1", port)
    took = []
    for number in range(asked.requests):
        body = json.dumps({"account": f"acct-{number * 7 % (2 * asked.accounts):08x}", "tokens": 100})
        begun = time.perf_counter()
        line.request("POST", "/v1/check", body, {"content-type": "application/json"})
        line.getresponse().read()
        took.append((time.perf_counter() - begun) * 1_000)
    seconds = sum(took) / 1_000
    took.sort()
    figures = {name: round(took[int(p * len(took))], 2) for name, p in (("p50_ms", 0.5), ("p99_ms", 0.99))}
    return {"requests_per_second": round(asked.requests / seconds), **figures}


if __name__ == "__main__":
    main()
