"""The watch list: what is written is read, and whatever is wrong with it leads to no decision against anybody."""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.gateway_stand import ACCOUNT_KEY, DAY, HOUR, KEYS, NOW, SIGNING, entry, published, read

from clonewatch.model.errors import InputError
from clonewatch.policy.watch_list_file import SNAPSHOT, Stamp, encoded, rows
from clonewatch_gateway import Facts, Follower, Refused, decide, watch_list
from clonewatch_gateway.account_hash import hasher
from clonewatch_gateway.main import run
from clonewatch_gateway.signatures import key_name, public_key, spelled
from clonewatch_gateway.watch_list import Keys, Part

SUSPENDED = entry("suspend")


@dataclass
class Heard:
    """What a follower says."""

    codes: list[str] = field(default_factory=list)

    def __call__(self, code: str, said: str) -> None:
        assert said
        self.codes.append(code)


@given(st.lists(st.text(max_size=8), unique=True, max_size=60), st.lists(st.text(max_size=8), max_size=10))
@settings(max_examples=40, deadline=None)
def test_every_account_that_was_listed_is_found_and_no_other(listed: list[str], others: list[str]) -> None:
    listed = [account for account in listed if account.isprintable()]
    held = rows({account: number for number, account in enumerate(listed)}, ACCOUNT_KEY)
    entries = [entry("notify", case=f"K{number}") for number in range(len(listed))]
    data = encoded(SNAPSHOT, Stamp("accounts", 1, NOW, NOW + DAY), held, entries, SIGNING)
    path = Path(os.environ["PYTEST_LIST"])
    path.write_bytes(data)
    watch = watch_list.opened(path, KEYS)
    for number, account in enumerate(listed):
        found = watch.entry(account)
        assert found and found.case == f"K{number}"
    assert all(watch.entry(account) is None for account in set(others) - set(listed))


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_LIST", str(tmp_path / "drawn.cwl"))


def test_a_thousand_accounts_are_found_through_the_table_of_buckets(tmp_path: Path) -> None:
    said = {f"acct-{n}": entry("notify", case=f"K{n % 7}") for n in range(1_000)}
    published(tmp_path, said)
    watch = read(tmp_path)
    assert all((found := watch.entry(a)) and found.case == one["case"] for a, one in said.items())
    assert not any(watch.entry(f"other-{n}") for n in range(1_000))


def test_account_ids_are_not_in_the_file(tmp_path: Path) -> None:
    done = published(tmp_path, {"acct-4711": SUSPENDED})
    data = done.path.read_bytes()
    assert b"acct-4711" not in data and hasher(ACCOUNT_KEY)("acct-4711") in data
    assert hasher(bytes(32))("acct-4711") not in data


def test_renewing_is_a_delta_without_rows_and_lifting_one_of_one_row(tmp_path: Path) -> None:
    said = {f"acct-{n}": SUSPENDED for n in range(50)}
    assert published(tmp_path, said).kind == "snapshot"
    later = entry("suspend", expires=NOW + 2 * HOUR)
    renewed = published(tmp_path, dict.fromkeys(said, later), NOW + HOUR)
    assert (renewed.kind, renewed.rows, renewed.serial) == ("delta", 0, 2)
    held = read(tmp_path).entry("acct-7")
    assert held and held.expires == NOW + 2 * HOUR
    lifted = published(tmp_path, {a: later for a in said if a != "acct-7"} | {"new": entry("notify")}, NOW + HOUR)
    assert (lifted.kind, lifted.rows) == ("delta", 2)
    watch = read(tmp_path)
    assert watch.entry("acct-7") is None and watch.entry("acct-8")
    assert (found := watch.entry("new")) and found.named == "notify"
    nothing = published(tmp_path, {}, NOW + HOUR)
    assert nothing.kind == "delta"
    assert not any(read(tmp_path).entry(account) for account in said)


def test_a_list_that_changed_much_is_a_new_snapshot_and_the_old_delta_goes(tmp_path: Path) -> None:
    published(tmp_path, {f"acct-{n}": entry("notify") for n in range(1_500)})
    published(tmp_path, {})
    published(tmp_path, {f"acct-{n}": SUSPENDED for n in range(3_000, 4_500)})
    assert not (tmp_path / "delta.cwl").exists()
    watch = read(tmp_path)
    assert watch.serial == 3 and watch.entry("acct-0") is None and watch.entry("acct-3000")


def test_a_folder_with_another_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "snapshot.cwl").write_bytes(
        encoded(SNAPSHOT, Stamp("other", 1, NOW, NOW + DAY), rows({}, ACCOUNT_KEY), [], SIGNING)
    )
    with pytest.raises(InputError, match="'other'"):
        published(tmp_path, {})
    (tmp_path / "snapshot.cwl").write_bytes(b"something else")
    with pytest.raises(InputError, match="no watch list"):
        published(tmp_path, {})


def test_any_changed_byte_is_refused(tmp_path: Path) -> None:
    path = published(tmp_path, {"a": SUSPENDED, "b": SUSPENDED}).path
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(Refused):
            read(tmp_path)


def test_a_partial_download_is_refused_at_every_length(tmp_path: Path) -> None:
    path = published(tmp_path, {"a": SUSPENDED, "b": SUSPENDED}).path
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 37), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(Refused) as refused:
            read(tmp_path)
        assert refused.value.code == "damaged"
    path.write_bytes(whole + b"\0")
    with pytest.raises(Refused):
        read(tmp_path)


def test_a_list_by_another_key_is_refused_and_after_a_rotation_both_keys_hold(tmp_path: Path) -> None:
    published(tmp_path, {"a": SUSPENDED})
    other = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    with pytest.raises(Refused, match="does not trust") as refused:
        read(tmp_path, Keys((other,), ACCOUNT_KEY))
    assert refused.value.code == "bad_signature"
    assert read(tmp_path, Keys((other, SIGNING.public), ACCOUNT_KEY)).entry("a")


def test_a_wrong_account_key_is_said_instead_of_matching_nobody(tmp_path: Path) -> None:
    published(tmp_path, {"a": SUSPENDED})
    with pytest.raises(Refused) as refused:
        read(tmp_path, Keys(KEYS.trusted, bytes(32)))
    assert refused.value.code == "other_account_key"


def test_where_nothing_can_check_a_signature_no_list_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published(tmp_path, {"a": SUSPENDED})
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    heard = Heard()
    follower = Follower(tmp_path, KEYS, said=heard)
    assert heard.codes == ["no_verifier"]
    assert decide("a", Facts(), follower.current, NOW).reason == "no_list"


def test_public_keys_have_one_spelling() -> None:
    assert public_key(spelled(SIGNING.public)) == SIGNING.public and len(key_name(SIGNING.public)) == 16
    for wrong in ("", "ed25519:", "ed25519:????", base64.b64encode(SIGNING.public).decode()):
        with pytest.raises(ValueError, match="public key"):
            public_key(wrong)


def test_what_is_wrong_with_a_new_file_is_said_once_and_the_list_in_use_stays(tmp_path: Path) -> None:
    said = {"a": SUSPENDED}
    first = published(tmp_path, said).path.read_bytes()
    heard = Heard()
    follower = Follower(tmp_path, KEYS, memory=tmp_path / "highest", said=heard)
    published(tmp_path, said, whole=True)
    assert follower.look() and not follower.look() and (tmp_path / "highest").read_text() == "2"
    newest = (tmp_path / "snapshot.cwl").read_bytes()
    put(tmp_path, newest[:-5])
    assert not follower.look() and not follower.look()
    put(tmp_path, first)  # signed, and older than what is in use
    assert not follower.look()
    (tmp_path / "snapshot.cwl").unlink()
    assert not follower.look()
    assert heard.codes == ["damaged", "rollback", "missing"]
    assert follower.current and follower.current.serial == 2 and follower.problem == "missing"
    put(tmp_path, newest)
    assert follower.look() and follower.problem == ""


def test_what_could_not_be_read_is_tried_again_and_said_once(tmp_path: Path) -> None:
    said, heard, copies = {"a": SUSPENDED}, Heard(), tmp_path / "copies"
    published(tmp_path, said)
    copies.write_text("in the place of the folder of copies")
    follower = Follower(tmp_path, KEYS, shared=copies, said=heard)
    assert not follower.look() and follower.current is None and heard.codes == ["unreadable"]
    copies.unlink()
    assert follower.look() and follower.problem == "" and heard.codes == ["unreadable"]


def test_an_older_list_is_refused_after_a_restart_too(tmp_path: Path) -> None:
    first = published(tmp_path, {"a": SUSPENDED}).path.read_bytes()
    published(tmp_path, {}, whole=True)
    assert Follower(tmp_path, KEYS, memory=tmp_path / "highest").current
    put(tmp_path, first)
    heard = Heard()
    follower = Follower(tmp_path, KEYS, memory=tmp_path / "highest", said=heard)
    assert heard.codes == ["rollback"] and follower.current is None
    (tmp_path / "highest").write_text("what?")
    assert Follower(tmp_path, KEYS, memory=tmp_path / "highest", said=heard).current
    assert heard.codes == ["rollback", "no_memory"]


def test_a_delta_to_another_snapshot_is_left_out_and_a_bad_one_stops_the_list(tmp_path: Path) -> None:
    published(tmp_path, {"a": SUSPENDED})
    published(tmp_path, {})
    delta = (tmp_path / "delta.cwl").read_bytes()
    published(tmp_path, {"a": SUSPENDED}, whole=True)
    (tmp_path / "delta.cwl").write_bytes(delta)
    assert read(tmp_path).entry("a")
    (tmp_path / "delta.cwl").write_bytes(delta[:-1])
    # Without its delta a list could act on somebody who was lifted: then nobody is acted on.
    with pytest.raises(Refused):
        read(tmp_path)


def test_publishers_at_once_take_turns(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = pool.map(lambda n: published(tmp_path, {f"acct-{n}": SUSPENDED}).serial, range(4))
    assert sorted(done) == [1, 2, 3, 4] and read(tmp_path).serial == 4


def put(folder: Path, data: bytes) -> None:
    aside = folder / "aside"
    aside.write_bytes(data)
    aside.replace(folder / "snapshot.cwl")


def test_a_list_that_is_over_is_said_once_until_there_is_another(tmp_path: Path) -> None:
    heard = Heard()
    published(tmp_path, {"a": SUSPENDED})
    follower = Follower(tmp_path, KEYS, said=heard)
    for moment in (NOW, NOW + DAY, NOW + DAY + 1):
        follower.tell_idle(moment)
    assert heard.codes == ["stale_list"]
    published(tmp_path, {"a": SUSPENDED}, NOW + DAY)
    follower.look()
    for moment in (NOW + DAY + 2, NOW + 2 * DAY):
        follower.tell_idle(moment)
    assert heard.codes == ["stale_list"] * 2


def test_a_thread_follows_the_folder_and_ends(tmp_path: Path) -> None:
    published(tmp_path, {"a": SUSPENDED})
    follower = Follower(tmp_path, KEYS, period=0.01).start()
    published(tmp_path, {})
    for _ in range(1_000):
        if follower.current and follower.current.serial == 2:
            break
        time.sleep(0.01)
    follower.stop()
    assert follower.current and follower.current.entry("a") is None


def test_a_file_that_is_cut_short_in_place_ends_no_process(tmp_path: Path) -> None:
    """A mapped file that shrinks would end the process, and the gateway with it."""
    path = published(tmp_path, {f"acct-{n}": SUSPENDED for n in range(20_000)}).path
    for shared in (None, tmp_path / "shared"):
        watch = watch_list.opened(path, KEYS, shared=shared)
        whole = path.read_bytes()
        os.truncate(path, 0)
        assert all(watch.entry(f"acct-{n}") for n in range(0, 20_000, 500))
        path.write_bytes(whole)


def test_workers_share_one_copy_which_goes_an_hour_after_the_next_came(tmp_path: Path) -> None:
    shared, folder = tmp_path / "shared", tmp_path / "list"
    folder.mkdir()
    published(folder, {"a": SUSPENDED})
    first, second = (Follower(folder, KEYS, shared=shared) for _ in range(2))
    (copy,) = shared.iterdir()
    inode = str(copy.stat().st_ino)
    if (maps := Path("/proc/self/maps")).exists():
        assert sum(inode in line.split() for line in maps.read_text().splitlines()) >= 2
    assert shared.stat().st_mode & 0o077 == 0
    published(folder, {}, whole=True)
    assert first.look() and copy.exists()
    os.utime(copy, (0, 0))
    published(folder, {"a": SUSPENDED}, whole=True)
    assert first.look() and not copy.exists()
    assert second.current and second.current.entry("a")


@pytest.mark.parametrize(
    "wrong",
    [
        {"case": 'K1"\r\nset-cookie: x'},
        {"appeal": "https://\u202e"},
        {"mode": "sometimes"},
        {"expires": -1},
        {"expires": True},
        {"approved_by": "ana"},
        {"slice": [1]},
        {"bound": []},
        {"extra": 1},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_an_entry_that_is_none_is_refused_though_it_is_signed(tmp_path: Path, wrong: dict[str, object]) -> None:
    published(tmp_path, {"a": {**SUSPENDED, **wrong}})
    with pytest.raises(Refused) as refused:
        read(tmp_path)
    assert refused.value.code == "damaged"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(SUSPENDED)), st.sampled_from(["suspend", "budget", "shorten_reasoning"]), JSON)
@settings(max_examples=120, deadline=None)
def test_whatever_an_entry_holds_is_refused_or_decided_by(name: str, action: str, value: object) -> None:
    path = Path(os.environ["PYTEST_LIST"])
    held = {**entry(action), name: value}
    data = encoded(SNAPSHOT, Stamp("accounts", 1, NOW, NOW + DAY), rows({"a": 0}, ACCOUNT_KEY), [held], SIGNING)
    path.write_bytes(data)
    try:
        watch = watch_list.opened(path, KEYS)
    except Refused:
        return
    found = decide("a", Facts(5_000), watch, NOW)
    assert all(text.isascii() and text.isprintable() for pair in found.headers for text in pair)
    assert not found.status or (found.case and found.reason and found.expiry > NOW)


@given(st.sampled_from(["serial", "count", "fan_bits", "entries", "changes", "kind", "base", "valid_until"]), JSON)
@settings(max_examples=120, deadline=None)
def test_whatever_a_header_holds_is_refused_or_read(name: str, value: object) -> None:
    path = Path(os.environ["PYTEST_LIST"])
    data = encoded(SNAPSHOT, Stamp("accounts", 1, NOW, NOW + DAY), rows({"a": 0}, ACCOUNT_KEY), [SUSPENDED], SIGNING)
    length = int.from_bytes(data[8:12], "little")
    header = json.dumps({**json.loads(data[12 : 12 + length]), name: value}).encode()
    front = data[:8] + len(header).to_bytes(4, "little") + header
    front += SIGNING.private.sign(front)
    path.write_bytes(front + bytes(-len(front) % 64) + data[-28:])
    try:
        watch = watch_list.opened(path, KEYS)
    except Refused:
        return
    decide("a", Facts(), watch, NOW)


def test_a_signed_file_of_another_version_is_refused_as_such(tmp_path: Path) -> None:
    path = published(tmp_path, {}).path
    data = path.read_bytes().replace(b"watch-list.v1", b"watch-list.v2")
    path.write_bytes(data)
    with pytest.raises(Refused) as refused:
        Part(path, KEYS)
    assert refused.value.code == "unknown_version"


def test_show_says_what_a_list_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "list"
    folder.mkdir()
    published(folder, {"a": SUSPENDED, "b": entry("notify", mode="shadow"), "c": entry("nothing_known")})
    (tmp_path / "key").write_text(ACCOUNT_KEY.hex())
    words = ["show", "--folder", str(folder), "--account-key", str(tmp_path / "key"), "--trust"]
    assert run([*words, spelled(SIGNING.public)]) == 3  # it was over long ago
    told = json.loads(capsys.readouterr().out)
    assert told["entries"] == {"nothing_known, enforce": 1, "notify, shadow": 1, "suspend, enforce": 1}
    assert told["unknown_actions"] == ["nothing_known"] and told["problem"] == "stale_list" and not told["in_use"]
    assert run([*words, "ed25519:nothing"]) == 2
    assert "public key" in capsys.readouterr().err
