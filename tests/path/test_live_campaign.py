"""A campaign as its traffic comes in: on the watch list after a look, and a new account of it after the next one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from tests.path.policy_stand import EXAMPLE, decided, done
from tests.unit.live_stand import settings

from clonewatch.cli.serve import Publishing
from clonewatch.live import spool
from clonewatch.live.settings import Detect, Publish, Settings
from clonewatch.live.spool import Rows
from clonewatch.live.worker import Worker
from clonewatch_gateway import Follower
from clonewatch_gateway.signatures import spelled
from clonewatch_gateway.watch_list import Keys, trusted


class Traffic:
    """A simulated log whose rows are sent as they are asked for."""

    def __init__(self, log: Path) -> None:
        labels = pq.read_table(log / "labels" / "accounts.parquet").to_pylist()
        self.campaign = {row["account_id"]: row["campaign_id"] for row in labels if row["role"] == "member"}
        self.honest = [row["account_id"] for row in labels if row["role"] == "benign"]
        self.facts = {row["account_id"]: row for row in _rows(log / "accounts.parquet")}
        self.events = _rows(log / "events.parquet")
        self.exchanges = [row for path in sorted((log / "exchanges").iterdir()) for row in _rows(path)]

    def of(self, accounts: set[str]) -> list[Rows]:
        """The exchanges and facts of these accounts, as a gateway and a sign-up would push them."""
        sent = [row for row in self.exchanges if row["account_id"] in accounts]
        facts = [self.facts[account] for account in sorted(accounts) if account in self.facts]
        return [_lines("exchange_ndjson", sent), _lines("accounts", facts)]


def _rows(path: Path) -> list[dict[str, Any]]:
    rows = pq.read_table(path).to_pylist()
    return [
        {name: one.isoformat() if isinstance(one, datetime) else one for name, one in row.items() if one is not None}
        for row in rows
    ]


def _lines(stream: str, rows: list[dict[str, Any]]) -> Rows:
    return Rows(stream, b"".join(json.dumps(row).encode() + b"\n" for row in rows), len(rows))


class Stand:
    """A worker with a policy, and a gateway that follows its list."""

    def __init__(self, home: Path) -> None:
        key = Ed25519PrivateKey.generate()
        (home / "list.pem").touch(0o600)
        (home / "list.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        out = Publish(str(EXAMPLE), str(home / "list"), str(home / "list.pem"), str(home / "account.key"))
        self.chosen: Settings = settings(home, detect=Detect(every_minutes=0.01, days=(60,)), publish=out)
        self.worker = Worker(self.chosen, Publishing(self.chosen))
        self._public = spelled(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def take(self, *rows: Rows) -> None:
        """Send rows, and let the worker take them and look."""
        with spool.opened(Path(self.chosen.spool), self.chosen.spool_bounds()) as place:
            place.append(rows)
        self.worker._next = 0.0
        looks = self.worker.status.looks
        self.worker.step()
        assert (self.worker.status.looks, self.worker.status.problem) == (looks + 1, "")

    def groups(self) -> dict[str, list[dict[str, Any]]]:
        """The members of flagged groups."""
        folder = Path(self.chosen.results) / "60-days"
        flagged = pq.read_table(folder / "campaigns.parquet", filters=[("flagged", "=", True)])["campaign_id"]
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in flagged.to_pylist()}
        for row in pq.read_table(folder / "members.parquet").to_pylist():
            found.get(row["campaign_id"], []).append(row)
        return found

    def listed(self, accounts: Iterator[str] | list[str] | set[str]) -> set[str]:
        """Which of these accounts a gateway has a decision about."""
        secret = bytes.fromhex(Path(self.chosen.publish.account_key).read_text())
        follower = Follower(Path(self.chosen.publish.out), Keys(trusted([self._public]), secret))
        return {account for account in accounts if decided(follower, account).action != "observe"}


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    log = tmp_path_factory.mktemp("simulated") / "log"
    done("simulate", "demo", "--out", log, "--text", "--scale", 0.2)
    return Traffic(log)


def test_a_campaign_is_listed_after_a_look_and_a_new_account_of_it_after_the_next(
    traffic: Traffic, tmp_path: Path
) -> None:
    stand = Stand(tmp_path)
    late = {name: next(a for a, c in traffic.campaign.items() if c == name) for name in traffic.campaign.values()}
    accounts = {row["account_id"] for row in traffic.exchanges}
    stand.take(*traffic.of(accounts - set(late.values())), _lines("events", traffic.events))
    first = stand.groups()
    owners = {
        name: Counter(map(traffic.campaign.get, _core(rows))).most_common(1)[0][0] for name, rows in first.items()
    }
    assert sorted(map(str, owners.values())) == sorted(set(traffic.campaign.values()))
    listed = stand.listed(list(traffic.campaign))
    assert len(listed) >= 0.9 * (len(traffic.campaign) - len(late)) and not listed & set(late.values())
    assert stand.listed(traffic.honest) == set()
    # An honest account comes to share the card of a campaign, and nothing else.
    borrower = traffic.honest[0]
    card = traffic.facts[late["cards"]]["payment_fingerprint"]
    borrowed = _lines("accounts", [{"account_id": borrower, "payment_fingerprint": card}])
    stand.take(*traffic.of(set(late.values())), borrowed)
    second = {row["account_id"]: row for rows in stand.groups().values() for row in rows}
    for account in late.values():
        assert second[account]["role"] == "core" and second[account]["membership"] > 0.9
    assert stand.listed(late.values()) == set(late.values())
    assert stand.listed(traffic.honest) == set()
    waits = stand.worker.status.to_effect
    assert sum(waits.counts) == len(traffic.exchanges) and waits.total > 0


def _core(rows: list[dict[str, Any]]) -> list[str]:
    return [row["account_id"] for row in rows if row["role"] == "core"]
