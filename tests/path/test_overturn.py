"""From an overturn in the console to a gateway that serves again: console, publisher and gateway as they run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.unit.console_stand import Console, version_in
from tests.unit.evidence_stand import showing
from tests.unit.kept_results import ENFORCED, policy, results

from clonewatch.cases import sessions
from clonewatch.cases.arrivals import arrive, groups
from clonewatch.pipeline.scan_result import read_summary, table_paths

ROOT = Path(__file__).resolve().parents[2]
# Long, since the machine of a build may be busy: what is asserted is the effect, and the seconds are printed.
PATIENCE = 60.0


class Gateway(NamedTuple):
    """A gateway that answers over HTTP, and its publisher."""

    address: str
    publisher: subprocess.Popen[str]

    def ask(self, account: str) -> dict[str, Any]:
        asked = urllib.request.Request(  # noqa: S310
            f"{self.address}/v1/check",
            json.dumps({"account": account, "tokens": 1_000}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
        return found

    def until(self, seen: Callable[[Gateway], bool]) -> float:
        """Seconds until it is seen."""
        begun = time.monotonic()
        while not seen(self):
            assert time.monotonic() - begun < PATIENCE, self.ask("C1-acct-00000")
            assert self.publisher.poll() is None
            time.sleep(0.05)
        return time.monotonic() - begun


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


@pytest.fixture
def console(tmp_path: Path) -> Console:
    """A console with a result whose groups came in, where a budget stands against the accounts of one."""
    (result,) = results(tmp_path, 24)
    held = showing(tmp_path, result, ("analyst", "approver", "admin"))
    held.clock.now = now()
    with held.store.writing() as change:
        arrive(change, groups(table_paths(result), read_summary(result)), "the test", held.clock.now)
        for role, browser in held.as_.items():
            token = sessions.begin(change.connection, role, held.clock.now)
            browser.http.cookies.set("clonewatch", token, domain="127.0.0.1", path="/")
    analyst = held.as_["analyst"]
    version = version_in(analyst.get("/cases/K0003").text)
    assert analyst.post("/cases/K0003/rule", ruling="confirmed", version=version).status_code == 303
    version = version_in(analyst.get("/cases/K0003").text)
    fields = {"measure": "budget", "ground": "Section 4", "why": "seen twice", "version": version}
    assert analyst.post("/cases/K0003/contain", **fields).headers["location"].startswith("/containments/B0001")
    assert held.as_["approver"].post("/containments/B0001/begin").status_code == 303
    return held


@pytest.fixture
def gateway(tmp_path: Path, console: Console) -> Iterator[Gateway]:
    key = Ed25519PrivateKey.generate()
    (tmp_path / "list.pem").touch(0o600)
    (tmp_path / "list.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    publish = ["policy", "publish", policy(tmp_path, ENFORCED), "--scan", tmp_path / "result-24", "--follow"]
    publish += ["--store", tmp_path / "cases.db", "--out", tmp_path / "list", "--signing-key", tmp_path / "list.pem"]
    publish += ["--account-key", tmp_path / "account.key"]
    words = [sys.executable, "-c", "from clonewatch.cli.main import run; run()", *map(str, publish)]
    errors = (tmp_path / "publisher.err").open("w")
    with errors, subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True) as publisher:
        try:
            assert publisher.stdout and "enforced" in publisher.stdout.readline()
            from clonewatch_gateway.signatures import spelled

            serve = ["check", "--folder", tmp_path / "list", "--account-key", tmp_path / "account.key", "--port", "0"]
            serve += ["--trust", spelled(key.public_key().public_bytes_raw())]
            env = {**os.environ, "PYTHONPATH": str(ROOT / "packages" / "gateway" / "src")}
            words = [sys.executable, "-m", "clonewatch_gateway", *map(str, serve)]
            with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env) as check:
                try:
                    assert check.stdout
                    yield Gateway(check.stdout.readline().split()[-1], publisher)
                finally:
                    check.terminate()
        finally:
            publisher.terminate()
            rest = publisher.communicate(timeout=60)[0]
    assert publisher.returncode == 0 and "Traceback" not in rest


def test_an_overturn_in_the_console_reaches_a_gateway_by_itself_and_so_does_the_end_of_a_measure(
    console: Console, gateway: Gateway, tmp_path: Path
) -> None:
    one, other = "C1-acct-00000", "C1-acct-00001"
    gateway.until(lambda held: held.ask(one)["status"] == 429)
    notice = gateway.ask(other)["headers"]["account-notice"]
    assert 'case="K0003"' in notice and "https://api.example.com/appeal" in notice
    console.clock.now = now()
    analyst, admin = console.as_["analyst"], console.as_["admin"]
    assert analyst.post("/containments/B0001/receive", account=one, text="we are a school").status_code == 303
    version = version_in(admin.get("/appeals/A0001").text)
    fields = {"outcome": "overturn", "text": "they are", "version": version}
    assert admin.post("/appeals/A0001/answer", **fields).status_code == 303
    seconds = gateway.until(lambda held: held.ask(one)["reason"] == "not_listed")
    sys.stdout.write(f"an overturn reached the gateway after {seconds:.1f} seconds\n")
    # Nothing else was lifted, and of that account nothing is left: not in shadow, and no share of the budget.
    assert gateway.ask(other)["status"] == 429 and gateway.ask(one)["charge"] == ""
    # Somebody leaves a fault in the policy: what is lifted is lifted all the same, and the fault is said.
    (tmp_path / "policy.toml").write_text("when = ", encoding="utf-8")
    console.clock.now = now()
    assert analyst.post("/containments/B0001/end", note="enough").status_code == 303
    seconds = gateway.until(lambda held: held.ask(other)["status"] == 0)
    sys.stdout.write(f"the end of a measure reached the gateway after {seconds:.1f} seconds\n")
    assert "the policy has 1 fault" in (tmp_path / "publisher.err").read_text()
