"""Events of MISP, read with suspicion: releases that were written as such, and what else can be represented."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from clonewatch.sharing.formats import misp, stix, stix_words
from clonewatch.sharing.formats.reading import MOST_OBJECTS, Foreign, LeftOut, Read, check, refused, value, wrong
from clonewatch.sharing.release import Indicator, Release

_MANY = {"families", "attack"}
_NUMBERS = {"revision", "confidence"}
# Types of attributes that a kind of ours looks for.
_TYPES = {"ip-src": "network", "ip-dst": "network", "AS": "network", "ja3-fingerprint-md5": "tls"}


def read_misp(data: bytes, today: str) -> Read:
    """Everything of an event in JSON, as MISP exports it or a feed holds it. today: a day. Raises SetupError."""
    held = value(data)
    event = held.get("Event") if isinstance(held, dict) else None
    if not isinstance(event, dict):
        raise refused("it is no event of MISP")
    objects, attributes = _list(event, "Object"), _list(event, "Attribute")
    if len(objects) + sum(len(_list(one, "Attribute")) for one in objects) + len(attributes) > MOST_OBJECTS:
        raise refused(f"it has more than {MOST_OBJECTS:,} objects and attributes")
    ours = {name: misp.template(name)["uuid"] for name in (misp.RELEASE, misp.INDICATOR)}
    found = {name: [o for o in objects if o.get("template_uuid") == ours[name]] for name in ours}
    rest = [o for o in objects if o.get("template_uuid") not in ours.values()]
    releases = _release(event, found[misp.RELEASE], found[misp.INDICATOR], today)
    whose = _list_of_one(event.get("Orgc")).get("name", "")
    foreign: list[Foreign] = []
    left = [
        LeftOut(str(one.get("uuid"))[:36], f"object {str(one.get('name'))[:40]}", "no type that is taken")
        for one in rest
    ]
    for one in attributes:
        made = _foreign(one, str(whose)[:80], _tlp(event), today)
        if isinstance(made, Foreign):
            foreign.append(made)
        else:
            left.append(LeftOut(str(one.get("uuid"))[:36], f"attribute {str(one.get('type'))[:40]}", made))
    return Read(releases, tuple(foreign), tuple(left))


def _list(held: Mapping[str, Any], name: str) -> Sequence[dict[str, Any]]:
    found = held.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise refused(f"{name} is no list of objects", held.get("uuid"))
    return found


def _list_of_one(held: object) -> dict[str, Any]:
    return held if isinstance(held, dict) else {}


def _release(event: Mapping[str, Any], told: Sequence[Any], given: Sequence[Any], today: str) -> tuple[Release, ...]:
    if not told and not given:
        return ()
    if len(told) != 1:
        raise refused(f"an event has one object {misp.RELEASE}, and this has {len(told)}", event.get("uuid"))
    values = _values(told[0])
    built = _fields(values, misp.FIELDS, told[0])
    built["basis"] = {
        "rule": _one(values, "basis-rule", told[0]),
        "in_force": _one(values, "basis-in-force", told[0]) == "yes",
        "as_of": _one(values, "basis-as-of", told[0]),
        "source": _one(values, "basis-source", told[0]),
    }
    held = [(_number(_one(_values(one), "position", one), one), one) for one in given]
    if sorted(place for place, _ in held) != list(range(_number(_one(values, "indicators", told[0]), told[0]))):
        raise refused("not all of its indicators are here, each once", event.get("uuid"))
    built["indicators"] = [_indicator(one) for _, one in sorted(held, key=lambda pair: pair[0])]
    built["id"] = event.get("uuid")
    try:
        release = msgspec.convert(built, Release)
    except msgspec.ValidationError as error:
        raise refused(f"this is no release: {error}", event.get("uuid")) from None
    check(release, today)
    _agrees(event, release)
    return (release,)


def _agrees(event: Mapping[str, Any], release: Release) -> None:
    """Raises SetupError where the event around a release says something else."""
    if not stix_words.UUID_FORM.fullmatch(release.id):
        raise refused("the UUID of the event is none", release.id)
    if _tlp(event) != release.tlp:
        raise refused(
            f"it is tagged TLP:{_tlp(event) or 'nothing'}, and the release says TLP:{release.tlp}", release.id
        )
    if str(event.get("timestamp")) != str(stix_words.instant(release.made_at, release.revision)):
        raise refused("its time is not that of the revision", release.id)
    wanted = stix.sender_id(release.sender).partition("--")[2]
    if _list_of_one(event.get("Orgc")).get("uuid") != wanted:
        raise refused(f"it is not by {release.sender[:40]!r}, who the release says sent it", release.id)


def _tlp(event: Mapping[str, Any]) -> str:
    """The TLP of an event by its tags; empty where it has none. Raises SetupError for two."""
    names = [str(tag.get("name", "")) for tag in _list(event, "Tag")]
    found = {name[4:].upper() for name in names if name.lower().startswith("tlp:")}
    if len(found) > 1:
        raise refused(f"it is tagged with several TLPs: {', '.join(sorted(found))[:60]}", event.get("uuid"))
    tlp = found.pop() if found else ""
    if tlp and tlp not in stix_words.TLP:
        raise refused(f"there is no TLP:{tlp[:20]} in TLP 2.0", event.get("uuid"))
    return tlp


def _values(held: Mapping[str, Any]) -> dict[str, list[str]]:
    """The values of an object by their names in it."""
    made: dict[str, list[str]] = {}
    for one in _list(held, "Attribute"):
        name, told = one.get("object_relation"), one.get("value")
        if not isinstance(name, str) or not isinstance(told, str | int):
            raise refused("an attribute has no name or no value", held.get("uuid"))
        made.setdefault(name, []).append(str(told))
    return made


def _one(values: Mapping[str, list[str]], name: str, where: Mapping[str, Any]) -> str:
    held = values.get(name, [""])
    if len(held) != 1:
        raise refused(f"{name} is there {len(held)} times", where.get("uuid"))
    return held[0]


def _number(text: str, where: Mapping[str, Any]) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise refused(f"{text[:20]!r} is no number", where.get("uuid"))
    return int(text)


def _fields(values: Mapping[str, list[str]], names: Mapping[str, str], where: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for field, name in names.items():
        if field in _MANY:
            made[field] = values.get(name, [])
        else:
            made[field] = _number(_one(values, name, where), where) if field in _NUMBERS else _one(values, name, where)
    return made


def _indicator(held: Mapping[str, Any]) -> Indicator:
    uuid = held.get("uuid")
    try:
        made = msgspec.convert(_fields(_values(held), misp.OF_INDICATOR, held) | {"id": uuid}, Indicator)
    except msgspec.ValidationError as error:
        raise refused(f"this is no indicator of ours: {error}", uuid) from None
    if not stix_words.UUID_FORM.fullmatch(made.id):
        raise refused("the UUID of an indicator is none", uuid)
    return made


def _foreign(one: Mapping[str, Any], sender: str, tlp: str, today: str) -> Foreign | str:
    kind, told, name = _TYPES.get(str(one.get("type"))), one.get("value"), one.get("uuid")
    if (
        kind is None
        or not isinstance(told, str)
        or not isinstance(name, str)
        or not stix_words.UUID_FORM.fullmatch(name)
    ):
        return "no type that is taken"
    first, last = one.get("first_seen"), one.get("last_seen")
    if not isinstance(first, str) or not isinstance(last, str):
        return "no end"
    if kind == "tls":
        told = f"ja3:{told.lower()}"
    elif one.get("type") == "AS":
        told = f"AS{told.upper().removeprefix('AS')}"
    made = Indicator(name, kind, told, first[:10], last[:10], 0, ())
    if why := wrong(made):
        return why
    withdrawn = one.get("deleted") is True or one.get("to_ids") is False
    return "it ended" if made.until < today and not withdrawn else Foreign(made, sender, tlp, withdrawn)
