"""From a scanned log to a decision at a gateway, and back: shadow, two persons, enforcement, overturn, end."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from clonewatch.cli.main import app
from clonewatch.lab.simulate import simulate
from clonewatch_gateway import Decision, Facts, Follower, decide
from clonewatch_gateway.watch_list import Keys, trusted

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "policy.toml"


def ask(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def done(*words: object) -> Any:
    ran = ask(*words)
    assert ran.exit_code == 0, ran.output
    return ran


class Stand(NamedTuple):
    """A scanned log with keys, and the accounts of its campaign that are core."""

    home: Path
    core: list[str]
    bystanders: list[str]
    honest: list[str]

    def publish(self, *more: object) -> dict[str, Any]:
        """Publish the example's policy; what the command tells."""
        words = ["policy", "publish", EXAMPLE, "--scan", self.home / "scan", "--out", self.home / "list", "--json"]
        words += ["--signing-key", self.home / "list.pem", "--account-key", self.home / "account.key"]
        told: dict[str, Any] = json.loads(done(*words, *more).stdout)
        return told

    def follower(self, key: str) -> Follower:
        """A gateway that follows the list."""
        secret = bytes.fromhex((self.home / "account.key").read_text())
        return Follower(self.home / "list", Keys(trusted([key]), secret))


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Stand:
    home = tmp_path_factory.mktemp("policy")
    simulate("s01_shared_cards", home / "log", seed=3, scale=0.05)
    done("scan", home / "log", "--out", home / "scan", "--key", home / "key", "--quiet")
    key = Ed25519PrivateKey.generate()
    (home / "list.pem").touch(0o600)
    (home / "list.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    members = pq.read_table(home / "scan" / "members.parquet").to_pylist()
    flagged = pq.read_table(home / "scan" / "campaigns.parquet", filters=[("flagged", "=", True)])["campaign_id"]
    mine = [row for row in members if row["campaign_id"] in flagged.to_pylist()]
    assert mine, "no campaign was flagged"
    labels = pq.read_table(home / "log" / "labels" / "accounts.parquet").to_pylist()
    return Stand(
        home,
        [row["account_id"] for row in mine if row["role"] == "core" and row["membership"] >= 0.9],
        [row["account_id"] for row in members if row["role"] == "proxy_customer"],
        [row["account_id"] for row in labels if row["role"] not in ("member", "proxy_customer")],
    )


def decided(follower: Follower, account: str, tokens: int = 0) -> Decision:
    follower.look()
    return decide(account, Facts(tokens), follower.current, time.time())


def test_a_scan_becomes_decisions_that_are_enforced_only_where_two_persons_said_so(stand: Stand) -> None:
    first = stand.publish()
    follower = stand.follower(first["public_key"])
    account, other = stand.core[:2]
    assert first["enforced"] == {} and first["simulated"]["throttle-harvest"] >= len(stand.core)
    shadow = decided(follower, account)
    assert shadow.simulated and shadow.action == "throttle_slice" and shadow.status == 0
    # The slice is known by the fingerprints that a gateway makes with the key of the scan.
    mine = pq.read_table(stand.home / "log" / "exchanges", filters=[("account_id", "=", account)])["template_id"]
    asked = frozenset(f"template:{one:016x}" for one in mine.to_pylist() if one is not None)
    assert decide(account, Facts(30_000, asked), follower.current, time.time()).would == 429
    assert decide(account, Facts(30_000, frozenset({"template:0"})), follower.current, time.time()).would == 0
    assert all(decided(follower, one).reason == "not_listed" for one in (*stand.honest, *stand.bystanders))

    store = ("--store", stand.home / "cases.db")
    done("cases", "import", stand.home / "scan", *store)
    done("cases", "rule", "K0001", "--confirmed", "--as", "ana", *store)
    words = ["--measure", "budget", "--ground", "Section 4", "--because", "seen twice", "--as", "ana"]
    done("appeals", "ask", "K0001", *words, *store)
    # One person asked, nobody approved: it stays shadow, though the ruling now selects the rule.
    assert stand.publish(*store)["enforced"] == {} and decided(follower, account).simulated
    notices = stand.home / "notices.jsonl"
    done("appeals", "begin", "B0001", "--out", notices, "--as", "bob", "--url", "https://example.com", *store)
    told = stand.publish(*store)
    assert told["kind"] == "delta" and told["enforced"]["budget-confirmed"] >= len(stand.core)
    held = decided(follower, account, 59_000)
    assert (held.action, held.simulated, held.case, held.charge) == ("budget", False, "K0001", "K0001")
    notice = dict(held.headers)["account-notice"]
    assert 'case="K0001"' in notice and 'appeal="https://api.example.com/appeal"' in notice
    assert decided(follower, account, 61_000).status == 429
    assert all(decided(follower, one).reason == "not_listed" for one in (*stand.honest, *stand.bystanders))
    # A suspension was not asked for, so the rule that suspends is nothing but simulated, and the budget stays.
    assert "suspend-confirmed" not in told["enforced"]

    done("appeals", "receive", "B0001", "--account", account, "we are a school", *store)
    done("appeals", "answer", "A0001", "--overturn", "--because", "they are", "--as", "eva", *store)
    told = stand.publish(*store)
    assert (told["kind"], told["rows"], told["cleared"], told["unbound"]) == ("delta", 1, 1, {})
    # Nothing of it is left, not even in shadow: the same evidence says nothing about that account any more.
    assert decided(follower, account, 61_000).reason == "not_listed"
    assert decided(follower, other, 61_000).status == 429

    done("appeals", "end", "B0001", "--note", "enough", "--as", "ana", *store)
    assert stand.publish(*store)["enforced"] == {}
    assert decided(follower, other, 61_000).status == 0


def test_whoever_is_under_a_measure_that_no_rule_bounds_is_counted(stand: Stand, tmp_path: Path) -> None:
    store = ("--store", tmp_path / "cases.db")
    done("cases", "import", stand.home / "scan", *store)
    done("cases", "rule", "K0001", "--confirmed", "--as", "ana", *store)
    words = ["--measure", "verify", "--ground", "Section 4", "--because", "seen twice", "--as", "ana"]
    done("appeals", "ask", "K0001", *words, *store)
    done("appeals", "begin", "B0001", "--out", tmp_path / "n", "--as", "bob", "--url", "https://example.com", *store)
    told = stand.publish(*store, "--list", "other", "--out", tmp_path / "list")
    assert told["enforced"] == {} and told["unbound"]["verify"] >= len(stand.core)


def test_set_up_that_is_wrong_is_said_and_nothing_is_written(stand: Stand, tmp_path: Path) -> None:
    (tmp_path / "short.key").write_text("abc")
    (tmp_path / "short.key").chmod(0o600)
    base = ["policy", "publish", EXAMPLE, "--scan", stand.home / "scan", "--out", tmp_path / "list"]
    keys = {"--signing-key": stand.home / "list.pem", "--account-key": stand.home / "account.key"}
    for wrong in (
        {"--signing-key": tmp_path / "none.pem"},
        {"--signing-key": EXAMPLE},
        {"--account-key": tmp_path / "short.key"},
        {"--account-key": tmp_path / "none" / "key"},
        {"--scan": tmp_path},
        {"--store": tmp_path / "none.db"},
        {"--out": EXAMPLE},
    ):
        ran = ask(*base, *(word for pair in ({**keys, **wrong}).items() for word in pair))
        assert ran.exit_code == 2 and "Error: " in ran.output, (wrong, ran.output)
        assert not (tmp_path / "list").exists()
