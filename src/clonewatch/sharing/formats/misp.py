"""A release as a MISP event of two object templates of ours, natively and without loss; as a file, or in a feed.

The event has the UUID of the STIX campaign, an object that of the STIX indicator. Only what names one infrastructure
(networks, their numbers, JA3, mail domains) correlates; everything else would tie every event to every other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from clonewatch.model import whole_files
from clonewatch.model.errors import InputError, SetupError
from clonewatch.model.text_files import bytes_of, json_of
from clonewatch.sharing.formats import stix, stix_words
from clonewatch.sharing.formats.libraries import needed
from clonewatch.sharing.release import Indicator, Release

RELEASE, INDICATOR = "llm-extraction-release", "llm-extraction-indicator"
# Who gets it in a MISP: the organisation, its community, connected ones, all.
_DISTRIBUTION = {"RED": 0, "AMBER+STRICT": 0, "AMBER": 1, "GREEN": 2, "CLEAR": 3}
_UNDEFINED, _COMPLETE = 4, 2
_SEVERAL = ("evidence", "attack")
MANIFEST, HASHES = "manifest.json", "hashes.csv"
# Fields of a release with their names in the object; several values are several attributes.
FIELDS: Mapping[str, str] = {
    "revision": "revision",
    "what": "what",
    "profile": "profile",
    "sender": "sender",
    "made_at": "made-at",
    "until": "until",
    "tlp": "tlp",
    "pap": "pap",
    "confidence": "confidence",
    "families": "evidence",
    "attack": "attack",
    "reason": "reason",
    "instead_of": "instead-of",
    "statement": "statement",
    "schema": "schema",
}
OF_INDICATOR: Mapping[str, str] = {
    "kind": "kind",
    "value": "value",
    "since": "since",
    "until": "until",
    "confidence": "confidence",
    "families": "evidence",
    "withdrawn": "withdrawn",
}


def template(name: str) -> dict[str, Any]:
    """The definition of one of our object templates, as MISP takes it."""
    text = files("clonewatch.sharing.formats").joinpath("misp_objects", name, "definition.json").read_text("utf-8")
    made: dict[str, Any] = json.loads(text)
    return made


def event(release: Release) -> Any:
    """A release as an event of PyMISP, checked against its templates. Raises SetupError."""
    pymisp = needed("pymisp")
    stix.check_kinds(release)
    at = stix_words.instant(release.made_at, release.revision)
    made = pymisp.MISPEvent(force_timestamps=True)
    made.uuid, made.info = release.id, f"Extraction campaign {release.id[:8]}, told by {release.sender}"
    made.Orgc = pymisp.MISPOrganisation()
    made.Orgc.name, made.Orgc.uuid = release.sender, stix.sender_id(release.sender).partition("--")[2]
    made.set_date(release.made_at[:10])
    made.distribution, made.threat_level_id, made.analysis = _DISTRIBUTION[release.tlp], _UNDEFINED, _COMPLETE
    made.timestamp = made.publish_timestamp = at
    made.published = True
    for tag in tags(release):
        made.add_tag(tag)
    try:
        made.add_object(_release(pymisp, release, at))
        for place, one in enumerate(release.indicators):
            made.add_object(_indicator(pymisp, release, one, place, at))
        made.to_json()  # which checks objects against their templates
    except pymisp.PyMISPError as error:
        raise SetupError(f"this is no event of MISP: {str(error)[:300]}", where=release.id) from error
    return made


def tags(release: Release) -> list[str]:
    """What an event is tagged with: TLP and PAP by the taxonomies of MISP, and what the release is."""
    held = [f"tlp:{release.tlp.lower()}", f"PAP:{release.pap}", f'clonewatch:what="{release.what}"']
    return [*held, f'clonewatch:revision="{release.revision}"']


def write_misp(release: Release, path: Path) -> None:
    """Write a release as an event in JSON, as MISP imports it. Raises SetupError, OutputError."""
    whole_files.write(path, _spelled({"Event": json.loads(event(release).to_json())}), what="the event")


def write_feed(release: Release, folder: Path) -> None:
    """Put a release into the folder of a feed, in the stead of an earlier revision. Raises SetupError, OutputError.

    The event is there before the manifest names it. Whoever serves the folder serves a feed.
    """
    made = event(release)
    told = _spelled(made.to_feed())
    folder.mkdir(parents=True, exist_ok=True)
    manifest = json_of(_held(folder / MANIFEST).decode() or "{}")
    if not isinstance(manifest, dict):
        raise InputError("the manifest of the feed is no object", where=str(folder / MANIFEST))
    hashes = [line for line in _held(folder / HASHES).decode().splitlines() if not line.endswith(f",{release.id}")]
    hashes += [f"{one},{release.id}" for one in made.attributes_hashes("md5")]
    whole_files.write(folder / f"{release.id}.json", told, what="the event")
    whole_files.write(folder / HASHES, "".join(f"{line}\n" for line in hashes).encode(), what="the hashes of the feed")
    named = json.loads(json.dumps(made.manifest, default=_json(needed("pymisp"))))
    whole_files.write(folder / MANIFEST, _spelled(manifest | named), what="the manifest of the feed")


def _held(path: Path) -> bytes:
    return bytes_of(path, pipes=False) if path.exists() else b""


def _json(pymisp: Any) -> Any:
    return pymisp.abstract.pymisp_json_default


def _spelled(told: Any) -> bytes:
    text = json.dumps(told, indent=2, sort_keys=True, default=_json(needed("pymisp")))
    return (text + "\n").encode()


def _release(pymisp: Any, release: Release, at: int) -> Any:
    made = _object(pymisp, RELEASE, stix_words.made_id("object", release.id).partition("--")[2], at)
    held: dict[str, Any] = {name: getattr(release, field) for field, name in FIELDS.items()}
    basis = release.basis
    held |= {"basis-rule": basis.rule, "basis-as-of": basis.as_of, "basis-source": basis.source}
    held |= {"basis-in-force": "yes" if basis.in_force else "no", "indicators": len(release.indicators)}
    _put(made, held, at)
    return made


def _indicator(pymisp: Any, release: Release, one: Indicator, place: int, at: int) -> Any:
    made = _object(pymisp, INDICATOR, one.id, at)
    made.comment = f"{one.kind} {one.value[:80]}"
    _put(made, {name: getattr(one, field) for field, name in OF_INDICATOR.items()} | {"position": place}, at)
    if found := _sought(one):
        # What is withdrawn stays in the event and is looked for no more.
        days = {"first_seen": f"{one.since}T00:00:00Z", "last_seen": f"{one.until}T23:59:59Z"}
        _add(made, *found, at, to_ids=not stix.gone(release, one), **days)
    return made


def _sought(one: Indicator) -> tuple[str, str] | None:
    """The attribute that a MISP can look for: its name in the object and its value; None for what it cannot."""
    if one.kind == "network":
        return ("asn", one.value[2:]) if one.value.startswith("AS") else ("network", one.value)
    if one.kind == "mail_domain":
        return "mail-domain", one.value
    return ("ja3", one.value[4:]) if one.value.startswith("ja3:") else None


def _object(pymisp: Any, name: str, uuid: str, at: int) -> Any:
    made = pymisp.MISPObject(
        name, strict=True, standalone=False, force_timestamps=True, misp_objects_template_custom=template(name)
    )
    made.uuid, made.timestamp = uuid, at
    return made


def _put(made: Any, held: Mapping[str, Any], at: int) -> None:
    for name, value in held.items():
        for one in value if isinstance(value, tuple) else (value,):
            if one != "":
                _add(made, name, str(one), at, to_ids=False)


def _add(made: Any, name: str, value: str, at: int, **more: Any) -> None:
    # What has one value keeps its UUID when that changes, so that a MISP replaces it.
    one = (value,) if name in _SEVERAL else ()
    uuid = stix_words.made_id("attribute", made.uuid, name, *one).partition("--")[2]
    made.add_attribute(name, value, uuid=uuid, timestamp=at, **more)
