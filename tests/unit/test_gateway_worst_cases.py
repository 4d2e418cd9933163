"""The worst that happens to lists: faults refuse nobody, and what was lifted stays lifted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.unit.cases_stand import filled
from tests.unit.gateway_stand import ACCOUNT_KEY, DAY, HOUR, KEYS, NOW, SIGNING, entry, published
from tests.unit.kept_results import policy, results

from clonewatch.enforcement.publication import Place, Publisher, Told, follow
from clonewatch.policy.publishing import publish
from clonewatch.policy.watch_list_file import Signing
from clonewatch_gateway import Facts, Follower, decide
from clonewatch_gateway.pulling import NotPulled, Puller
from clonewatch_gateway.watch_list import Keys

BAD = entry("suspend")
NEW = Ed25519PrivateKey.from_private_bytes(bytes(range(64, 96)))
PATIENCE = 30.0


class Gateway:
    """A follower whose faults are kept."""

    def __init__(self, folder: Path, keys: Keys = KEYS, **more: Any) -> None:
        self.heard: list[str] = []
        self.follower = Follower(folder, keys, said=lambda code, _: self.heard.append(code), **more)

    def says(self, account: str, now: float = NOW) -> tuple[int, str]:
        self.follower.look()
        found = decide(account, Facts(), self.follower.current, now)
        return found.status, found.reason


REFUSED, FREE = (403, "linked_campaign"), (0, "not_listed")


def test_a_forged_list_neither_refuses_nor_frees_anybody(tmp_path: Path) -> None:
    published(tmp_path, {"bad": BAD})
    gateway = Gateway(tmp_path)
    assert gateway.says("bad") == REFUSED
    for said in ({"honest": BAD}, {}):
        (forged := tmp_path / f"forged-{len(said)}").mkdir()
        signing = Signing(NEW, ACCOUNT_KEY)
        publish(forged, "accounts", dict.fromkeys(said, 0), list(said.values()), signing, NOW + 60, DAY)
        (forged / "snapshot.cwl").replace(tmp_path / "snapshot.cwl")
        assert gateway.says("bad") == REFUSED and gateway.says("honest") == FREE
    assert gateway.heard == ["bad_signature", "bad_signature"]
    # A gateway that starts with it has no list, and serves everybody.
    assert Gateway(tmp_path).says("bad") == (0, "no_list")


class Torn(SimpleHTTPRequestHandler):
    """Serves a folder, and ends each file early while it is told to."""

    torn = False

    def copyfile(self, source: Any, outputfile: Any) -> None:
        data = source.read()
        outputfile.write(data[: len(data) // 2] if type(self).torn else data)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_download_that_ends_early_changes_nothing_until_it_is_whole(tmp_path: Path) -> None:
    (away := tmp_path / "away").mkdir()
    (here := tmp_path / "here").mkdir()
    published(away, {"bad": BAD, "other": entry("verify")})

    def handler(*args: Any) -> Torn:
        return Torn(*args, directory=str(away))

    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        puller = Puller(f"http://127.0.0.1:{server.server_address[1]}", here)
        puller.pull()
        gateway = Gateway(here)
        assert gateway.says("bad") == REFUSED
        published(away, {"other": entry("verify")}, NOW + 5)  # "bad" is lifted, by a delta
        Torn.torn = True
        with pytest.raises(NotPulled, match="ended after"):
            puller.pull()
        assert gateway.says("bad") == REFUSED and gateway.heard == []
        Torn.torn = False
        assert puller.pull() == ["delta.cwl"]
        assert gateway.says("bad") == FREE and gateway.says("other")[0] == 403
        server.shutdown()


def test_a_clock_that_jumps_lets_everybody_pass_and_acts_again_when_it_is_right(tmp_path: Path) -> None:
    published(tmp_path, {"bad": BAD})
    gateway = Gateway(tmp_path)
    for jump, reason in ((2 * DAY, "stale_list"), (-HOUR, "list_from_the_future")):
        assert gateway.says("bad", NOW + jump) == (0, reason) == (0, gateway.follower.idle(NOW + jump))
        assert gateway.says("bad") == REFUSED and not gateway.follower.idle(NOW)
        gateway.follower.tell_idle(NOW + jump)
        gateway.follower.tell_idle(NOW + jump)
    assert gateway.heard == ["stale_list", "list_from_the_future"], "each is said once"
    # Of the decision alone: it lapses, though its list holds.
    assert gateway.says("bad", NOW + HOUR) == (0, "lapsed")


@pytest.mark.parametrize(("jump", "reason"), [(2 * DAY, "list_from_the_future"), (-2 * DAY, "stale_list")])
def test_a_publisher_whose_clock_jumped_frees_everybody_and_the_next_publishing_mends_it(
    jump: int, reason: str, tmp_path: Path
) -> None:
    published(tmp_path, {"bad": BAD})
    gateway = Gateway(tmp_path, memory=tmp_path / "highest")
    published(tmp_path, {"bad": BAD}, NOW + jump)
    assert gateway.says("bad") == (0, reason)
    published(tmp_path, {"bad": BAD}, NOW + 10)
    assert gateway.says("bad", NOW + 10) == REFUSED and gateway.heard == []


def test_the_signing_key_changes_without_a_moment_in_which_nothing_holds(tmp_path: Path) -> None:
    published(tmp_path, {"bad": BAD, "lifted": BAD})
    new = Signing(NEW, ACCOUNT_KEY)
    before, both, after = (
        Keys(keys, ACCOUNT_KEY) for keys in (KEYS.trusted, (*KEYS.trusted, new.public), (new.public,))
    )
    old, ready = Gateway(tmp_path, before), Gateway(tmp_path, both)
    assert old.says("bad") == ready.says("bad") == REFUSED
    done = publish(tmp_path, "accounts", {"bad": 0}, [BAD], new, NOW + 5, DAY)
    assert done.kind == "snapshot", "a delta to a list by another key would be worth nothing"
    assert ready.says("bad") == Gateway(tmp_path, after).says("bad") == REFUSED
    assert ready.says("lifted") == FREE and ready.heard == []
    # One that was forgotten keeps to its list, says so, and lets everybody pass when that is over.
    assert old.says("lifted") == REFUSED and old.heard == ["bad_signature"]
    assert old.says("lifted", NOW + 2 * DAY) == (0, "stale_list")


def test_another_account_key_is_said_and_the_list_before_holds_until_it_is_over(tmp_path: Path) -> None:
    published(tmp_path, {"bad": BAD})
    gateway, secret = Gateway(tmp_path), bytes(range(100, 132))
    done = publish(tmp_path, "accounts", {"bad": 0}, [BAD], Signing(SIGNING.private, secret), NOW + 5, DAY)
    assert done.kind == "snapshot"
    assert gateway.says("bad") == REFUSED and gateway.heard == ["other_account_key"]
    assert Gateway(tmp_path, Keys(KEYS.trusted, secret)).says("bad") == REFUSED


def test_an_older_snapshot_with_its_delta_brings_nobody_back(tmp_path: Path) -> None:
    """Whoever can write into the folder puts back what was there before somebody was lifted."""
    published(tmp_path, {"bad": BAD, "lifted": BAD})
    old = (tmp_path / "snapshot.cwl").read_bytes()
    published(tmp_path, {"bad": BAD}, NOW + 5)
    gateway = Gateway(tmp_path, memory=tmp_path / "highest")
    assert gateway.says("lifted") == FREE
    delta = (tmp_path / "delta.cwl").read_bytes()
    (tmp_path / "delta.cwl").unlink()
    (tmp_path / "snapshot.cwl").write_bytes(old + b"")
    again = Gateway(tmp_path, memory=tmp_path / "highest")
    assert gateway.says("lifted") == FREE and again.says("lifted") == (0, "no_list")
    assert gateway.heard == again.heard == ["rollback"]
    (tmp_path / "delta.cwl").write_bytes(delta)
    assert again.says("lifted") == FREE and again.says("bad") == REFUSED


def until(seen: Callable[[], bool]) -> None:
    begun = time.monotonic()
    while not seen():
        assert time.monotonic() - begun < PATIENCE
        time.sleep(0.02)


def test_two_publishers_of_one_folder_take_turns_and_gateways_only_go_forward(tmp_path: Path) -> None:
    """Two replicas follow one store, one of them with a clock that is half a minute behind."""
    (result,) = results(tmp_path, 24)
    store, told = filled(str(tmp_path / "cases.db")), list[Told]()
    stop, wrong = threading.Event(), list[str]()
    file = policy(tmp_path)

    def replica(behind: float) -> threading.Thread:
        place = Place(tmp_path / "list", "accounts", SIGNING, 3_600)
        publisher = Publisher(file, [result], store, place)
        words = (publisher, store, told.append, wrong.append, stop, 1.0, lambda: time.time() - behind)
        return threading.Thread(target=follow, args=words)

    running = [replica(0), replica(30)]
    for one in running:
        one.start()
    until(lambda: len(told) >= 2)
    serials: list[int] = []
    gateways = [Gateway(tmp_path / "list") for _ in range(2)]
    while len(told) < 8:
        for held in gateways:
            held.follower.look()
            assert held.follower.current
        serials.append(gateways[0].follower.current.serial)  # type: ignore[union-attr]
        time.sleep(0.05)
    stop.set()
    for one in running:
        one.join()
    assert serials == sorted(serials) and len(set(serials)) > 1 and wrong == []
    assert {one.done.serial for one in told} == set(range(1, len(told) + 1)), "each has a number of its own"
    assert [held.heard for held in gateways] == [[], []]
