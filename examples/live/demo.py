"""From traffic to a decision and back, on one machine: what `make demo-live` runs.

    python examples/live/demo.py FOLDER

Honest clients and a harvest through a proxy ask a stand-in for a model through a gateway, which sends what it served to
`clonewatch serve`. The campaign is found, its policy is in shadow first, two persons approve a budget, its slice is
throttled, and an overturned appeal lifts that. Ends with exit code 1, and says why, where a step did not happen.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import picture
import pyarrow.parquet as pq
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from processes import DidNotHappen, Processes
from traffic import BESIDE, HARVEST, HONEST, KINDS, Clients, Log, Seen, SignUps

from clonewatch.cases.store import opened
from clonewatch.live.api_keys import new
from clonewatch.policy.account_keys import account_secret
from clonewatch_gateway.signatures import spelled

HERE = Path(__file__).resolve().parent
COMMAND = [sys.executable, "-c", "from clonewatch.cli.main import run; run()"]
# A proxy of 20 accounts that harvest and four times as many honest ones, among people and firms.
SCENARIO = ("n06_outnumbered", "--seed", "2", "--scale", "0.1", "--text")
WINDOW = 60  # days: all of the log
REFUSAL = picture.REFUSAL
PATIENCE = 600.0  # seconds for a step; a quiet machine needs a tenth of it at most
SHOWN = 5.0  # seconds for which each state is kept, so that it can be seen in the picture
ENOUGH = 10  # requests that have to show it
ALARM, SHADOW = "alarm: the campaign is flagged", "on the watch list, in shadow"
# What a new store calls its first ones.
CASE, CONTAINMENT, APPEAL = "K0001", "B0001", "A0001"
MINE = ".demo-live"  # marks a folder that the demo may remove

SERVE = """\
fingerprint_key = "fingerprint.key"

[bounds]
seal_seconds = 1

[detect]
every_minutes = {every}
days = [{days}]

[publish]
policy = "policy.toml"
out = "list"
signing_key = "list.pem"
account_key = "account.key"
store = "cases.db"

[keys.gateway]
sha256 = "{hashed}"
scopes = ["write:exchanges", "write:events", "read:metrics"]
requests_per_minute = 6000
"""


class Demo:
    """One run. folder: new. days: of the log that are sent at most. rate: requests a second.

    every: minutes from one look for groups to the next. log: one that was simulated before.
    """

    def __init__(self, folder: Path, days: float, rate: float, every: float, log: Path | None = None) -> None:
        self.folder, self._rate, self._every = folder, rate, every
        say("1. A simulated log: honest people and firms, and a harvest through a proxy that serves honest people too.")
        if log is None:
            self._clonewatch("simulate", *SCENARIO, "--out", "log")
        self.log = Log(log or folder / "log", days)
        self.marks: list[tuple[str, float]] = []
        self.begun = 0.0

    def run(self, processes: Processes) -> dict[str, Any]:
        """All steps; the figures of the summary. Raises DidNotHappen."""
        say("2. A stand-in for a model, a gateway before it, and `clonewatch serve`; then the clients.")
        self._processes = processes
        ports = self._started()
        self.clients = Clients(self.log, ports["gateway"], self._rate)
        self._sign_ups = SignUps(self.log, ports["serve"], self._key)
        self.begun = time.time()
        self.clients.start()
        try:
            return self._steps()
        finally:
            self.clients.stop()

    def _steps(self) -> dict[str, Any]:
        core = self.until("the campaign was not found", self._flagged)
        self._mark(ALARM)
        say(f"3. Found: {len(core)} accounts are flagged as one operator. The policy is in shadow: it only counts.")
        self.until("the watch list did not reach the gateway", lambda: self._decisions())
        self._mark(SHADOW)
        would = self._kept("nothing would have been refused in shadow", self._would)
        say(f"   In shadow {len(would):,} requests would have been refused. None was.")
        say("4. One person rules and asks for a budget, another approves it, and the policy says `enforce`.")
        self._approve()
        self._mark("approved by two persons")
        self._kept("the slice was not throttled", lambda: self._seen(HARVEST, REFUSAL))
        self._mark("first refusal: 429", min(one.at for one in self._seen(HARVEST, REFUSAL)))
        self.marks.sort(key=lambda mark: mark[1])
        say(
            "5. The harvest is throttled. A holder appeals, and a third person overturns the decision for all accounts."
        )
        self._overturn(core)
        overturned = time.time()
        self._mark("overturned in the case store", overturned)
        refused = self._seen(HARVEST, REFUSAL)[-1]
        lifted = self.until("the decision was not lifted", lambda: self._served(refused))
        self._mark("lifted at the gateway", lifted)
        self._kept("the harvest was not served again", lambda: self._seen(HARVEST, 200, lifted))
        return self._told(overturned, lifted)

    def until(self, said: str, found: Callable[[], Any]) -> Any:
        """What is found, when it is; else DidNotHappen."""
        end = time.monotonic() + PATIENCE
        while not (result := found()):
            self._processes.check()
            if self.clients.problem:
                raise DidNotHappen(f"{said}: {self.clients.problem}")
            if self.clients.ended:
                raise DidNotHappen(f"{said} before all {len(self.log.rows):,} requests were sent. Allow more --days")
            if time.monotonic() > end:
                raise DidNotHappen(f"{said} within {PATIENCE:.0f} seconds. Read {self.folder / 'logs'}")
            if self.clients.now:
                self._sign_ups.push(self.clients.now)
            time.sleep(0.1)
        return result

    def _kept(self, said: str, found: Callable[[], list[Any]]) -> list[Any]:
        """What is found when it is enough, and the state was kept long enough to be seen."""
        self.until(said, lambda: len(found()) >= ENOUGH)
        end = time.monotonic() + SHOWN
        self.until(said, lambda: time.monotonic() > end)
        return found()

    def _started(self) -> dict[str, int]:
        folder, processes = self.folder, self._processes
        self._key, hashed = new()
        (folder / "serve.toml").write_text(
            SERVE.format(days=WINDOW, hashed=hashed, every=self._every), encoding="utf-8"
        )
        shutil.copy(HERE / "policy.toml", folder)
        signer = Ed25519PrivateKey.generate()
        (folder / "list.pem").touch(0o600)
        pem = signer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "list.pem").write_bytes(pem)
        trust = spelled(signer.public_key().public_bytes_raw())
        account_secret(folder / "account.key")  # made on first use
        opened(str(folder / "cases.db"), create=True)
        words = ("--state", "state", "--spool", "spool", "--out", "results", "--listen", "127.0.0.1:0")
        serve = processes.start("serve", *COMMAND, "serve", "serve.toml", *words, said="127.0.0.1:")
        model = processes.start("model", sys.executable, HERE / "model.py")
        settings = {
            "upstream": f"http://127.0.0.1:{model}/v1/chat/completions",
            "ingest": f"http://127.0.0.1:{serve}",
            "ingest_key": self._key,
            "keys": self.log.keys(),
            "list": str(folder / "list"),
            "trust": trust,
            "account_key": str(folder / "account.key"),
            "fingerprint_key": str(folder / "fingerprint.key"),
            "decisions": str(folder / "decisions.ndjson"),
        }
        (folder / "gateway.json").touch(0o600)
        (folder / "gateway.json").write_text(json.dumps(settings), encoding="utf-8")
        return {
            "serve": serve,
            "gateway": processes.start("gateway", sys.executable, HERE / "gateway.py", folder / "gateway.json"),
        }

    def _approve(self) -> None:
        """Three commands of people, and a change of the policy, which the last of them makes serve read."""
        self._clonewatch("cases", "import", self._results, "--as", "ana")
        self._clonewatch("cases", "rule", CASE, "--confirmed", "--note", "seen in the demo", "--as", "ana")
        ground = ("--ground", "Section 4: one person, one account", "--because", CASE)
        self._clonewatch("appeals", "ask", CASE, "--measure", "budget", "--days", "1", *ground, "--as", "ana")
        policy = self.folder / "policy.toml"
        policy.write_text(policy.read_text("utf-8").replace('mode = "shadow"', 'mode = "enforce"'), encoding="utf-8")
        self._clonewatch("appeals", "begin", CONTAINMENT, "--out", "notices.jsonl", "--as", "bob")

    def _overturn(self, accounts: list[str]) -> None:
        said = "We are a school; here is the letter of our head."
        self._clonewatch("appeals", "receive", CONTAINMENT, said, "--account", accounts[0], "--as", "bob")
        answer = ("--overturn", "--all-accounts", "--because", "The school exists.")
        self._clonewatch("appeals", "answer", APPEAL, *answer, "--as", "eva")

    @property
    def _results(self) -> str:
        return f"results/{WINDOW}-days"

    def _clonewatch(self, *words: object) -> None:
        """A command as a person types it."""
        done = subprocess.run(  # noqa: S603
            [*COMMAND, *map(str, words)], cwd=self.folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise DidNotHappen(f"clonewatch {' '.join(map(str, words))}: {done.stderr.strip()}")

    def _mark(self, name: str, at: float | None = None) -> None:
        self.marks.append((name, (time.time() if at is None else at) - self.begun))

    def _flagged(self) -> list[str]:
        """The core accounts of the flagged group; none while there is no such group."""
        folder = self.folder / self._results
        if not (folder / "scan.json").exists():
            return []
        try:
            groups = pq.read_table(folder / "campaigns.parquet", filters=[("flagged", "=", True)])
            members = pq.read_table(folder / "members.parquet").to_pylist()
        except FileNotFoundError:  # the next result takes its place this moment
            return []
        held = set(groups["campaign_id"].to_pylist())
        return [row["account_id"] for row in members if row["campaign_id"] in held and row["role"] == "core"]

    def _decisions(self) -> list[dict[str, Any]]:
        """What the gateway decided about listed accounts."""
        path = self.folder / "decisions.ndjson"
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    def _would(self) -> list[dict[str, Any]]:
        return [one for one in self._decisions() if one["simulated"] and one["would"] == REFUSAL]

    def _seen(self, kind: str, status: int, since: float = 0.0) -> list[Seen]:
        return [one for one in list(self.clients.seen) if (one.kind, one.status) == (kind, status) and one.at >= since]

    def _served(self, refused: Seen) -> float:
        """When a request that was refused is served again and its client is told of nothing; 0 while it is not."""
        answered = self.clients.again(refused)
        return answered.at if answered.status != REFUSAL and not answered.noticed else 0.0

    def _told(self, overturned: float, lifted: float) -> dict[str, Any]:
        """The figures. Raises DidNotHappen where an honest account was refused, or somebody was after the lift."""
        seen = list(self.clients.seen)
        begun = min(one.at for one in seen if one.status == REFUSAL)
        within = [one for one in seen if begun <= one.at <= lifted]
        refused_of = {kind: sum(one.status == REFUSAL for one in within if one.kind == kind) for kind in KINDS}
        kinds = []
        for kind, name in KINDS.items():
            mine = [one for one in within if one.kind == kind]
            accounts = len({one.row["account_id"] for one in mine})
            kinds.append({"kind": name, "sent": len(mine), "refused": refused_of[kind], "accounts": accounts})
        marks = dict(self.marks)
        other = Counter(one.status for one in seen) - Counter({200: len(seen), REFUSAL: len(seen)})
        told = {
            "requests": len(seen),
            "seconds": max(one.at for one in seen) - self.begun,
            "marks": self.marks,
            "kinds": kinds,
            "shadow": len(self._would()),
            "listed": marks[SHADOW] - marks[ALARM],
            "lifted": lifted - overturned,
            "after": sum(one.status == REFUSAL and one.at > lifted for one in seen),
        }
        honest = refused_of[BESIDE] + refused_of[HONEST]
        if honest:
            raise DidNotHappen(f"{honest:,} requests of honest accounts were refused, which must not be")
        if not any(one.kind == BESIDE for one in within):
            raise DidNotHappen(
                "no honest customer of the proxy asked while the decision was in force: allow more --days"
            )
        if told["after"] or other:
            raise DidNotHappen(
                f"{told['after']:,} requests were refused after the lift, and others failed: {dict(other)}"
            )
        return told


def say(*lines: str) -> None:
    """Print at once."""
    print(*lines, sep="\n", flush=True)  # noqa: T201


def _summary(told: dict[str, Any], place: Path, seconds: float) -> None:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(one.ru_utime + one.ru_stime for one in used)
    say("", f"While the decision was in force ({told['requests']:,} requests were sent in all):")
    for row in told["kinds"]:
        say(f"  {row['refused']:>6,} of {row['sent']:>6,} refused: {row['kind']}, {row['accounts']:,} accounts")
    say(
        f"From the alarm to the gateway's watch list: {told['listed']:.1f} s.",
        f"From the end of the overturning command until the gateway served again: {told['lifted']:.1f} s.",
        f"It took {seconds:.0f} seconds, and {cpu:.0f} CPU-seconds.",
        f"The page with the picture is at {place}",
    )


def main() -> int:
    """Run the demo; the exit code."""
    parser = argparse.ArgumentParser(description="Show live detection and enforcement on this machine.")
    parser.add_argument("folder", type=Path, help="where everything goes; what an earlier run left there is removed")
    parser.add_argument("--days", type=float, default=100.0, help="days of the simulated log that are sent at most")
    parser.add_argument("--rate", type=float, default=250.0, help="requests a second")
    parser.add_argument("--every", type=float, default=0.05, help="minutes from one look for groups to the next")
    parser.add_argument("--log", type=Path, help="a log that `clonewatch simulate` wrote; default: one is simulated")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begun, folder = time.monotonic(), given.folder.resolve()
    if folder.exists() and any(folder.iterdir()) and not (folder / MINE).exists():
        say(f"{folder} holds something else. Name a new folder.")
        return 2
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MINE).touch()
    try:
        demo = Demo(folder, given.days, given.rate, given.every, given.log)
        with Processes(folder) as processes:
            told = demo.run(processes)
    except DidNotHappen as missing:
        say(f"FAILED: {missing}")
        return 1
    except KeyboardInterrupt:
        say("Stopped; so is everything that was started.")
        return 130
    place = folder / "live.html"
    place.write_text(picture.page(told, demo.clients.seen, demo.begun), encoding="utf-8")
    _summary(told, place, time.monotonic() - begun)
    return 0


if __name__ == "__main__":
    sys.exit(main())
