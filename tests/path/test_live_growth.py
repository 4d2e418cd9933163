"""A confirmed campaign gets new accounts between two looks: they are on the list in shadow, and look-alikes are not."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.path.policy_stand import decided, done
from tests.path.test_live_campaign import Stand, Traffic, _lines

from clonewatch.cli.serve import Publishing
from clonewatch.live import spool
from clonewatch.live.spool import Rows
from clonewatch.policy.publishing import read_file
from clonewatch_gateway import Follower
from clonewatch_gateway.watch_list import Keys, trusted

LOOK_ALIKES = ("proxy_customer", "viral_prompt", "university_class", "coding_agent")


class Confirmed(Stand):
    """A stand with a case store, whose flagged groups were confirmed after the first look."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.store = str(home / "cases.db")
        self.result = home / "results" / "60-days"

    def confirm(self) -> None:
        done("cases", "import", self.result, "--store", self.store, "--as", "ana")
        listed = json.loads(done("cases", "list", "--store", self.store, "--json").stdout)
        names = [one["case"] for one in (listed["cases"] if isinstance(listed, dict) else listed)]
        done("cases", "rule", *names, "--confirmed", "--store", self.store, "--as", "ana")
        out = type(self.chosen.publish)(**{**_fields(self.chosen.publish), "store": self.store})
        self.chosen = type(self.chosen)(**{**_fields(self.chosen), "publish": out})
        self.worker.publisher = Publishing(self.chosen)

    def grow(self, *rows: Rows) -> int:
        """Send rows that the worker takes without looking; how many accounts joined."""
        with spool.opened(Path(self.chosen.spool), self.chosen.spool_bounds()) as place:
            place.append(rows)
        self.worker._next = float("inf")
        looks = self.worker.status.looks
        self.worker.step()
        assert (self.worker.status.looks, self.worker.status.problem) == (looks, "")
        return self.worker.status.grown

    def mode(self, account: str) -> str:
        """What a gateway does about an account now, not what it would."""
        secret = bytes.fromhex(Path(self.chosen.publish.account_key).read_text())
        decision = decided(Follower(Path(self.chosen.publish.out), Keys(trusted([self._public]), secret)), account)
        return "observe" if decision.simulated else decision.action

    def reasons(self) -> set[tuple[str, str]]:
        """Mode and reason of the entries in use."""
        folder = Path(self.chosen.publish.out)
        held = [read_file(folder / name) for name in ("delta.cwl", "snapshot.cwl")]
        entries: list[dict[str, Any]] = [entry for one in held if one for entry in one.header["entries"]]
        return {(one["mode"], one["reason"]) for one in entries}


def _fields(held: Any) -> dict[str, Any]:
    return {name: getattr(held, name) for name in held.__struct_fields__}


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    log = tmp_path_factory.mktemp("simulated") / "log"
    done("simulate", "n06_outnumbered", "--seed", 2, "--out", log, "--text", "--scale", 0.1)
    held = Traffic(log)
    held.roles = {
        row["account_id"]: row["role"] for row in pq.read_table(log / "labels" / "accounts.parquet").to_pylist()
    }
    return held


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Confirmed:
    return Confirmed(tmp_path_factory.mktemp("stand"))


def test_new_members_join_between_looks_and_honest_look_alikes_do_not(traffic: Traffic, stand: Confirmed) -> None:
    active = {row["account_id"] for row in traffic.exchanges}
    members = sorted(active & set(traffic.campaign))
    late, trusted = set(members[:4]), members[4]
    alike = {one for role in LOOK_ALIKES for one in sorted(a for a in active if traffic.roles[a] == role)[::2]}
    assert len([one for one in alike if traffic.roles[one] == "proxy_customer"]) > 20
    stand.take(*traffic.of(active - late - alike - {trusted}), _lines("events", traffic.events))
    # Not confirmed: nobody joins the list, however alike.
    assert stand.grow(*traffic.of({members[3]})) == 1
    assert stand.listed(late) == set()
    stand.confirm()
    vouched = _lines("accounts", [{"account_id": trusted, "anchor": True}])
    joined = stand.grow(*traffic.of(late | alike | {trusted}), vouched)
    assert stand.listed(late) == late and joined == len(late)
    assert stand.listed(alike | {trusted}) == set()
    grown = {(mode, reason) for mode, reason in stand.reasons() if reason.startswith("growth p=0.99")}
    assert grown and {mode for mode, _ in grown} == {"shadow"}
    assert all("content" in reason and reason.count(",") >= 1 for _, reason in grown)
    # The next look judges them by everything, and what it says replaces what they joined by.
    stand.take(_lines("events", traffic.events[:1]))
    assert stand.worker.status.grown == 0 and stand.listed(late) == late
    assert not [reason for _, reason in stand.reasons() if reason.startswith("growth")]


def test_what_people_decide_between_two_looks_is_published_at_once(traffic: Traffic, stand: Confirmed) -> None:
    # After the test above, whose campaign it is. Not one of those that came late, of whom the case knows nothing.
    account = max(stand.listed(list(traffic.campaign)))
    told: list[int] = []
    said: list[str] = []
    stop = threading.Event()
    publishing = stand.worker.publisher
    assert isinstance(publishing, Publishing)
    following = threading.Thread(
        target=publishing.follow, args=(lambda serial, _: told.append(serial), said.append, stop)
    )
    following.start()
    try:
        at = ("--store", stand.store)
        ground = ("--ground", "Section 4", "--because", "K0001", "--measure", "budget", "--days", 2)
        done("appeals", "ask", "K0001", *ground, *at, "--as", "ana")
        done("appeals", "begin", "B0001", "--out", Path(stand.store).with_name("notices"), *at, "--as", "bob")
        seconds = until(lambda: stand.mode(account) == "budget")
        sys.stdout.write(f"an approval reached a gateway after {seconds:.1f} seconds\n")
        done("appeals", "receive", "B0001", "we are a school", "--account", account, *at, "--as", "bob")
        done("appeals", "answer", "A0001", "--overturn", "--because", "they are", *at, "--as", "eva")
        seconds = until(lambda: stand.mode(account) == "observe")
        sys.stdout.write(f"an overturn reached a gateway after {seconds:.1f} seconds\n")
    finally:
        stop.set()
        following.join()
    assert told == sorted(set(told)) and said == []


def until(seen: Callable[[], bool]) -> float:
    """Seconds until it is seen."""
    begun = time.monotonic()
    while not seen():
        assert time.monotonic() - begun < 60
        time.sleep(0.05)
    return time.monotonic() - begun
