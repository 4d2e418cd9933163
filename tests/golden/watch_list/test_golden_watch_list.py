"""The test vectors of the watch list: the writer makes these very bytes, and the reader decides by them as they say."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.unit.gateway_stand import ACCOUNT_KEY, DAY, HOUR, NOW, entry

from clonewatch.policy.watch_list_file import DELTA, LIFTED, SNAPSHOT, Signing, Stamp, encoded, rows
from clonewatch_gateway import Facts, decide
from clonewatch_gateway.account_hash import hasher
from clonewatch_gateway.watch_list import Keys, opened

PLACE = Path(__file__).resolve().parents[3] / "packages" / "gateway" / "vectors" / "watch-list-v1.json"
SEED = bytes(range(32, 64))
ASKED = (
    ("alice", {}, NOW),
    ("bob", {"tokens": 100}, NOW),
    ("bob", {"tokens": 100, "spent": {"K0001": 950.0}}, NOW),
    ("carol", {"attributes": ["template:0123456789abcdef"], "tokens": 2_000}, NOW),
    ("dave", {}, NOW),
    ("erin", {}, NOW),
    ("\u00e9ric", {}, NOW),
    ("alice", {}, NOW + 2 * HOUR),
    ("alice", {}, NOW + DAY),
    ("nobody", {}, NOW),
)


def files() -> tuple[bytes, bytes]:
    """The snapshot and the delta of the vectors."""
    entries = [
        entry("suspend"),
        entry("budget"),
        entry("throttle_slice", mode="shadow", approved_by=[]),
        entry("a_later_action"),
    ]
    signing = Signing(Ed25519PrivateKey.from_private_bytes(SEED), ACCOUNT_KEY)
    numbers = {"alice": 0, "bob": 1, "carol": 2, "dave": 3, "erin": 0, "\u00e9ric": 0}
    stamp = Stamp("accounts", 1, NOW, NOW + DAY)
    snapshot = encoded(SNAPSHOT, stamp, rows(numbers, ACCOUNT_KEY), entries, signing)
    header = json.loads(snapshot[12 : 12 + int.from_bytes(snapshot[8:12], "little")])
    delta = encoded(
        DELTA,
        stamp._replace(serial=2),
        rows({"erin": LIFTED, "\u00e9ric": 0}, ACCOUNT_KEY),
        [entry("notify")],
        signing,
        base=(1, header["body_sha256"]),
        changes={1: {**entries[1], "expires": NOW + 2 * HOUR}},
    )
    return snapshot, delta


def decided(folder: Path) -> list[dict[str, Any]]:
    """What the reader makes of the files in a folder."""
    public = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
    watch = opened(folder / "snapshot.cwl", Keys((public,), ACCOUNT_KEY), folder / "delta.cwl")
    found = []
    for account, facts, now in ASKED:
        told = {**facts, "attributes": frozenset(facts.get("attributes", ()))}
        decision = json.loads(json.dumps(decide(account, Facts(**told), watch, now)._asdict()))
        found.append({"account": account, "facts": facts, "now": now, "decision": decision})
    return found


def test_writer_and_reader_reproduce_the_vectors(tmp_path: Path) -> None:
    for name, data in zip(("snapshot.cwl", "delta.cwl"), files(), strict=True):
        (tmp_path / name).write_bytes(data)
    public = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
    now = {
        "account_key": ACCOUNT_KEY.hex(),
        "account_hashes": {account: hasher(ACCOUNT_KEY)(account).hex() for account, _, _ in ASKED},
        "private_key": SEED.hex(),
        "public_key": "ed25519:" + base64.b64encode(public).decode(),
        "snapshot": base64.b64encode(files()[0]).decode(),
        "delta": base64.b64encode(files()[1]).decode(),
        "decisions": decided(tmp_path),
    }
    if os.environ.get("CLONEWATCH_GOLDEN") == "write":
        PLACE.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
        pytest.skip("vectors written anew")
    assert now == json.loads(PLACE.read_text(encoding="utf-8"))
