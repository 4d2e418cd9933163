"""The TAXII 2.1 routes: taxii2-client finds its way, keys hold, pages are whole, hostile envelopes leave nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient
from taxii2client.exceptions import AccessError
from taxii2client.v21 import Collection as RealCollection
from taxii2client.v21 import Server as RealServer
from taxii2client.v21 import as_pages
from tests.unit.release_stand import TODAY, correction, indicator, release, retraction
from tests.unit.taxii_stand import INBOX, KEYS, OTHERS, SHARED, serving, settings

from clonewatch.model.errors import SetupError
from clonewatch.service.taxii import settings as taxii_settings
from clonewatch.service.taxii.app import MEDIA, Server
from clonewatch.sharing.formats import replies, stix
from clonewatch.sharing.formats.stix_reading import read_objects
from clonewatch.sharing.taxii.store import Store, Wanted, moment

OBJECTS = f"/api/collections/{SHARED}/objects/"
INTO = f"/api/collections/{INBOX}/objects/"


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(settings(tmp_path), lambda: TODAY)


@pytest.fixture
def http(server: Server) -> Iterator[TestClient]:
    with TestClient(server.app()) as client:
        yield client


def get(http: TestClient, path: str, who: str = "reader", **more: str) -> Any:
    headers = {"authorization": f"Bearer {KEYS[who][0]}", "accept": MEDIA}
    return http.get(path, headers=headers | {n.replace("_", "-"): v for n, v in more.items()})


def post(http: TestClient, objects: object, who: str = "writer", path: str = INTO, kind: str = MEDIA) -> Any:
    body = objects if isinstance(objects, bytes) else json.dumps({"objects": objects}).encode()
    return http.post(path, content=body, headers={"authorization": f"Bearer {KEYS[who][0]}", "content-type": kind})


def ids(answer: Any) -> list[str]:
    return [one["id"] for one in answer.json().get("objects", [])]


def test_the_client_of_oasis_discovers_reads_pages_filters_and_adds(server: Server) -> None:
    server.store.add(SHARED, stix.drafts(release()))
    with serving(server.app()) as at:
        key = KEYS["writer"][0]
        real = RealServer(f"{at}/taxii2/", user="writer", password=key)
        assert real.title == "Clonewatch" and [root.url for root in real.api_roots] == [f"{at}/api/"]
        root = real.default
        assert root.versions == [MEDIA] and root.max_content_length == 16 << 20
        shared, inbox = root.collections
        assert (shared.id, shared.can_read, shared.can_write) == (SHARED, True, False)
        assert (inbox.id, inbox.can_read, inbox.can_write, inbox.description) == (INBOX, False, True, "What peers tell")
        assert read_objects(shared.get_objects()["objects"], TODAY).releases == (release(),)
        paged = [one for page in as_pages(shared.get_objects, per_request=7) for one in page["objects"]]
        assert [one["id"] for one in paged] == [one["id"] for one in stix.drafts(release())]
        assert {o["type"] for o in shared.get_objects(type="indicator,campaign")["objects"]} == {
            "indicator",
            "campaign",
        }
        campaign = f"campaign--{release().id}"
        assert shared.get_object(campaign)["objects"][0]["id"] == campaign
        assert len(shared.get_manifest()["objects"]) == len(paged)
        assert shared.object_versions(campaign)["versions"] == ["2026-11-20T09:00:00.000Z"]
        status = inbox.add_objects({"objects": stix.drafts(release())})
        assert (status.status, status.success_count, status.failure_count) == ("complete", len(paged), 0)
        status.refresh()
        assert status.total_count == len(paged)
        with pytest.raises(AccessError):
            inbox.get_objects()
        with pytest.raises(Exception, match="401"):
            RealCollection(f"{at}/api/collections/{SHARED}/", user="writer", password="x").get_objects()  # noqa: S106


def test_each_collection_has_its_keys(http: TestClient) -> None:
    assert [one["id"] for one in get(http, "/api/collections/").json()["collections"]] == [SHARED, INBOX]
    assert get(http, f"/api/collections/{OTHERS}/").status_code == 404
    assert get(http, f"/api/collections/{OTHERS}/").json() == get(http, "/api/collections/none/").json()
    assert get(http, INTO, "writer").status_code == 403 and get(http, INTO).status_code == 200
    assert post(http, [], path=OBJECTS).status_code == 403
    assert get(http, INTO, "busy").status_code == 404


def test_nobody_comes_in_without_a_key_and_guessing_ends(http: TestClient) -> None:
    key = KEYS["reader"][0]
    wrong = [
        "", "Bearer x", f"Bearer {key}x", f"Digest {key}", "Basic !!",
        "Basic " + base64.b64encode(b"\xff:\xff").decode(),
        "Basic " + base64.b64encode(f"writer:{key}".encode()).decode(),
    ]  # fmt: skip
    for told in wrong:
        answer = http.get("/taxii2/", headers={"authorization": told})
        assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Basic")
    seen = {http.get(OBJECTS).status_code for _ in range(40)}
    assert seen == {401, 429}
    assert get(http, OBJECTS).status_code == 200  # who has a key is not kept out


def test_a_key_has_its_rate(http: TestClient) -> None:
    answers = [get(http, OBJECTS, "busy") for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429]
    assert answers[-1].headers["retry-after"] == "60" and "2 requests a minute" in answers[-1].json()["title"]


def test_media_types_methods_and_parameters(http: TestClient) -> None:
    for accept in (
        "*/*",
        "application/*",
        "application/taxii+json",
        MEDIA,
        "application/taxii+json; version=2.1",
        f"text/html, {MEDIA}",
    ):
        answer = get(http, OBJECTS, accept=accept)
        assert answer.status_code == 200 and answer.headers["content-type"] == MEDIA
    for accept in ("text/html", "application/json", "application/taxii+json;version=2.0"):
        assert get(http, OBJECTS, accept=accept).status_code == 406
    for kind in ("application/json", "", "application/stix+json;version=2.1"):
        assert post(http, stix.drafts(release()), kind=kind).status_code == 415
    assert get(http, "/nothing/").status_code == 404 and get(http, OBJECTS[:-1]).status_code == 404
    assert http.delete(OBJECTS).status_code == 405 and http.delete(OBJECTS).json()["http_status"] == "405"
    for query in ("limit=0", "limit=x", "next=-1", "next=x", "added_after=yesterday", "match[version]=old", "color=1",
                  "added_after=2026-11-20T09:00:00", "match[id]=" + ",".join("x" * 101)):  # fmt: skip
        assert get(http, f"{OBJECTS}?{query}").status_code == 400, query
    assert get(http, f"{OBJECTS}?match[id]=' OR 1=1 --").json() == {}


def test_pages_give_every_object_once_with_the_moments_of_adding(server: Server, http: TestClient) -> None:
    made = stix.drafts(release())
    server.store.add(SHARED, made)
    found: list[str] = []
    query, added = f"{OBJECTS}?limit=5", set()
    while True:
        answer = get(http, query)
        found += ids(answer)
        added |= {answer.headers["x-taxii-date-added-first"], answer.headers["x-taxii-date-added-last"]}
        if not answer.json().get("more"):
            break
        query = f"{OBJECTS}?limit=5&next={answer.json()['next']}"
    assert found == [one["id"] for one in made] and len(added) == 1
    assert get(http, f"{OBJECTS}?added_after={added.pop()}").json() == {}


def test_limits_of_a_page_hold_whatever_is_asked_for(tmp_path: Path) -> None:
    small = Server(settings(tmp_path, most_page=3), lambda: TODAY)
    small.store.add(SHARED, stix.drafts(release()))
    with TestClient(small.app()) as http:
        assert len(ids(get(http, f"{OBJECTS}?limit=100000"))) == 3 == len(ids(get(http, OBJECTS)))


def test_versions_are_kept_and_the_newest_is_given(server: Server, http: TestClient) -> None:
    first = stix.drafts(release())
    for word in (release(), correction(), retraction()):
        server.store.add(SHARED, stix.drafts(word, first))
    assert read_objects(get(http, OBJECTS).json()["objects"], TODAY).releases == (retraction(),)
    one = f"{OBJECTS}campaign--{release().id}/"
    moments = ["2026-11-20T09:00:00.000Z", "2026-11-20T09:00:01.000Z", "2026-11-20T10:00:02.000Z"]
    assert get(http, f"{one}versions/").json()["versions"] == moments
    for asked, wanted in (
        ("first", 1),
        ("all", 3),
        ("last", 1),
        ("first,last", 2),
        (moments[1], 1),
        ("2020-01-01T00:00:00Z", 0),
    ):
        assert len(ids(get(http, f"{one}?match[version]={asked}"))) == wanted
    revision = get(http, f"{one}?match[version]={moments[1]}").json()["objects"][0]
    assert revision["modified"] == moments[1]
    manifest = get(http, f"/api/collections/{SHARED}/manifest/?match[type]=campaign").json()["objects"]
    assert [(one["version"], one["media_type"]) for one in manifest] == [
        (moments[2], "application/stix+json;version=2.1")
    ]


def failure(answer: Any) -> str:
    told = answer.json()
    assert answer.status_code == 202 and told["success_count"] == 0 and told["failure_count"] == told["total_count"]
    return str(told["failures"][0]["message"])


def test_an_envelope_is_taken_whole_or_not_at_all(http: TestClient) -> None:
    made = stix.drafts(release())
    for objects, said in (
        ([*made, made[-1]], "there twice"),
        (made[:-2], "is not here"),
        ([{**one, "object_marking_refs": []} if one["type"] == "campaign" else one for one in made], "TLP:nothing"),
        (["x"], "an object is a str"),
        (stix.drafts(release(until="2026-11-19")), "it ended"),
        (stix.drafts(release(sender="provider-b")), "may not add releases of 'provider-b'"),
        (replies.write(replies.Reply("provider-c", made[-2]["id"], "seen", TODAY)), "may not speak for others"),
        (stix.objects(release(sender="provider-home"), plain=True), "may not speak for others"),
    ):  # fmt: skip
        assert said in failure(post(http, objects))
        assert get(http, INTO).json() == {}
    assert post(http, made).json()["success_count"] == len(made)
    assert len(ids(get(http, INTO))) == len(made)
    assert post(http, made).json()["success_count"] == len(made)  # the same again adds nothing
    assert len(ids(get(http, f"{INTO}?match[version]=all"))) == len(made)


def test_nobody_writes_over_what_another_peer_told(http: TestClient) -> None:
    post(http, stix.drafts(release()))
    stranger = stix.drafts(retraction())
    for one in stranger:
        one.pop("extensions", None)
        one.pop("created_by_ref", None)
    forged = [one for one in stranger if one["type"] == "indicator"]
    assert "it is by somebody else" in failure(post(http, forged, "reader"))
    changed = [one | {"name": "x"} for one in stix.drafts(release()) if one["type"] == "identity"]
    assert "says something else" in failure(post(http, changed, "reader"))
    assert post(http, stix.drafts(retraction())).json()["failure_count"] == 0


def test_bodies_have_a_bound_and_have_to_be_envelopes(tmp_path: Path) -> None:
    with TestClient(Server(settings(tmp_path, most_bytes=2_000), lambda: TODAY).app()) as http:
        assert post(http, b" " * 2_001).status_code == 413
        for body, status in (
            (b"{", 400),
            (b"[" * 1_500, 400),
            (b"[]", 422),
            (b'{"objects": []}', 422),
            (b'{"objects": 1}', 422),
        ):
            assert post(http, body).status_code == status


def test_a_status_is_for_whoever_added(http: TestClient) -> None:
    told = post(http, stix.drafts(release())).json()
    assert get(http, f"/api/status/{told['id']}/", "writer").json() == told
    assert get(http, f"/api/status/{told['id']}/").status_code == 404


def test_each_addition_is_later_than_the_last_even_if_the_clock_is_set_back(tmp_path: Path) -> None:
    store = Store(tmp_path / "a.db", lambda: datetime(2026, 11, 20, tzinfo=UTC))
    for n in range(3):
        store.add(
            "c",
            stix.drafts(release(id=f"0000000{n}-1111-4111-8111-111111111111", indicators=(indicator(n, "attack"),))),
        )
    rows, _ = store.page("c", Wanted(types=("campaign",)))
    assert [one.added for one in rows] == [f"2026-11-20T00:00:00.00000{n}Z" for n in range(3)]
    rest, _ = store.page("c", Wanted(after=rows[0].added, types=("campaign",)))
    assert [one.id for one in rest] == [one.id for one in rows[1:]]


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"x" * 5_000)
    with pytest.raises(SetupError, match="cannot be opened"):
        Store(tmp_path / "a.db")
    assert moment("2026-11-20T09:00:00.1234567Z") == "2026-11-20T09:00:00.123456Z"


def test_settings_are_read_and_faults_are_named(tmp_path: Path) -> None:
    path = tmp_path / "taxii.toml"

    def fault(text: str) -> str:
        path.write_text(text)
        with pytest.raises(SetupError) as error:
            taxii_settings.read(path)
        return str(error.value)

    peer = f'[peers.a]\nsha256 = "{"0" * 64}"\n'
    collection = f'[collections.c]\nid = "{SHARED}"\ntitle = "C"\n'
    path.write_text(f'store = "x.db"\n{peer}{collection}read = ["a"]\n')
    held = taxii_settings.read(path)
    assert held.store == str(tmp_path / "x.db") and held.collections["c"].read == ("a",)
    assert held.named("c").title == "C"
    with pytest.raises(SetupError, match="There are: c"):
        held.named("d")
    assert "there is no peer 'b'" in fault(f'{collection}read = ["b"]')
    assert "its id is no UUID" in fault(collection.replace(SHARED, "x"))
    assert "64 hexadecimal digits" in fault(peer.replace("000", "z", 1))
    assert "two peers have one key" in fault(peer + peer.replace("peers.a", "peers.b"))
    assert "unknown field `stor`" in fault('stor = "x"')
    assert "are not TOML" in fault("[")
    assert "TLS needs" in fault('[listen]\ncertificate = "x"')
    with pytest.raises(SetupError, match="cannot read"):
        taxii_settings.read(tmp_path / "none.toml")
    assert msgspec.structs.replace(held, peers={}).whose(None, "x") is None
