"""The TAXII client: against our own server and against medallion on loopback, and against a peer that is hostile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from tests.required import required
from tests.unit.release_stand import TODAY, correction, indicator, release, retraction
from tests.unit.taxii_stand import INBOX, KEYS, PEERS, SHARED, medallion, serving, settings

from clonewatch.model.errors import PeerError, SetupError
from clonewatch.service.taxii.app import Server
from clonewatch.sharing.formats import replies, stix
from clonewatch.sharing.formats.reading import MOST_BYTES
from clonewatch.sharing.release import Release, decoded
from clonewatch.sharing.taxii import peer as peers
from clonewatch.sharing.taxii.inbox import PLACE, pull
from clonewatch.sharing.taxii.peer import Client, Peer

Ours = tuple[Server, str]
LACKING = [] if (PEERS / "bin" / "medallion").exists() else ["medallion"]


def other(number: int) -> Release:
    """A release of another campaign."""
    name = f"0000000{number}-2222-4222-8222-222222222222"
    return release(id=name, indicators=(indicator(100 + number, "network", f"AS6450{number}"),))


def held(folder: Path) -> dict[str, Release]:
    found = [decoded(path.read_bytes()) for path in folder.glob("*-*-*-*-*.json")]
    return {one.id: one for one in found}


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Ours]:
    server = Server(settings(tmp_path), lambda: TODAY)
    with serving(server.app()) as at:
        yield server, f"{at}/api/"


def test_releases_go_from_one_provider_to_another_through_our_server(ours: Ours, tmp_path: Path) -> None:
    _, root = ours
    writer = Peer(root, INBOX, "writer", KEYS["writer"][0])
    reader = Peer(root, INBOX, key=KEYS["reader"][0])  # as a bearer
    folder = tmp_path / "in"
    with Client(writer) as client:
        assert client.push(release()) == len(stix.drafts(release()))
        assert pull(reader, folder, TODAY).new == (folder / f"{release().id}.json",)
        again = pull(reader, folder, TODAY)
        assert (again.new, again.pulled.objects) == ((), 0)
        client.push(other(1))
        client.push(correction())
        third = pull(reader, folder, TODAY, sender="provider-a")
        assert len(third.new) == 2 and third.older == 0
        assert held(folder) == {release().id: correction(), other(1).id: other(1)}
        client.push(retraction())
        pull(reader, folder, TODAY)
        assert held(folder)[release().id] == retraction()
        with Client(reader) as looking:
            assert set(looking.pull(TODAY).read.releases) == {retraction(), other(1)}
        said = replies.Reply("provider-reader", f"indicator--{release().indicators[0].id}", "disagree", TODAY)
        with Client(reader) as back:
            assert back.add(replies.write(said)) == 2
        assert pull(reader, folder, TODAY).pulled.read.replies == (said,)


def test_a_pull_of_many_pages_is_whole(ours: Ours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, root = ours
    monkeypatch.setattr(peers, "_PAGE", 7)
    for one in (release(), other(1), other(2)):
        server.store.add(SHARED, stix.drafts(one))
    pulled = pull(Peer(root, SHARED, "reader", KEYS["reader"][0]), tmp_path / "in", TODAY).pulled
    assert set(pulled.read.releases) == {release(), other(1), other(2)}


def test_times_of_making_stay_where_the_collection_can_be_read(tmp_path: Path) -> None:
    both = settings(tmp_path)
    inbox = msgspec.structs.replace(both.collections["inbox"], read=("writer",))
    server = Server(msgspec.structs.replace(both, collections={"inbox": inbox}), lambda: TODAY)
    with serving(server.app()) as at, Client(Peer(f"{at}/api/", INBOX, "writer", KEYS["writer"][0])) as client:
        for word in (release(), correction(), retraction()):
            client.push(word)
        found = server.store.objects(INBOX, [one["id"] for one in stix.drafts(release())])
    first = {one["id"]: one["created"] for one in stix.drafts(release())}
    assert {one["id"]: one["created"] for one in found} == first


def test_an_older_word_replaces_no_newer_one(ours: Ours, tmp_path: Path) -> None:
    server, root = ours
    reader = Peer(root, SHARED, "reader", KEYS["reader"][0])
    folder = tmp_path / "in"
    server.store.add(SHARED, stix.drafts(correction()))
    pull(reader, folder, TODAY)
    (folder / PLACE).unlink()
    (tmp_path / "taxii.db").unlink()
    fresh = Server(settings(tmp_path), lambda: TODAY)
    fresh.store.add(SHARED, stix.drafts(release()))
    assert pull(reader, folder, TODAY).older == 1
    assert held(folder) == {release().id: correction()}


def test_what_is_refused_changes_nothing_and_is_pulled_again(ours: Ours, tmp_path: Path) -> None:
    server, root = ours
    reader = Peer(root, SHARED, "reader", KEYS["reader"][0])
    folder = tmp_path / "in"
    server.store.add(SHARED, stix.drafts(release()))
    with pytest.raises(SetupError, match="a release of 'provider-a', not of 'provider-b'"):
        pull(reader, folder, TODAY, sender="provider-b")
    server.store.add(SHARED, stix.drafts(other(1))[:-2])
    for _ in range(2):
        with pytest.raises(SetupError, match="is not here"):
            pull(reader, folder, TODAY)
    assert list(folder.iterdir()) == []


def test_a_folder_is_of_one_collection(ours: Ours, tmp_path: Path) -> None:
    server, root = ours
    server.store.add(SHARED, stix.drafts(release()))
    pull(Peer(root, SHARED, "reader", KEYS["reader"][0]), tmp_path / "in", TODAY)
    with pytest.raises(SetupError, match="another collection"):
        pull(Peer(root, INBOX, "reader", KEYS["reader"][0]), tmp_path / "in", TODAY)
    (tmp_path / "in" / PLACE).write_text("{")
    with pytest.raises(SetupError, match="where to go on"):
        pull(Peer(root, SHARED, "reader", KEYS["reader"][0]), tmp_path / "in", TODAY)


def test_what_the_server_refuses_is_said(ours: Ours) -> None:
    _, root = ours
    for peer, said in (
        (Peer(root, SHARED, "writer", "x"), "answers 401"),
        (Peer(root, SHARED, "writer", KEYS["writer"][0]), "answers 403: This key may not add"),
        (Peer(root, release().id[::-1].replace("-", "0")[:8] + SHARED[8:], key=KEYS["writer"][0]), "answers 404"),
        (
            Peer(root, INBOX, "reader", KEYS["reader"][0]),
            "did not take it: this key may not add releases",
        ),
    ):
        with pytest.raises(PeerError, match=said), Client(peer) as client:
            client.push(release())


@pytest.mark.parametrize(
    ("root", "said"),
    [
        ("http://192.0.2.7/api/", "in the clear"),
        ("http://example.org/api/", "in the clear"),
        ("ftp://example.org/", "no address"),
        ("https://user@example.org/", "no address"),
        ("https://example.org/?a", "no address"),
        ("api", "no address"),
    ],
)
def test_a_key_goes_to_no_address_that_would_leak_it(root: str, said: str) -> None:
    with pytest.raises(SetupError, match=said):
        Client(Peer(root, SHARED, "a", "b"))
    with pytest.raises(SetupError, match="is no id"):
        Client(Peer("https://example.org/api/", "../../", "a", "b"))


def hostile(kind: str) -> Starlette:
    """A peer that answers what it should not."""

    async def answer(request: Request) -> Response:
        if kind == "redirect":
            return Response(status_code=307, headers={"location": "http://127.0.0.1:9/"})
        if kind == "huge":
            return StreamingResponse(iter([b" " * (1 << 20)] * ((MOST_BYTES >> 20) + 1)))
        if kind == "endless":
            return JSONResponse({"more": True, "next": request.query_params.get("next", "") + "x", "objects": []})
        told = {
            "list": [],
            "cut": "",
            "no page": {"objects": 5},
            "circle": {"more": True, "next": "x", "objects": ["y"]},
        }
        return JSONResponse(told[kind])

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("redirect", "answers 307"),
        ("huge", "more than 33,554,432 bytes"),
        ("endless", "have no end"),
        ("circle", "have no end"),
        ("list", "is no object"),
        ("cut", "is no object"),
        ("no page", "no envelope"),
    ],
)
def test_a_hostile_peer_is_refused(kind: str, said: str, tmp_path: Path) -> None:
    with serving(hostile(kind)) as at, pytest.raises(PeerError, match=said):
        pull(Peer(f"{at}/api/", SHARED, "a", "b"), tmp_path / "in", TODAY)
    assert list((tmp_path / "in").iterdir()) == []


def test_a_peer_that_is_not_there_is_said() -> None:
    with pytest.raises(PeerError, match="ConnectError"), Client(Peer("http://127.0.0.1:9/api/", SHARED)) as client:
        client.pull(TODAY)


@required("a TAXII server of others", LACKING)
def test_releases_go_through_medallion_and_a_pull_goes_on_where_it_ended(tmp_path: Path) -> None:
    with medallion(tmp_path) as root:
        peer = Peer(root, SHARED, "peer", "secret", without_definition=True)
        with Client(peer) as client:
            assert client.push(release()) == len(stix.drafts(release())) - 1
            assert len(pull(peer, tmp_path / "in", TODAY, "provider-a").new) == 1  # in two pages of 20
            assert held(tmp_path / "in") == {release().id: release()}
            assert pull(peer, tmp_path / "in", TODAY).pulled.objects == 0
            client.push(correction())
            client.push(other(1))
            later = pull(peer, tmp_path / "in", TODAY)
            assert len(later.new) == 2 and later.pulled.objects < 2 * len(stix.drafts(release()))
            assert held(tmp_path / "in") == {release().id: correction(), other(1).id: other(1)}
            client.push(retraction())
            pull(peer, tmp_path / "in", TODAY)
            assert held(tmp_path / "in")[release().id] == retraction()


@required("a TAXII server of others", LACKING)
def test_medallion_stumbles_over_an_extension_definition_so_there_is_an_option(tmp_path: Path) -> None:
    """If this fails the option `without_definition` may go."""
    with medallion(tmp_path) as root:
        with Client(Peer(root, SHARED, "peer", "secret")) as client:
            client.add([one for one in stix.drafts(release()) if one["type"] == "extension-definition"])
            with pytest.raises(PeerError, match="answers 500"):
                client.pull(TODAY)


def test_a_place_to_go_on_from_is_a_moment_of_the_peer(ours: Ours, tmp_path: Path) -> None:
    server, root = ours
    server.store.add(SHARED, stix.drafts(release()))
    pull(Peer(root, SHARED, "reader", KEYS["reader"][0]), tmp_path / "in", TODAY)
    after = json.loads((tmp_path / "in" / PLACE).read_text())["after"]
    asked = httpx.get(
        f"{root}collections/{SHARED}/objects/", params={"limit": 1}, auth=("reader", KEYS["reader"][0]), trust_env=False
    )
    assert asked.headers["x-taxii-date-added-last"] == after
    age = datetime.now(UTC) - datetime.fromisoformat(after)
    assert timedelta(0) <= age < timedelta(hours=1)
