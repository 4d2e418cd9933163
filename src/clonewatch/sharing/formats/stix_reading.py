"""STIX 2.1 of others, read with suspicion: whole releases, or a reason why nothing of it was taken.

A file may be hostile. It is bounded before it is parsed, patterns are compared and never interpreted, references are
followed by one step, and what our extension says has to agree with what the objects around it say.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

import msgspec

from clonewatch.sharing.formats import replies, stix, stix_words
from clonewatch.sharing.formats.reading import (
    MOST_OBJECTS,
    Foreign,
    LeftOut,
    Read,
    check,
    plain_text,
    refused,
    value,
    wrong,
)
from clonewatch.sharing.release import Indicator, Release

Object = Mapping[str, Any]
_ID = re.compile(
    r"([a-z0-9]{1,3}[a-z0-9-]{0,246})--[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z")
_MOST_TEXT = 4_000
# Types of which nothing is taken and nothing is missed: they are about the others, or about what is taken.
_FRAME = {"identity", "extension-definition", "marking-definition", "relationship", "note", "sighting", "opinion"}
_TLP_OF = {name: tlp for tlp, name in stix_words.TLP.items()}


def read_stix(data: bytes, today: str) -> Read:
    """Everything of a bundle, or of a TAXII envelope. today: a day such as 2026-10-01. Raises SetupError."""
    held = value(data)
    if not isinstance(held, dict) or not isinstance(held.get("objects"), list):
        raise refused("it is neither a bundle of STIX nor an envelope of TAXII")
    if held.get("type", "bundle") != "bundle":
        raise refused(f"it is a {str(held.get('type'))[:40]!r}, not a bundle")
    return read_objects(held["objects"], today)


def read_objects(given: Sequence[Any], today: str) -> Read:
    """Everything of bare objects. today: a day. Raises SetupError; nothing of refused objects is taken."""
    if len(given) > MOST_OBJECTS:
        raise refused(f"it has {len(given):,} objects; at most {MOST_OBJECTS:,} are read")
    held = _latest([_shaped(one) for one in given])
    _no_circles(held.values())
    for one in held.values():
        if one["type"] == "marking-definition":
            _check_marking(one)
    campaigns = [one for one in held.values() if one["type"] == "campaign" and _own(one) is not None]
    releases = [_release(one, held, today) for one in campaigns]
    taken = {f"indicator--{one.id}" for release in releases for one in release.indicators}
    taken |= {str(one["id"]) for one in campaigns}
    taken |= {stix_words.made_id("attack-pattern", name) for release in releases for name in release.attack}
    foreign: list[Foreign] = []
    left: list[LeftOut] = []
    for name, one in held.items():
        if name in taken or one["type"] in _FRAME:
            continue
        if _own(one) is not None:
            raise refused("it is part of a release whose campaign is not here", name)
        made = _foreign(one, held, today) if one["type"] == "indicator" else "no type that is taken"
        if isinstance(made, str):
            left.append(LeftOut(name, one["type"], made))
        else:
            foreign.append(made)
    said = replies.read(held, {release.sender for release in releases})
    return Read(tuple(releases), tuple(foreign), tuple(left), tuple(said))


def _shaped(one: object) -> Object:
    """An object, if it has the outside of one. Raises SetupError."""
    if not isinstance(one, dict):
        raise refused(f"an object is a {type(one).__name__}")
    name, kind = one.get("id"), one.get("type")
    found = _ID.fullmatch(name) if isinstance(name, str) else None
    if found is None or found[1] != kind:
        raise refused(f"the id of a {str(kind)[:40]!r} is none of STIX", name)
    if one.get("spec_version", "2.1") != "2.1":
        raise refused("it is not of STIX 2.1", name)
    for field in ("created", "modified", "valid_from", "valid_until"):
        if field in one and not (isinstance(one[field], str) and _MOMENT.fullmatch(one[field])):
            raise refused(f"{field} is no moment such as 2026-10-01T09:00:00Z", name)
    if not isinstance(one.get("revoked", False), bool):
        raise refused("revoked is neither true nor false", name)
    return one


def _latest(given: Iterable[Object]) -> dict[str, Object]:
    """The newest version of each object. Raises SetupError for one that is there twice."""
    versions: dict[str, dict[str, Object]] = defaultdict(dict)
    for one in given:
        at = str(one.get("modified", one.get("created", "")))
        if at in versions[one["id"]]:
            raise refused(f"the object is there twice with one time {at!r}", one["id"])
        versions[one["id"]][at] = one
    return {name: held[max(held, key=_sortable)] for name, held in versions.items()}


def _sortable(moment: str) -> str:
    """A moment so that later ones sort later, whatever fraction of a second is written."""
    return moment.removesuffix("Z").ljust(30, "0") if "." in moment else (moment.removesuffix("Z") + ".").ljust(30, "0")


def _no_circles(held: Iterable[Object]) -> None:
    """Raises SetupError where objects contain or explain each other in a circle."""
    graph: dict[str, set[str]] = {}
    for one in held:
        refs = one.get("object_refs", [])
        ends = [one.get("source_ref"), one.get("target_ref")]
        if not isinstance(refs, list) or not all(isinstance(ref, str) for ref in (*refs, *filter(None, ends))):
            raise refused("its references are no ids", one["id"])
        if refs:
            graph.setdefault(one["id"], set()).update(refs)
        if all(ends):
            graph.setdefault(str(ends[0]), set()).add(str(ends[1]))
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise refused("objects refer to each other in a circle", " -> ".join(error.args[1][:5])) from None


def _check_marking(one: Object) -> None:
    """Raises SetupError for a TLP 2.0 marking that is not word for word that of OASIS."""
    extension = one.get("extensions")
    claims = isinstance(extension, dict) and stix_words.TLP_EXTENSION in extension
    tlp = _TLP_OF.get(one["id"])
    if tlp is None and claims:
        raise refused("a marking claims to be of TLP 2.0 under an id that is none of OASIS", one["id"])
    wanted = stix_words.marking(tlp) if tlp else {}
    if tlp and any(plain_text(one.get(name)) != plain_text(wanted[name]) for name in ("name", "extensions")):
        raise refused(f"the marking TLP:{tlp} says something else than OASIS", one["id"])


def _tlp(one: Object) -> str:
    """The marking of an object; empty where it has none. Raises SetupError for two."""
    marks = one.get("object_marking_refs", [])
    if not isinstance(marks, list) or not all(isinstance(ref, str) for ref in marks):
        raise refused("its markings are no ids", one["id"])
    found = [_TLP_OF[ref] for ref in marks if ref in _TLP_OF]
    if len(found) > 1:
        raise refused(f"it is marked {' and '.join(f'TLP:{tlp}' for tlp in found)}", one["id"])
    return found[0] if found else ""


def _own(one: Object) -> dict[str, Any] | None:
    """What our extension says of an object; None where it is not there. Raises SetupError."""
    extensions = one.get("extensions", {})
    if not isinstance(extensions, dict):
        raise refused("its extensions are no object", one["id"])
    if stix_words.EXTENSION not in extensions or one["type"] == "extension-definition":
        return None
    held = extensions[stix_words.EXTENSION]
    if not isinstance(held, dict) or held.get("extension_type") != "property-extension":
        raise refused("our extension is no property-extension", one["id"])
    return {name: told for name, told in held.items() if name != "extension_type"}


def _release(campaign: Object, held: Mapping[str, Object], today: str) -> Release:
    """The release that a campaign is of. Raises SetupError where anything in it does not agree."""
    name = campaign["id"]
    fields = _own(campaign) or {}
    refs = fields.pop("indicator_refs", [])
    if not isinstance(refs, list) or len(set(map(str, refs))) != len(refs):
        raise refused("its list of indicators is none", name)
    found = [_indicator(held.get(str(ref)), str(ref), campaign) for ref in refs]
    built = {"families": [], "attack": [], **fields, "indicators": found}
    built |= {"id": name.partition("--")[2], "confidence": campaign.get("confidence")}
    try:
        release: Release = msgspec.convert(built, Release, from_attributes=True)
    except msgspec.ValidationError as error:
        raise refused(f"this is no release: {error}", name) from None
    check(release, today)
    at = stix_words.moment(release.made_at, release.revision)
    for one in (campaign, *(held[f"indicator--{i.id}"] for i in found)):
        _agrees(one, release, at)
    expected = {one["id"]: one for one in stix.drafts(release)}
    for one in [held[f"indicator--{i.id}"] for i in found] + [campaign]:
        for field in ("pattern", "pattern_type", "valid_from", "valid_until", "revoked", "confidence"):
            if one.get(field) != expected[one["id"]].get(field):
                raise refused(f"{field} is not what our extension says", one["id"])
    return release


def _indicator(one: Object | None, name: str, campaign: Object) -> Indicator:
    if one is None:
        raise refused(f"an indicator of the release is not here: {name[:80]}", campaign["id"])
    fields = _own(one)
    if fields is None:
        raise refused("an indicator of a release lacks our extension", name)
    built = {"families": [], **fields, "id": name.partition("--")[2], "confidence": one.get("confidence")}
    try:
        return msgspec.convert(built, Indicator)
    except msgspec.ValidationError as error:
        raise refused(f"this is no indicator of ours: {error}", name) from None


def _agrees(one: Object, release: Release, at: str) -> None:
    """Raises SetupError where an object is not of this revision, of its sender, or under its marking."""
    if one.get("modified") != at:
        raise refused(f"it is of {one.get('modified')}, and the revision of {at}", one["id"])
    if one.get("created_by_ref") != stix.sender_id(release.sender):
        raise refused(f"it is not by {release.sender[:40]!r}, who the release says sent it", one["id"])
    if (tlp := _tlp(one)) != release.tlp:
        raise refused(f"it is marked TLP:{tlp or 'nothing'}, and the release says TLP:{release.tlp}", one["id"])


def _foreign(one: Object, held: Mapping[str, Object], today: str) -> Foreign | str:
    """An indicator of a stranger, or why it cannot be represented. Raises SetupError for a forged marking."""
    tlp = _tlp(one)
    pattern, begins, confidence = one.get("pattern"), one.get("valid_from"), one.get("confidence", 0)
    if not isinstance(pattern, str) or one.get("pattern_type") != "stix" or not isinstance(begins, str):
        return "no pattern of STIX"
    if len(pattern) > _MOST_TEXT:
        return "a pattern that is too long"
    found = stix_words.of_pattern(pattern)
    if isinstance(found, str):
        return found
    ends = one.get("valid_until")
    if not isinstance(ends, str):
        return "no end"
    if not isinstance(confidence, int) or isinstance(confidence, bool):
        return "a confidence that is no number"
    made = Indicator(one["id"].partition("--")[2], *found, begins[:10], _last_day(ends), confidence, ())
    if why := wrong(made):
        return why
    if made.until < today and one.get("revoked") is not True:
        return "it ended"
    author = held.get(str(one.get("created_by_ref")), {}).get("name", "")
    return Foreign(made, author[:80] if isinstance(author, str) else "", tlp, one.get("revoked") is True)


def _last_day(ends: str) -> str:
    """The last day on which something holds that holds no more from a moment on."""
    return stix_words.day_before(ends[:10]) if ends[10:19] == "T00:00:00" else ends[:10]
