"""A scanned log whose policy is published, and a gateway that follows the list."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from clonewatch.cli.main import app
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
        words = ["policy", "publish", EXAMPLE, "--scan", self.home / "first", "--out", self.home / "list", "--json"]
        words += ["--signing-key", self.home / "list.pem", "--account-key", self.home / "account.key"]
        told: dict[str, Any] = json.loads(done(*words, *more).stdout)
        return told

    def follower(self, key: str) -> Follower:
        """A gateway that follows the list."""
        secret = bytes.fromhex((self.home / "account.key").read_text())
        return Follower(self.home / "list", Keys(trusted([key]), secret))


def standing(home: Path) -> Stand:
    """A stand on a folder with a log and its scan, called first."""
    key = Ed25519PrivateKey.generate()
    (home / "list.pem").touch(0o600)
    (home / "list.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    members = pq.read_table(home / "first" / "members.parquet").to_pylist()
    flagged = pq.read_table(home / "first" / "campaigns.parquet", filters=[("flagged", "=", True)])["campaign_id"]
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
