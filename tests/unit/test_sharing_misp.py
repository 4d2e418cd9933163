"""MISP: PyMISP builds and reads it offline, the same UUIDs as in STIX, a feed, and nothing is lost or half taken."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymisp import MISPEvent
from pymisp.tools import feed_meta_generator
from tests.unit.release_stand import TODAY, correction, indicator, release, retraction

from clonewatch.model.errors import InputError, SetupError
from clonewatch.sharing.formats import misp, stix
from clonewatch.sharing.formats.misp_reading import read_misp
from clonewatch.sharing.release import Release

WORDS = {"new": release, "correction": correction, "retraction": retraction}
Event = dict[str, Any]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was asked"))


def told(word: Callable[[], Release] = release) -> Event:
    made: Event = json.loads(misp.event(word()).to_json())
    return made


def read(event: object) -> Any:
    return read_misp(json.dumps({"Event": event}).encode(), TODAY)


@pytest.mark.parametrize("word", WORDS)
def test_a_release_comes_back_as_it_was_from_a_file_and_from_a_feed(word: str, tmp_path: Path) -> None:
    whole = WORDS[word]()
    misp.write_misp(whole, tmp_path / "event.json")
    misp.write_feed(whole, tmp_path / "feed")
    for path in (tmp_path / "event.json", tmp_path / "feed" / f"{whole.id}.json"):
        found = read_misp(path.read_bytes(), TODAY)
        assert found.releases == (whole,) and not found.indicators and not found.left_out
        loaded = MISPEvent()
        loaded.load_file(str(path))
        assert loaded.uuid == whole.id and len(loaded.objects) == 1 + len(whole.indicators)


def test_the_ids_are_those_of_stix() -> None:
    event = told()
    stixes = {one["id"].partition("--")[2]: one["type"] for one in stix.drafts(release())}
    assert stixes[event["uuid"]] == "campaign" and stixes[event["Orgc"]["uuid"]] == "identity"
    held = [one["uuid"] for one in event["Object"] if one["name"] == misp.INDICATOR]
    assert held == [one.id for one in release().indicators] and {stixes[one] for one in held} == {"indicator"}


def test_a_feed_has_the_manifest_and_hashes_that_pymisp_makes_of_it(tmp_path: Path) -> None:
    other = release(id="7e0f3f52-5a7e-4c39-8d43-2f8d5a1f9b99", indicators=(indicator(500, "network", "AS64501"),))
    for one in (release(), other, correction()):
        misp.write_feed(one, tmp_path)
    manifest = json.loads((tmp_path / misp.MANIFEST).read_text())
    hashes = (tmp_path / misp.HASHES).read_text().splitlines()
    assert set(manifest) == {release().id, other.id}
    feed_meta_generator(tmp_path)
    remade = json.loads((tmp_path / misp.MANIFEST).read_text())
    assert sorted(hashes) == sorted((tmp_path / misp.HASHES).read_text().splitlines())
    for uuid, held in manifest.items():
        assert {n: v for n, v in held.items() if n != "Tag"} == {n: v for n, v in remade[uuid].items() if n != "Tag"}
        assert [t["name"] for t in held["Tag"]] == [t["name"] for t in remade[uuid]["Tag"]]


def test_a_manifest_that_is_none_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / misp.MANIFEST).write_text("[]")
    with pytest.raises(InputError, match="no object"):
        misp.write_feed(release(), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [misp.MANIFEST]


def test_only_what_names_infrastructure_correlates_and_is_looked_for_while_it_holds() -> None:
    def sought(event: Event) -> dict[str, tuple[str, bool]]:
        held = [a for o in event["Object"] for a in o["Attribute"] if not a["disable_correlation"]]
        return {a["value"]: (a["type"], a["to_ids"]) for a in held}

    assert sought(told()) == {
        "192.88.99.0/24": ("ip-src", True),
        "64500": ("AS", True),
        "2620:4f:8000::/48": ("ip-src", True),
        "disposable.example": ("domain", True),
        "c3" * 16: ("ja3-fingerprint-md5", True),
    }
    assert {held for _, held in sought(told(retraction)).values()} == {False}


def test_a_later_word_replaces_the_attributes_of_an_earlier_one() -> None:
    def one_valued(event: Event) -> dict[str, str]:
        return {a["uuid"]: a["object_relation"] for o in event["Object"] for a in o["Attribute"]}

    first, second = told(), told(correction)
    assert int(second["timestamp"]) > int(first["timestamp"])
    added = set(one_valued(second).items()) - set(one_valued(first).items())
    assert sorted(name for _, name in added) == ["reason", "withdrawn"]
    assert not set(one_valued(first)) - set(one_valued(second))


def test_the_templates_are_of_misp_and_know_every_field() -> None:
    for name in (misp.RELEASE, misp.INDICATOR):
        held = misp.template(name)
        assert held["name"] == name and set(held["required"]) <= set(held["attributes"])
        types = {one["misp-attribute"] for one in held["attributes"].values()}
        assert types <= set(MISPEvent().describe_types["types"])
    assert set(misp.FIELDS.values()) <= set(misp.template(misp.RELEASE)["attributes"])
    assert set(misp.OF_INDICATOR.values()) <= set(misp.template(misp.INDICATOR)["attributes"])


def test_pymisp_refuses_an_object_without_what_its_template_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(misp, "OF_INDICATOR", {"kind": "kind"})
    with pytest.raises(SetupError, match=r"(?i)required"):
        misp.event(release())


def of(event: Event, name: str, place: int = 0) -> Event:
    """An object of an event."""
    held: Event = [one for one in event["Object"] if one["name"] == name][place]
    return held


def set_to(held: Event, name: str, value: object) -> None:
    next(a for a in held["Attribute"] if a["object_relation"] == name)["value"] = value


HOSTILE: dict[str, tuple[Callable[[Event], object], str]] = {
    "forged tag": (lambda e: e.update(Tag=[{"name": "tlp:clear"}]), "tagged TLP:CLEAR, and the release says"),
    "two tags": (lambda e: e["Tag"].append({"name": "TLP:Clear"}), "several TLPs"),
    "unknown tag": (lambda e: e.update(Tag=[{"name": "tlp:ex:chr"}]), "no TLP:EX:CHR"),
    "forged author": (lambda e: e["Orgc"].update(uuid="7e0f3f52-5a7e-4c39-8d43-2f8d5a1f9b10"), "it is not by"),
    "no author": (lambda e: e.update(Orgc=None), "it is not by"),
    "another time": (lambda e: e.update(timestamp="1"), "its time is not"),
    "a lost indicator": (lambda e: e["Object"].pop(), "not all of its indicators"),
    "an indicator twice": (lambda e: e["Object"].append(e["Object"][-1]), "not all of its indicators"),
    "two releases": (lambda e: e["Object"].append(of(e, misp.RELEASE)), "has one object"),
    "no release": (lambda e: e["Object"].pop(0), "has one object"),
    "an unknown kind": (lambda e: set_to(of(e, misp.INDICATOR), "kind", "account"), "there is no kind"),
    "one host": (lambda e: set_to(of(e, misp.INDICATOR, 4), "value", "192.0.2.7/32"), "at most 24 bits"),
    "no number": (lambda e: set_to(of(e, misp.INDICATOR), "confidence", "high"), "is no number"),
    "a value twice": (
        lambda e: of(e, misp.RELEASE)["Attribute"].append({"object_relation": "what", "value": "new"}), "2 times"),
    "an ended release": (lambda e: set_to(of(e, misp.RELEASE), "until", "2026-11-19"), "it ended"),
    "one that never ends": (lambda e: set_to(of(e, misp.RELEASE), "until", "2099-01-01"), "366 at most"),
    "a common decision": (lambda e: set_to(of(e, misp.RELEASE), "statement", "All refuse"), "decides alone"),
    "a list for objects": (lambda e: e.update(Object="x"), "no list of objects"),
    "an id that is none": (lambda e: of(e, misp.INDICATOR).update(uuid="x"), "UUID of an indicator"),
    "too many": (lambda e: e.update(Attribute=[{}] * 40_001), "more than 40,000"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_event_is_refused_with_its_reason(name: str) -> None:
    change, said = HOSTILE[name]
    event = told()
    change(event)
    with pytest.raises(SetupError, match=re.escape(said)):
        read(event)


def test_attributes_of_strangers_are_taken_where_they_can_be_and_else_counted() -> None:
    seen = {"first_seen": "2026-11-17T00:00:00+00:00", "last_seen": "2026-11-25T23:59:59+00:00"}
    held = [
        {"type": "ip-dst", "value": "192.88.99.0/24", "to_ids": True, **seen},
        {"type": "AS", "value": "64500", "to_ids": False, **seen},
        {"type": "ja3-fingerprint-md5", "value": "C3" * 16, "to_ids": True, **seen},
        {"type": "ip-src", "value": "192.0.2.7", "to_ids": True, **seen},
        {"type": "email", "value": "a@b.example", **seen},
        {"type": "AS", "value": "64501"},
    ]
    for n, one in enumerate(held):
        one["uuid"] = f"0000000{n}-1111-4111-8111-111111111111"
    found = read(
        {"Attribute": held, "Orgc": {"name": "other"}, "Tag": [{"name": "tlp:green"}], "Object": [{"name": "file"}]}
    )
    assert [(o.indicator.kind, o.indicator.value, o.revoked, o.sender, o.tlp) for o in found.indicators] == [
        ("network", "192.88.99.0/24", False, "other", "GREEN"),
        ("network", "AS64500", True, "other", "GREEN"),
        ("tls", "ja3:" + "c3" * 16, False, "other", "GREEN"),
    ]
    assert [one.kind for one in found.left_out] == [
        "object file",
        "attribute ip-src",
        "attribute email",
        "attribute AS",
    ]
    assert found.counts()["attribute AS: no end"] == 1
    for no_event in (b"[]", b'{"Event": 3}', b"x"):
        with pytest.raises(SetupError, match="refused"):
            read_misp(no_event, TODAY)
