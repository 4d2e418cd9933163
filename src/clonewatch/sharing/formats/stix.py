"""A release as STIX 2.1 objects: with our property extension nothing is lost, and a plain profile has none of it.

The same campaign and indicators have the same ids in every revision. A correction is a newer version of all of them, in
which what holds no more is `revoked`; a retraction revokes them all. Reading them back is in `stix_reading.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import msgspec

from clonewatch.model import whole_files
from clonewatch.model.errors import SetupError
from clonewatch.sharing import indicators
from clonewatch.sharing.formats import stix_words as words
from clonewatch.sharing.formats.libraries import needed
from clonewatch.sharing.release import Indicator, Release, encoded

Object = dict[str, Any]
# Fields that a campaign has as properties of STIX, or that are objects of their own.
_ELSEWHERE = ("id", "confidence", "indicators")


def write_stix(release: Release, path: Path, *, plain: bool = False, earlier: Iterable[Object] = ()) -> int:
    """Write a release as a bundle, completely or not at all; the number of its objects. Raises SetupError, OSError."""
    made = objects(release, plain=plain, earlier=earlier)
    whole_files.write(path, bundle(made), what="the bundle")
    return len(made)


def bundle(made: list[Object]) -> bytes:
    """Objects as a bundle, whose id follows from what is in it. TAXII takes them bare."""
    named = uuid5(NAMESPACE_URL, json.dumps(made, sort_keys=True))
    held = {"type": "bundle", "id": words.made_id("bundle", str(named)), "objects": made}
    return (json.dumps(held, indent=2, sort_keys=True) + "\n").encode()


def objects(release: Release, *, plain: bool = False, earlier: Iterable[Object] = ()) -> list[Object]:
    """The bare objects of a release, checked by the library of STIX. Raises SetupError.

    plain: without our extension, for receivers that drop objects with properties they do not know; what the extension
    says is in descriptions and labels then as before, but only with it can a release be read back. earlier: objects of
    an earlier revision, whose times of making stay.
    """
    found = drafts(release, earlier)
    if plain:
        found = [_plain(one) for one in found if one["id"] not in (words.EXTENSION, words.AUTHOR)]
    _check(found)
    return found


def drafts(release: Release, earlier: Iterable[Object] = ()) -> list[Object]:
    """The objects as they would be written, before the library looks at them. Raises SetupError."""
    check_kinds(release)
    at = words.moment(release.made_at, release.revision)
    made = {str(one.get("id")): str(one.get("created")) for one in earlier if "modified" in one}
    found = [*_frame(release), *_campaign(release, at, made)]
    for one in release.indicators:
        found += _indicator(release, one, at, made)
    return found


def check_kinds(release: Release) -> None:
    """Raises SetupError for an indicator whose value is none of its kind."""
    for one in release.indicators:
        if why := indicators.wrong(one.kind, one.value):
            raise SetupError(f"not an indicator: {why}", where=one.id)


def sender_id(sender: str) -> str:
    """The identity of a provider, which follows from its name."""
    return words.made_id("identity", sender)


def statement_id(text: str) -> str:
    """The marking that holds a statement."""
    return words.made_id("marking-definition", text)


def statements(release: Release) -> tuple[str, str]:
    """What is marked as statements: each decides alone, and the permissible actions."""
    return release.statement, f"PAP:{release.pap}"


def _frame(release: Release) -> list[Object]:
    """What a release refers to and what never changes."""
    author = {"name": "Clonewatch", "identity_class": "system", "description": "Author of the extension"}
    sender = {
        "name": release.sender,
        "identity_class": "organization",
        "description": "A provider of an LLM API, by the name that its recipients know",
    }
    schema = {
        "created_by_ref": words.AUTHOR,
        "name": "Clonewatch release",
        "description": "What a release says of a campaign and its indicators beyond STIX",
        "schema": words.SCHEMA_AT,
        "version": words.EXTENSION_VERSION,
        "extension_types": ["property-extension"],
    }
    told = [_made("marking-definition", statement_id(text), _statement(text)) for text in statements(release)]
    classes = [_attack(one) for one in release.attack]
    return [
        _fixed("identity", words.AUTHOR, author),
        _fixed("identity", sender_id(release.sender), sender),
        _fixed("extension-definition", words.EXTENSION, schema),
        words.marking(release.tlp),
        *told,
        *classes,
    ]


def _statement(text: str) -> Object:
    return {
        "created": words.FIXED,
        "definition_type": "statement",
        "definition": {"statement": text},
        "name": text[:80],
    }


def _attack(name: str) -> Object:
    source = "mitre-atlas" if name.startswith("AML.") else "clonewatch"
    told = {
        "name": name,
        "description": "A technique of MITRE ATLAS"
        if source == "mitre-atlas"
        else "A class of attack without a place there",
        "external_references": [{"source_name": source, "external_id": name}],
        "created_by_ref": words.AUTHOR,
    }
    return _fixed("attack-pattern", words.made_id("attack-pattern", name), told)


def _campaign(release: Release, at: str, made: Mapping[str, str]) -> list[Object]:
    whole = f"campaign--{release.id}"
    name = f"Extraction campaign {release.id[:8]}"
    told: Object = {
        "name": name,
        "description": _says(release),
        "labels": _labels(release),
        "confidence": release.confidence,
    } | ({"revoked": True} if release.what == "retraction" else {})
    fields = {
        n: v for n, v in msgspec.json.decode(encoded(release)).items() if n not in _ELSEWHERE and v not in ("", [])
    }
    refs = [f"indicator--{one.id}" for one in release.indicators]
    told["extensions"] = _extension(fields | ({"indicator_refs": refs} if refs else {}))
    since = [one.since for one in release.indicators]
    seen = {"first_seen": words.begins(min(since))} if since else {}
    where = {"sighting_of_ref": whole, "where_sighted_refs": [sender_id(release.sender)], **seen}
    where |= {"description": "The sender saw this campaign"}
    note = {"abstract": "Terms of this release", "content": _terms(release), "object_refs": [whole]}
    note |= {"authors": [release.sender]}

    def versioned(kind: str, name: str, held: Object) -> Object:
        return _version(release, kind, name, held, at, made)

    return [
        versioned("campaign", whole, told),
        versioned("note", words.made_id("note", release.id), note),
        versioned("sighting", words.made_id("sighting", release.id), where),
        *(
            versioned("relationship", _link(release.id, one), _between("uses", whole, _target(one)))
            for one in release.attack
        ),
    ]


def _indicator(release: Release, one: Indicator, at: str, made: Mapping[str, str]) -> list[Object]:
    name = f"indicator--{one.id}"
    kind = indicators.KINDS[one.kind]
    held = gone(release, one)
    told: Object = {
        "name": f"{kind.says}: {one.value[:64]}",
        "description": _says_of(release, one),
        "indicator_types": ["malicious-activity"],
        "pattern": words.pattern(one.kind, one.value),
        "pattern_type": "stix",
        "valid_from": words.begins(one.since),
        "valid_until": words.ends(one.until),
        "confidence": one.confidence,
        "labels": sorted({f"clonewatch:kind={one.kind}", *(f"clonewatch:evidence={f}" for f in one.families)}),
    } | ({"revoked": True} if held else {})
    fields: Object = {"kind": one.kind, "value": one.value, "since": one.since, "until": one.until}
    fields |= {"families": list(one.families)} if one.families else {}
    fields |= {"withdrawn": one.withdrawn} if one.withdrawn else {}
    told["extensions"] = _extension(fields)
    link = _between("indicates", name, f"campaign--{release.id}") | ({"revoked": True} if held else {})
    return [
        _version(release, "indicator", name, told, at, made),
        _version(release, "relationship", _link(release.id, one.id), link, at, made),
    ]


def gone(release: Release, one: Indicator) -> str:
    """Why an indicator of a release holds no more; empty while it does."""
    return one.withdrawn or (release.reason or "retracted" if release.what == "retraction" else "")


def _link(release: str, to: str) -> str:
    return words.made_id("relationship", release, to)


def _target(attack: str) -> str:
    return words.made_id("attack-pattern", attack)


def _between(word: str, source: str, target: str) -> Object:
    said = {"indicates": "Seen in this campaign", "uses": "How the campaign goes about it"}[word]
    return {"relationship_type": word, "source_ref": source, "target_ref": target, "description": said}


def _extension(fields: Mapping[str, Any]) -> Object:
    return {words.EXTENSION: {"extension_type": "property-extension", **fields}}


def _made(kind: str, name: str, held: Object) -> Object:
    return {"type": kind, "spec_version": "2.1", "id": name, **held}


def _fixed(kind: str, name: str, held: Object) -> Object:
    return _made(kind, name, {"created": words.FIXED, "modified": words.FIXED, **held})


def _version(release: Release, kind: str, name: str, held: Object, at: str, made: Mapping[str, str]) -> Object:
    marks = [words.TLP[release.tlp], *map(statement_id, statements(release))]
    born = {"created": made.get(name, at), "modified": at, "created_by_ref": sender_id(release.sender)}
    return _made(kind, name, {**born, "object_marking_refs": marks, **held})


def _says(release: Release) -> str:
    evidence = ", ".join(release.families) or "not told"
    word = {"new": "First word", "correction": "Correction", "retraction": "Retraction: nothing of it holds any more"}
    return (
        f"Accounts of an LLM API that act as one operator, as {release.sender} sees it. {word[release.what]}, revision "
        f"{release.revision}. Confidence {release.confidence} of 100; kinds of evidence: {evidence}. Holds until "
        f"{release.until}. {release.statement}"
    )


def _says_of(release: Release, one: Indicator) -> str:
    held = gone(release, one)
    return (
        f"{one.kind} {one.value}: from {one.since} to {one.until}, confidence {one.confidence} of 100; kinds of "
        f"evidence: {', '.join(one.families) or 'not told'}." + (f" Withdrawn: {held}." if held else "")
    )


def _labels(release: Release) -> list[str]:
    basis = f"{release.basis.rule},{'in-force' if release.basis.in_force else 'not-in-force'},{release.basis.as_of}"
    plain = {"revision": release.revision, "what": release.what, "profile": release.profile, "pap": release.pap}
    told = [f"clonewatch:{name}={value}" for name, value in plain.items()]
    told += [f"clonewatch:evidence={one}" for one in release.families]
    return sorted({*told, f"clonewatch:basis={basis}", f"clonewatch:until={release.until}"})


def _terms(release: Release) -> str:
    basis = release.basis
    force = "in force" if basis.in_force else "not in force"
    told = [
        release.statement,
        f"TLP:{release.tlp}, PAP:{release.pap}, profile {release.profile}, until {release.until}.",
        f"Legal basis: {basis.rule}, {force} as of {basis.as_of} ({basis.source}).",
    ]
    return "\n".join(told + ([f"Reason: {release.reason}."] if release.reason else []))


def _plain(one: Object) -> Object:
    """An object without our extension; an author who is not there is not referred to."""
    held = {n: v for n, v in one.items() if n != "extensions" or words.EXTENSION not in v}
    return {n: v for n, v in held.items() if n != "created_by_ref" or v != words.AUTHOR}


def _check(found: list[Object]) -> None:
    """Have the library of STIX read every object. Raises SetupError."""
    stix2 = needed("stix2")
    for one in found:
        try:
            stix2.parse(one, allow_custom=False, version="2.1")
        except (stix2.exceptions.STIXError, ValueError) as error:
            raise SetupError(f"this is no STIX 2.1: {str(error)[:300]}", where=str(one["id"])) from error
