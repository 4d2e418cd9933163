"""STIX: the OASIS validator has nothing to say, nothing is lost, and hostile files leave nothing behind."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import stix2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stix2patterns.validator import run_validator
from stix2validator import ValidationOptions, validate_instance
from tests.unit.release_stand import TODAY, VALUES, correction, indicator, release, retraction

from clonewatch.model.errors import SetupError
from clonewatch.sharing.formats import replies, stix, stix_words
from clonewatch.sharing.formats.reading import MOST_BYTES
from clonewatch.sharing.formats.stix_reading import read_objects, read_stix
from clonewatch.sharing.indicators import KINDS
from clonewatch.sharing.release import Release

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "reference" / "stix-extension.schema.json"
WORDS = {"new": release, "correction": correction, "retraction": retraction}
Object = dict[str, Any]


def of_type(made: list[Object], kind: str) -> list[Object]:
    return [one for one in made if one["type"] == kind]


def changed(kind: str, **fields: Any) -> list[Object]:
    """The objects of a release, the first of a type changed."""
    made = stix.drafts(release())
    of_type(made, kind)[0].update(fields)
    return made


@pytest.mark.parametrize("plain", [False, True], ids=["whole", "plain"])
@pytest.mark.parametrize("word", WORDS)
def test_the_validator_of_oasis_finds_no_error_and_has_no_warning(
    word: str, plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was asked"))
    made = json.loads(stix.bundle(stix.objects(WORDS[word](), plain=plain)))
    for strict in (False, True):  # strict makes errors of what only ought to be
        found = validate_instance(made, ValidationOptions(version="2.1", strict=strict))
        assert found.is_valid and not found.warnings and not found.errors


@pytest.mark.parametrize("word", WORDS)
def test_a_release_comes_back_as_it_was(word: str) -> None:
    told = WORDS[word]()
    for data in (stix.bundle(stix.objects(told)), json.dumps({"objects": stix.objects(told)[::-1]}).encode()):
        found = read_stix(data, TODAY)
        assert found.releases == (told,) and not found.indicators and not found.left_out and not found.replies


def test_the_library_of_stix_reads_every_object_strictly() -> None:
    for one in stix.objects(release()):
        assert stix2.parse(one, allow_custom=False, version="2.1")["id"] == one["id"]


def test_every_pattern_is_of_the_grammar_and_says_its_kind_and_value() -> None:
    assert set(VALUES) == set(KINDS)
    for one in release().indicators:
        made = stix_words.pattern(one.kind, one.value)
        assert run_validator(made, stix_version="2.1") == []
        assert stix_words.of_pattern(made) == (one.kind, one.value)


def test_what_the_extension_says_is_of_the_published_schema() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    held = [o["extensions"][stix_words.EXTENSION] for w in WORDS.values() for o in stix.drafts(w())
            if stix_words.EXTENSION in o.get("extensions", {})]  # fmt: skip
    assert len(held) == 3 * (1 + len(release().indicators))
    for one in held:
        check.validate(one)
        assert not check.is_valid(one | {"price": 3})
    assert schema["$id"] == stix_words.SCHEMA_AT and stix_words.EXTENSION in schema["description"]
    assert set(schema["$defs"]["indicator"]["properties"]["kind"]["enum"]) == set(KINDS)
    fields = set(schema["$defs"]["campaign"]["properties"]) - {"extension_type", "indicator_refs"}
    assert fields == {f.name for f in msgspec.structs.fields(Release)} - {"id", "confidence", "indicators"}


def test_every_indicator_has_what_consumers_ask_for() -> None:
    made = stix.objects(release())
    campaign = of_type(made, "campaign")[0]
    linked = {
        o["source_ref"]: o["target_ref"] for o in of_type(made, "relationship") if o["relationship_type"] == "indicates"
    }
    for one in of_type(made, "indicator"):
        assert all(one[n] for n in ("name", "pattern", "pattern_type", "valid_until", "confidence", "description"))
        assert linked[one["id"]] == campaign["id"] and stix_words.TLP["AMBER"] in one["object_marking_refs"]
    assert of_type(made, "note")[0]["object_refs"] == [campaign["id"]]
    assert of_type(made, "sighting")[0]["sighting_of_ref"] == campaign["id"]
    assert {one["id"].partition("--")[2][14] for one in made if one["type"] != "bundle"} == {"4"}


def test_a_correction_is_a_newer_version_of_the_same_objects_even_within_the_hour() -> None:
    first = stix.objects(release())
    second = stix.objects(correction(), earlier=first)
    by_id = {one["id"]: one for one in first}
    assert {one["id"] for one in second} == set(by_id)
    for one in second:
        held = by_id[one["id"]]
        assert one["created"] == held["created"]
        assert one == held or one["modified"] > held["modified"]
    revoked = {one["id"] for one in second if one.get("revoked")}
    assert revoked == {f"indicator--{release().indicators[0].id}"} | {
        o["id"] for o in second if o.get("source_ref") == f"indicator--{release().indicators[0].id}"
    }
    both = read_objects(first + [one for one in second if one not in first], TODAY)
    assert both.releases == (correction(),)


def test_a_retraction_revokes_all_of_it_and_is_taken_after_its_end() -> None:
    made = stix.objects(retraction())
    kinds = {"campaign", "indicator"}
    assert all(one["revoked"] for one in made if one["type"] in kinds)
    assert read_objects(made, "2028-01-01").releases == (retraction(),)


def test_the_plain_profile_has_no_extension_and_says_the_same_in_words() -> None:
    made = stix.objects(release(), plain=True)
    text = json.dumps(made)
    assert stix_words.EXTENSION + '":' not in text and "extension-definition" not in {one["type"] for one in made}
    known = {one["id"] for one in made}
    for one in made:
        refs = [v for n, v in one.items() if n.endswith("_ref")] + [
            v for n, vs in one.items() if n.endswith("_refs") for v in vs
        ]
        assert set(refs) <= known, one["id"]
    campaign, first = of_type(made, "campaign")[0], of_type(made, "indicator")[4]
    assert "Confidence 70 of 100" in campaign["description"] and "clonewatch:revision=1" in campaign["labels"]
    assert "192.88.99.0/24: from 2026-11-17 to 2026-11-25, confidence 60" in first["description"]
    assert "clonewatch:kind=network" in first["labels"]


def test_indicators_of_strangers_are_taken_where_they_can_be_and_else_counted_and_named() -> None:
    made = stix.objects(release(), plain=True)
    found = read_objects(made, TODAY)
    assert not found.releases
    assert [(o.indicator.kind, o.indicator.value, o.sender, o.tlp) for o in found.indicators] == [
        (o.kind, o.value, "provider-a", "AMBER") for o in release().indicators
    ]
    assert found.indicators[0].indicator.until == "2026-11-25"
    file = {**of_type(made, "indicator")[0], "id": "indicator--7e0f3f52-5a7e-4c39-8d43-2f8d5a1f9b11"}
    strange = {
        "a": file | {"pattern": "[file:name = 'a.exe']"},
        "b": file | {"pattern": "[ipv4-addr:value = '192.0.2.7']"},
        "c": file | {"pattern": "rule x {}", "pattern_type": "yara"},
        "d": {n: v for n, v in file.items() if n != "valid_until"},
        "e": file | {"valid_until": "2026-11-19T00:00:00Z"},
        "f": file | {"valid_until": "2099-01-01T00:00:00Z"},
        "g": file | {"confidence": "high"},
    }
    said = [read_objects([one], TODAY) for one in strange.values()]
    assert all(not one.indicators and [left.id for left in one.left_out] == [file["id"]] for one in said)
    assert [one.left_out[0].why for one in said] == [
        "no kind of ours looks for this",
        "a network of at most 24 bits can be told, and this has 32",
        "no pattern of STIX",
        "no end",
        "it ended",
        "it would hold for 26342 days, and one of kind template_family holds for 90 at most",
        "a confidence that is no number",
    ]
    assert read_objects([{"type": "malware", "spec_version": "2.1", "id": file["id"].replace("indicator", "malware")}],
                        TODAY).counts() == {"malware: no type that is taken": 1}  # fmt: skip


MARK = stix_words.TLP["AMBER"]
CLEAR = stix_words.TLP["CLEAR"]
HOSTILE: dict[str, tuple[Callable[[], list[Any]], str]] = {
    "an object twice": (lambda: [*stix.drafts(release()), stix.drafts(release())[-1]], "there twice"),
    "a campaign twice with other words": (
        lambda: [*stix.drafts(release()), {**of_type(stix.drafts(release()), "campaign")[0], "confidence": 1}],
        "there twice",
    ),
    "a circle of relationships": (
        lambda: [
            *stix.drafts(release()),
            {"type": "relationship", "id": "relationship--7e0f3f52-5a7e-4c39-8d43-2f8d5a1f9b12",
             "source_ref": f"campaign--{release().id}", "target_ref": f"indicator--{release().indicators[0].id}"},
        ],
        "in a circle",
    ),
    "a note about itself": (
        lambda: changed("note", object_refs=[of_type(stix.drafts(release()), "note")[0]["id"]]),
        "in a circle",
    ),
    "a wider marking": (lambda: changed("indicator", object_marking_refs=[CLEAR]), "marked TLP:CLEAR, and the release"),
    "no marking": (lambda: changed("campaign", object_marking_refs=[]), "marked TLP:nothing"),
    "two markings": (lambda: changed("campaign", object_marking_refs=[MARK, CLEAR]), "TLP:AMBER and TLP:CLEAR"),
    "a marking that says something else": (
        lambda: [*changed("marking-definition", name="TLP:CLEAR")], "says something else than OASIS"),
    "a marking under another id": (
        lambda: changed("marking-definition", id="marking-definition--7e0f3f52-5a7e-4c39-8d43-2f8d5a1f9b13"),
        "none of OASIS",
    ),
    "another author": (lambda: changed("campaign", created_by_ref=stix.sender_id("provider-b")), "it is not by"),
    "another pattern": (lambda: changed("indicator", pattern="[file:name = 'a']"), "pattern is not what"),
    "a longer life": (lambda: changed("indicator", valid_until="2026-12-25T00:00:00.000Z"), "valid_until is not what"),
    "an indicator that is not there": (
        lambda: [one for one in stix.drafts(release()) if one["id"] != f"indicator--{release().indicators[3].id}"],
        "is not here",
    ),
    "an indicator without its campaign": (
        lambda: [one for one in stix.drafts(release()) if one["type"] != "campaign"], "whose campaign is not here"),
    "an indicator of an older revision": (
        lambda: [one for one in stix.drafts(correction()) if one["type"] != "indicator"]
        + of_type(stix.drafts(release()), "indicator"),
        "and the revision of",
    ),
    "an id of another type": (lambda: changed("campaign", id=f"indicator--{release().id}"), "is none of STIX"),
    "an id that is a number": (lambda: changed("campaign", id=5), "is none of STIX"),
    "a confidence that is text": (lambda: changed("indicator", confidence="60"), "no indicator of ours"),
    "a time that is none": (lambda: changed("campaign", modified="yesterday"), "no moment"),
    "revoked that is a word": (lambda: changed("indicator", revoked="no"), "neither true nor false"),
    "an object that is a list": (lambda: [[]], "an object is a list"),
    "references that are numbers": (lambda: changed("note", object_refs=[1]), "no ids"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_with_its_reason(name: str) -> None:
    made, said = HOSTILE[name]
    with pytest.raises(SetupError, match=re.escape(said)):
        read_objects(made(), TODAY)


def extended(of: str, fields: Object) -> list[Object]:
    """The objects of a release, the extension of the first of a type changed."""
    made = stix.drafts(release())
    of_type(made, of)[0]["extensions"][stix_words.EXTENSION].update(fields)
    return made


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("indicator", {"kind": "account"}, "there is no kind 'account'"),
        ("indicator", {"value": "x"}, "no value of kind"),
        ("indicator", {"price": 3}, "unknown field `price`"),
        ("indicator", {"withdrawn": "mistake"}, "revoked is not what"),
        ("indicator", {"until": "2031-01-01"}, "holds for 90 at most"),
        ("campaign", {"customer": "x"}, "unknown field `customer`"),
        ("campaign", {"statement": "All refuse them"}, "decides alone"),
        ("campaign", {"until": "2026-11-19"}, "it ended on 2026-11-19"),
        ("campaign", {"tlp": "CLEAR"}, "the release says TLP:CLEAR"),
        ("campaign", {"revision": 2}, "and the revision of"),
        ("campaign", {"revision": 9999}, "revisions from 1 to"),
        ("campaign", {"sender": "provider-b"}, "it is not by"),
        ("campaign", {"what": "retraction"}, "revoked is not what"),
        ("campaign", {"made_at": "soon"}, "no whole hour"),
        ("campaign", {"indicator_refs": "all"}, "list of indicators is none"),
        ("campaign", {"extension_type": "new-sdo"}, "no property-extension"),
    ],
)
def test_an_extension_that_does_not_agree_is_refused(kind: str, fields: Object, said: str) -> None:
    with pytest.raises(SetupError, match=re.escape(said)):
        read_objects(extended(kind, fields), TODAY)


def test_what_is_huge_deep_or_not_json_is_refused() -> None:
    for data, said in (
        (b" " * (MOST_BYTES + 1), "bytes"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"objects": [' + b"{}," * 40_000 + b"{}]}", "objects; at most"),
        (b"\xff", "UTF-8"),
        (b"[]", "neither a bundle"),
        (b'{"type": "report", "objects": []}', "not a bundle"),
    ):
        with pytest.raises(SetupError, match=said):
            read_stix(data, TODAY)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just(MARK) | st.just("indicator"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_one_property_is_the_file_is_read_whole_or_refused(data: st.DataObject) -> None:
    made = copy.deepcopy(_DRAFTS)
    one = data.draw(st.sampled_from(made))
    inner = one["extensions"][stix_words.EXTENSION] if stix_words.EXTENSION in one.get("extensions", {}) else one
    place = data.draw(st.sampled_from([one, inner]))
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(_JSON)
    try:
        found = read_objects(made, TODAY)
    except SetupError as error:
        assert error.what.startswith(("refused", "a release has", "made_at", "this is no day"))
    else:
        assert [len(r.indicators) for r in found.releases] in ([len(release().indicators)], [])


_DRAFTS = stix.drafts(release())


def test_a_kind_that_there_is_not_is_not_written() -> None:
    for wrong in (indicator(1, "account", "x"), indicator(1, "network", "192.0.2.7/32")):
        with pytest.raises(SetupError, match="not an indicator"):
            stix.objects(release(indicators=(wrong,)))


def test_sightings_and_dissent_go_back_and_forth() -> None:
    about = f"indicator--{release().indicators[0].id}"
    told = [
        replies.Reply("provider-b", about, replies.SEEN, "2026-11-21"),
        replies.Reply("provider-c", about, "strongly-disagree", "2026-11-22", "not_specific"),
    ]
    made = {one["id"]: one for reply in told for one in replies.write(reply)}
    for one in made.values():
        found = validate_instance(one, ValidationOptions(version="2.1", strict=True))
        assert found.is_valid and not found.warnings, found.errors
    assert read_objects([*stix.drafts(release()), *made.values()], TODAY).replies == tuple(told)
    with pytest.raises(SetupError, match="a reply says one of"):
        replies.write(told[0]._replace(says="ban"))


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    count = stix.write_stix(release(), tmp_path / "a.json")
    assert count == 39 and read_stix((tmp_path / "a.json").read_bytes(), TODAY).releases == (release(),)
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
