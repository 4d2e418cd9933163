"""Keys and certificates change while a check answers: nothing is refused, and nothing has to be started again."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.unit.certificates import certified, shown
from tests.unit.gateway_stand import ACCOUNT_KEY, DAY, KEYS, SIGNING, entry

from clonewatch.policy.publishing import publish
from clonewatch.policy.watch_list_file import Signing
from clonewatch_gateway import Facts, Follower, decide, envoy
from clonewatch_gateway.main import run
from clonewatch_gateway.renewing import Certificate, Trusted
from clonewatch_gateway.signatures import spelled

OTHER = Signing(Ed25519PrivateKey.from_private_bytes(bytes(range(64, 96))), ACCOUNT_KEY)


def listed(folder: Path, signing: Signing) -> None:
    now = int(time.time())
    said = entry("suspend", since=now, expires=now + DAY, ends=now + DAY)
    publish(folder, "accounts", {"bad": 0}, [said], signing, now, DAY)


def until(true: Callable[[], bool]) -> bool:
    for _ in range(400):
        if true():
            return True
        time.sleep(0.05)
    return False


@contextmanager
def check(folder: Path, *words: str) -> Iterator[list[int]]:
    """A check that is a process of its own, and its ports."""
    (folder / "account.key").write_text(ACCOUNT_KEY.hex())
    command = [sys.executable, "-m", "clonewatch_gateway", "check", "--folder", str(folder / "list"), "--port", "0"]
    command += ["--account-key", str(folder / "account.key"), "--grpc", "0", *words]
    env = {**os.environ, "PYTHONPATH": str(Path(envoy.__file__).parents[1])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env) as process:
        try:
            lines = iter(process.stdout or ())
            yield [int(next(lines).rpartition(":")[2]) for _ in range(2)]
        finally:
            process.terminate()


def asked(port: int, folder: Path) -> dict[str, Any]:
    context = ssl.create_default_context(cafile=str(folder / "tls.pem"))
    with closing(http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)) as line:
        line.request("POST", "/v1/check", '{"account": "bad"}')
        found: dict[str, Any] = json.loads(line.getresponse().read())
    return found


async def _envoys(port: int, folder: Path) -> int:
    """The status with which Envoy is told to refuse the account."""
    credentials = grpc.ssl_channel_credentials((folder / "tls.pem").read_bytes())
    request = envoy.message("ProcessingRequest")()
    request.request_headers.end_of_stream = True
    request.request_headers.headers.headers.add(key="clonewatch-account", raw_value=b"bad")
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials) as line:
        ask = line.stream_stream(
            f"/{envoy.SERVICE}/Process",
            lambda made: made.SerializeToString(),
            envoy.message("ProcessingResponse").FromString,
        )
        async for answer in ask(iter([request]), timeout=20):
            status: int = answer.immediate_response.status.code
            return status
    raise AssertionError("no answer")


def test_a_certificate_and_a_signing_key_change_under_a_check_that_answers(tmp_path: Path) -> None:
    listed(tmp_path / "list", SIGNING)
    first = certified(tmp_path, "one")
    trust = tmp_path / "trust"
    trust.write_text(f"# of May\n{spelled(SIGNING.public)}\n")
    words = ("--trust-file", str(trust), "--certificate", str(tmp_path / "tls.pem"))
    with check(tmp_path, *words, "--private-key", str(tmp_path / "tls.key")) as ports:
        assert until(lambda: shown(ports[0]) == first), "it listens before it serves"
        assert asked(ports[0], tmp_path)["status"] == asyncio.run(_envoys(ports[1], tmp_path)) == 403
        second = certified(tmp_path, "two")
        assert until(lambda: shown(ports[0]) == second) and asked(ports[0], tmp_path)["status"] == 403
        assert until(lambda: shown(ports[1]) == second) and asyncio.run(_envoys(ports[1], tmp_path)) == 403
        # Both keys, then a list by the new one, then the new key alone: at every step the account is refused.
        trust.write_text(f"{spelled(SIGNING.public)}\n{spelled(OTHER.public)}\n")
        serial = asked(ports[0], tmp_path)["origin"]
        listed(tmp_path / "list", OTHER)

        def newer() -> bool:
            found = asked(ports[0], tmp_path)
            assert found["status"] == 403
            return bool(found["origin"] != serial)

        assert until(newer)
        trust.write_text(f"{spelled(OTHER.public)}\n")
        time.sleep(1.5)
        assert asked(ports[0], tmp_path)["status"] == 403


def test_a_key_that_is_taken_away_takes_its_list_with_it(tmp_path: Path) -> None:
    listed(tmp_path / "list", SIGNING)
    follower = Follower(tmp_path / "list", KEYS)
    (file := tmp_path / "trust").write_text(spelled(SIGNING.public))
    said: list[str] = []
    held = Trusted(file, (), follower, lambda _, what: said.append(what))
    follower.look()
    assert decide("bad", Facts(), follower.current, time.time()).status == 403 and not held.look()
    for wrong in ("", "ed25519:short\n"):
        file.write_text(wrong)
        assert not held.look() and not held.look() and follower.current is not None
    assert len(said) == 2 and all(one.startswith("the keys that were trusted stay") for one in said)
    file.write_text(spelled(OTHER.public) + "\n")
    assert held.look() and follower.current is None
    assert not follower.look() and follower.problem == "bad_signature"
    listed(tmp_path / "list", OTHER)
    assert follower.look() and decide("bad", Facts(), follower.current, time.time()).status == 403


def test_a_pair_that_does_not_belong_together_is_said_once_and_the_one_before_stays(tmp_path: Path) -> None:
    certified(tmp_path, "one")
    said: list[str] = []
    held = Certificate(tmp_path / "tls.pem", tmp_path / "tls.key", lambda _, what: said.append(what))
    pair, key = held.pair, (tmp_path / "tls.key").read_bytes()
    certified(tmp_path, "two")
    new = (tmp_path / "tls.key").read_bytes()
    (tmp_path / "tls.key").write_bytes(key)
    assert not held.look() and not held.look() and held.pair == pair and len(said) == 1
    (tmp_path / "tls.key").write_bytes(new)
    assert held.look() and held.pair[0] == new


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no key is trusted"),
        (("--trust-file", "none"), "none"),
        (("--trust", spelled(SIGNING.public), "--certificate", "tls.pem"), "--private-key"),
        (("--trust", spelled(SIGNING.public), "--certificate", "no.pem", "--private-key", "no.key"), "Error: "),
    ],
)
def test_a_set_up_that_cannot_be_is_refused(
    words: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "account.key").write_text(ACCOUNT_KEY.hex())
    command = ["check", "--folder", str(tmp_path), "--account-key", str(tmp_path / "account.key"), "--port", "0"]
    assert run([*command, *words]) == 2
    assert said in capsys.readouterr().err
