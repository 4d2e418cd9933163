"""What happened to cases is told at least once, only if it happened, to whom it should be, and to nobody else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.appeals_stand import Stand, begun
from tests.unit.cases_stand import ANA, filled, group
from tests.unit.outbox_stand import SECRET, Receiver, authority, mailbox, receiving, secured, standing_in

from clonewatch.cases import outbox
from clonewatch.cases.arrivals import arrive
from clonewatch.cases.changes import Decision, annotate, rule
from clonewatch.cases.store import Store
from clonewatch.model.errors import SetupError
from clonewatch.outbound import addresses, posting
from clonewatch.outbound.delivery import MOST_TRIES, Clock, Told, run
from clonewatch.outbound.settings import read

DAY = datetime(2026, 5, 4, 12, tzinfo=UTC)
WORDS = ("asked sales", "ana", "we are a school")


class Time:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = DAY

    def on(self, **by: float) -> Clock:
        self.now += timedelta(**by)
        return Clock(lambda: self.now, lambda: 1.0)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return filled(str(tmp_path / "cases.db"))


@pytest.fixture
def store_on_both(place: tuple[str, Path]) -> Store:
    """The same on a file and on PostgreSQL, for what a database may do in its own way."""
    return filled(*place)


def targets(folder: Path, *tables: str) -> Path:
    place = folder / "targets.toml"
    secret = folder / "hook.secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    console = 'console = "https://console.example"\n'
    place.write_text(console + "".join(f"[[target]]\n{table}\n" for table in tables))
    return place


def hook(url: str, *more: str, name: str = "siem", allow: str = "127.0.0.1") -> str:
    lines = (f'name = "{name}"', 'kind = "webhook"', f'url = "{url}"', 'secret_file = "hook.secret"')
    return "\n".join((*lines, f'allow = ["{allow}"]', *more))


def sent(store: Store, place: Path, clock: Clock | None = None) -> list[Told]:
    return run(store, read(place), clock=clock or Time().on())


def signed(head: dict[str, str], body: bytes) -> bool:
    """Whether a signature holds, after the text of the Standard Webhooks specification."""
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    text = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + body
    right = "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    return right in head["webhook-signature"].split(" ")


def test_a_webhook_is_signed_and_holds_ids_counts_and_a_link(store: Store, receiver: Receiver, tmp_path: Path) -> None:
    (done,) = sent(store, targets(tmp_path, hook(receiver.url)))
    assert done == Told("siem", "http://127.0.0.1", 2, 2, 0, 0, 0, "")
    (path, head, body), (_, other, _) = receiver.got
    assert path == "/in" and signed(head, body) and not signed(head, body + b" ")
    assert head["content-type"] == "application/json" and head["webhook-timestamp"] == str(int(DAY.timestamp()))
    event = json.loads(body)
    assert (event["id"], event["type"]) == (head["webhook-id"], "case.flagged")
    assert event["data"]["link"] == "https://console.example/cases/K0001"
    assert event["data"] | {"accounts": 4, "exchanges": 100, "case": "K0001"} == event["data"]
    assert event["data"]["window"] == {"first": "2026-04-01T00:00:00Z", "last": "2026-05-01T00:00:00Z"}
    assert other["webhook-id"] != head["webhook-id"]


def test_the_vector_of_the_specification_is_signed_as_it_says() -> None:
    from standardwebhooks import Webhook

    at = datetime.fromtimestamp(1614265330, UTC)
    said = Webhook(SECRET).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, '{"test": 2432232314}')
    assert said == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_nothing_is_told_twice_nor_of_what_did_not_happen(
    store_on_both: Store, receiver: Receiver, tmp_path: Path
) -> None:
    store = store_on_both
    place = targets(tmp_path, hook(receiver.url))
    sent(store, place)
    with pytest.raises(RuntimeError), store.writing() as change:
        rule(change, ["K0001"], Decision("confirmed"), ANA)
        raise RuntimeError
    with store.writing() as change:
        annotate(change, "K0001", "asked sales", ANA)
    assert sent(store, place)[0].new == 0 and len(receiver.got) == 2
    with store.writing() as change:
        rule(change, ["K0001"], Decision("confirmed"), ANA)
    sent(store, place)
    assert [json.loads(body)["type"] for _, _, body in receiver.got] == ["case.flagged", "case.review", "case.ruled"]


def test_what_a_process_died_over_is_tried_again_with_the_same_id(
    store_on_both: Store, receiver: Receiver, tmp_path: Path
) -> None:
    store = store_on_both
    place, time = targets(tmp_path, hook(receiver.url)), Time()
    outbox.gather(store, "siem", lambda *_: outbox.Message("log-1", "case.ruled", body()), lambda _: (), time.on().text)
    taken = outbox.claim(store, "siem", time.on().text)
    assert taken and taken.event == "log-1", "and here the process dies"
    assert sent(store, place, time.on(minutes=1))[0].sent == 0, "it may still be at it"
    assert sent(store, place, time.on(minutes=10))[0].sent == 1
    assert receiver.got[0][1]["webhook-id"] == "log-1"


def body() -> str:
    data = {"case": "K0001", "accounts": 1, "exchanges": 1, "outcome": "flagged"}
    window = {"first": "2026-05-01T00:00:00Z", "last": "2026-05-01T00:00:00Z"}
    event = {"id": "log-1", "type": "case.ruled", "timestamp": "2026-05-04T09:00:00Z"}
    return json.dumps(event | {"data": data | {"window": window}})


def test_a_dead_receiver_is_tried_with_growing_pauses_given_up_and_can_be_revived(
    store_on_both: Store, receiver: Receiver, tmp_path: Path
) -> None:
    store = store_on_both
    place, time = targets(tmp_path, hook(receiver.url, 'events = ["case.flagged"]')), Time()
    receiver.behaviour = "broken"
    assert sent(store, place, time.on())[0].error == "status 500"
    assert sent(store, place, time.on(seconds=59))[0].failed == 0
    assert sent(store, place, time.on(seconds=1))[0].failed == 1, "after a minute"
    assert sent(store, place, time.on(seconds=119))[0].failed == 0
    assert sent(store, place, time.on(seconds=1))[0].failed == 1, "after two"
    for _ in range(MOST_TRIES - 3):
        (done,) = sent(store, place, time.on(hours=6))
    assert (done.dead, done.waiting) == (1, 0) and len(receiver.got) == MOST_TRIES
    assert sent(store, place, time.on(hours=6))[0].failed == 0
    assert len({head["webhook-id"] for _, head, _ in receiver.got}) == 1
    with store.reading() as reading:
        (dead,) = outbox.deliveries(reading, (outbox.DEAD,))
    assert dead.error == "status 500" and outbox.revive(store, time.on().text, "other") == []
    assert len(outbox.revive(store, time.on().text, "siem", [dead.event])) == 1
    receiver.behaviour = "ok"
    assert sent(store, place, time.on())[0].sent == 1


def test_a_receiver_that_is_gone_or_busy_is_believed(store: Store, receiver: Receiver, tmp_path: Path) -> None:
    place, time = targets(tmp_path, hook(receiver.url)), Time()
    receiver.behaviour = "busy"
    sent(store, place, time.on())
    assert sent(store, place, time.on(hours=1))[0].failed == 0, "it asked for two hours"
    receiver.behaviour = "gone"
    assert sent(store, place, time.on(hours=1))[0].dead == 2


def test_one_dead_target_does_not_hold_up_another(store: Store, receiver: Receiver, tmp_path: Path) -> None:
    with store.writing() as change:
        arrive(change, [group(f"C{n}", f"{n}") for n in range(5)], "ana", ANA.at)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    place = targets(tmp_path, hook(f"http://127.0.0.1:{port}/", name="dead"), hook(receiver.url))
    dead, siem = sent(store, place)
    assert (dead.new, dead.failed, siem.sent) == (7, 3, 7), "a dead one is tried three times in a run"
    assert dead.error.startswith("no connection")


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        ("slow", "no answer within 0.4 seconds"),
        ("endless head", "its answer is no HTTP: HTTPException"),
        ("no http", "its answer is no HTTP: BadStatusLine"),
        ("moved", "status 307: redirects are not followed"),
        ("huge", ""),
    ],
)
def test_a_hostile_receiver_is_left_in_time(receiver: Receiver, behaviour: str, error: str) -> None:
    receiver.behaviour = behaviour
    done = posting.post(posting.Receiver(receiver.url, {"127.0.0.1"}), b"{}", {"content-type": "text/plain"}, 0.4)
    assert done.error == error and len(receiver.got) == 1
    assert receiver.got[0][0] == "/in"


def test_inner_addresses_are_called_only_where_the_settings_name_the_host(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that first means an address of the internet, and then this machine, as in DNS rebinding."""
    real, asked = socket.getaddrinfo, []

    def rebinding(host: Any, *more: Any, **named: Any) -> Any:
        if host != "hook.example":
            return real(host, *more, **named)
        asked.append(host)
        address = "192.0.2.1" if len(asked) == 1 else "127.0.0.1"
        return real("127.0.0.1" if named.get("inside") else address, *more, **named)

    url = receiver.url.replace("127.0.0.1", "hook.example").replace("http:", "https:")
    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(addresses, "is_public", lambda text: text == "192.0.2.1")
    posting.post(posting.Receiver(url), b"", {}, 0.2)
    assert asked == ["hook.example"], "the address that was checked is the one that is called"
    done = posting.post(posting.Receiver(url), b"", {}, 0.2)
    assert "is at 127.0.0.1, which is not on the internet" in done.error and receiver.got == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",  # noqa: S104
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "fec0::1",
        "3fff::1",
        "5f00::1",
    ],
)
def test_an_address_inside_is_none_of_the_internet(address: str) -> None:
    assert not addresses.is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "64:ff9b::101:101"])
def test_an_address_of_the_internet_is_called(address: str) -> None:
    assert addresses.is_public(address)


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f.1", "127.1", "0", "[::ffff:7f00:1]", "1.1.1.1@127.0.0.1", "①②⑦.⓪.⓪.①"]
)
def test_however_this_machine_is_written_it_is_not_called(receiver: Receiver, host: str) -> None:
    url = f"https://{host}:{receiver.server_port}/in"
    done = posting.post(posting.Receiver(url), b"", {}, 0.4)
    assert "which is not on the internet" in done.error and receiver.got == []


def test_messages_in_the_clear_stay_in_the_own_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("1.1.1.1", 0))])
    done = posting.post(posting.Receiver("http://hook.example/", {"hook.example"}), b"", {}, 0.2)
    assert done.error == "hook.example is at 1.1.1.1, on the internet: write https"


def test_tls_is_checked(store: Store, receiver: Receiver, tmp_path: Path) -> None:
    certificate, root = authority(tmp_path, "127.0.0.1")
    secured(receiver, certificate)
    url = receiver.url.replace("http:", "https:")
    (bare,) = sent(store, targets(tmp_path, hook(url)))
    assert bare.sent == 0 and "certificate" in bare.error
    assert sent(store, targets(tmp_path, hook(url, f'ca_file = "{root.name}"', name="two")))[0].sent == 2


def test_groups_for_review_are_told_from_a_bound(store: Store, receiver: Receiver, tmp_path: Path) -> None:
    place = targets(tmp_path, hook(receiver.url, "review_from_bits = 4.5", 'events = ["case.review", "case.flagged"]'))
    assert sent(store, place)[0].new == 1, "the flagged one"
    with store.writing() as change:
        arrive(change, [group("C0002", "xyz", outcome="review", odds=5.0, last="2026-05-02")], "ana", ANA.at)
    assert sent(store, place)[0].new == 1
    with store.writing() as change:
        arrive(change, [group("C0002", "xyz", outcome="review", odds=6.0, last="2026-05-03")], "ana", ANA.at)
        arrive(change, [group("C0001", "abcd", last="2026-05-03")], "ana", ANA.at)
    assert sent(store, place)[0].new == 0, "both were told before"
    with store.writing() as change:
        arrive(change, [group("C0002", "xyz", last="2026-05-04")], "ana", ANA.at)
    assert sent(store, place)[0].new == 1, "now it is flagged"


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    made = begun(str(tmp_path / "cases.db"))
    made.appeal()
    return made


def test_measures_appeals_and_what_is_overdue_are_told_without_what_people_wrote(
    stand: Stand, receiver: Receiver, tmp_path: Path
) -> None:
    place, time = targets(tmp_path, hook(receiver.url)), Time()
    sent(stand.store, place, time.on(days=2))
    sent(stand.store, place, time.on(days=30))
    sent(stand.store, place, time.on(days=1))
    told = [json.loads(body) for _, _, body in receiver.got]
    assert [one["type"] for one in told if one["type"] not in ("case.flagged", "case.review")] == [
        "case.ruled",
        "containment.begun",
        "appeal.received",
        "overdue",
    ], "what is overdue is told once"
    late = told[-1]["data"]
    assert (late["overdue"], late["day"], late["appeal"]["id"]) == ("appeal A0001", "2026-05-21", "A0001")
    everything = b"\n".join(body for _, _, body in receiver.got).decode()
    assert not any(f'"{word}' in everything or f" {word}" in everything for word in WORDS)
    assert "seen twice" not in everything and "Section 4" not in everything


def test_a_line_is_added_to_a_file_for_its_owner_only(store: Store, tmp_path: Path) -> None:
    place = targets(tmp_path, 'name = "file"\nkind = "file"\npath = "out.cef"\nformat = "cef"')
    assert sent(store, place)[0].sent == 2
    held = tmp_path / "out.cef"
    assert [line.split("|")[4] for line in held.read_text().splitlines()] == ["case.flagged", "case.review"]
    assert stat.S_IMODE(held.stat().st_mode) == 0o600
    held.unlink()
    held.mkdir()
    with store.writing() as change:
        rule(change, ["K0001"], Decision("confirmed"), ANA)
    assert sent(store, place)[0].error == "it cannot be written: Is a directory"


def test_mail_and_chat_reach_their_servers(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("apprise")
    certificate, root = authority(tmp_path, "hooks.slack.com")
    mail_to = 'name = "mail"\nkind = "people"\naddress_env = "MAIL_TO"\nallow = ["127.0.0.1"]'
    chat = 'name = "chat"\nkind = "people"\naddress_env = "CHAT_TO"'
    with mailbox() as server, standing_in(certificate) as (port, got):
        where = f"127.0.0.1:{server.server_address[1]}"
        monkeypatch.setenv("MAIL_TO", f"mailto://{where}?smtp=127.0.0.1&from=a@b.example&to=c@d.example")
        monkeypatch.setenv("CHAT_TO", "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7/%23alerts")
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(root))
        mail, slack = sent(store, targets(tmp_path, mail_to, chat))
    assert (mail.sent, slack.sent, mail.error, slack.error) == (2, 2, "", "")
    assert "K0001: group of linked accounts flagged" in server.got[0]
    assert got[0].startswith(b"CONNECT hooks.slack.com:443") and b"K0001" in got[1]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (hook("http://hook.example/", allow=""), "in the clear"),
        (hook("ftp://hook.example/"), "no address"),
        (hook("https://me:pass@hook.example/"), "a name or a password"),
        (hook("https://hook.example:99999/"), "no address"),
        (hook("https://hook.example/", 'events = ["case.closed"]'), "no event 'case.closed'"),
        (hook("https://hook.example/", 'secret = "x"'), "unknown field `secret`"),
        (hook("https://hook.example/", 'secret_env = "X"'), "needs secret_file or secret_env"),
        (hook("https://hook.example/").replace("hook.secret", "none"), "cannot read the secret"),
        (hook("https://hook.example/", name="A B"), "cannot be the name"),
        (hook("https://hook.example/") + "\n[[target]]\n" + hook("https://b.example/"), "two targets are called siem"),
        ('name = "x"\nkind = "people"\naddress_env = "NOT_SET_ANYWHERE"', "is empty"),
        ('name = "x"\nkind = "file"', "needs path"),
        ('name = "x"\nkind = "fax"', "Invalid enum value"),
        ("name = ", "these are no targets"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_sent(
    store: Store, tmp_path: Path, table: str, said: str
) -> None:
    with pytest.raises(SetupError, match=said):
        sent(store, targets(tmp_path, table))
    with store.reading() as reading:
        assert outbox.deliveries(reading, (outbox.WAITING,)) == []


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("json://127.0.0.1/x-token", "no service that is told"),
        ("mailto://u:x-token@mail.example", "gives up TLS"),
        ("mailtos://u:x-token@mail.example?verify=no", "gives up TLS"),
        ("slack://x-token", "no address of slack"),
    ],
)
def test_an_address_of_people_is_refused_without_being_shown(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    pytest.importorskip("apprise")
    monkeypatch.setenv("CHAT_TO", address)
    with pytest.raises(SetupError, match=said) as refused:
        sent(store, targets(tmp_path, 'name = "chat"\nkind = "people"\naddress_env = "CHAT_TO"'))
    assert "x-token" not in str(refused.value)


def test_a_secret_that_is_none_is_refused_without_being_shown(store: Store, tmp_path: Path) -> None:
    place = targets(tmp_path, hook("https://hook.example/"))
    (tmp_path / "hook.secret").write_text("whsec_c2hvcnQ=")
    with pytest.raises(SetupError, match="the secret of target siem is none") as refused:
        sent(store, place)
    assert "c2hvcnQ" not in str(refused.value)
