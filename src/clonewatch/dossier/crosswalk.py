"""Where other catalogues have what a dossier is about: MITRE ATLAS and OWASP AISVS, by identifiers of pinned data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from clonewatch.dossier.figures import Value
from clonewatch.report import phrases

ATLAS, AISVS = "MITRE ATLAS", "OWASP AISVS"
NOTE = (
    "These are places in catalogues where readers find what this file is about, and no findings: an identifier says"
    " nothing that the file does not say elsewhere."
)


class Item(NamedTuple):
    """An identifier. from_level: of the ladder, from which it fits. says: how this file relates to it."""

    catalogue: str
    id: str
    from_level: str
    says: str


ITEMS = (
    Item(ATLAS, "AML.T0040", "L1", "The exchanges of the group came in through the interface of the service."),
    Item(ATLAS, "AML.T0021", "L1", "The accounts share rare things and have no declared common owner."),
    Item(
        ATLAS,
        "AML.T0008.005",
        "L1",
        "The group shares a route with accounts of likely bystanders, as customers of a proxy do.",
    ),
    Item(
        ATLAS,
        "AML.T0024.002",
        "L3",
        "The exchanges have the pattern of requests that collect a model's abilities. That a model was extracted is not"
        " shown.",
    ),
    Item(AISVS, "11.3.1", "L0", "The scan behind this file is such a detector; its method and settings are in it."),
    Item(
        AISVS,
        "11.3.4",
        "L0",
        "What was done about the group is in its history; whether that is enough is not judged here.",
    ),
)
_BYSTANDERS = "AML.T0008.005"


@cache
def catalogues() -> Mapping[str, Mapping[str, Any]]:
    """The pinned data by catalogue: version, commit and SHA-256 of the file that it was read from, names by id."""
    held: Mapping[str, Mapping[str, Any]] = json.loads(
        files("clonewatch.dossier").joinpath("catalogues.json").read_text(encoding="utf-8")
    )
    return held


def crosswalk(row: Mapping[str, Any], figures: Mapping[str, Value]) -> dict[str, Any]:
    """What of the catalogues fits the group at the level that its evidence reached, and what does not."""
    level = phrases.level(row["level"]).code
    codes = [rung.code for rung in phrases.LADDER]
    reached = codes.index(level) if level in codes else -1
    fits = [
        one
        for one in ITEMS
        if codes.index(one.from_level) <= max(reached, 0) and (one.id != _BYSTANDERS or figures["bystanders"])
    ]
    pinned = catalogues()
    return {
        "note": NOTE,
        "sources": [
            {"catalogue": name, **{key: held[key] for key in ("version", "commit", "sha256")}}
            for name, held in sorted(pinned.items())
        ],
        "items": [
            {"catalogue": one.catalogue, "id": one.id, "name": pinned[one.catalogue]["ids"][one.id], "says": one.says}
            for one in fits
        ],
        "left_out": [
            f"{one.id}, which takes {one.from_level}" for one in ITEMS if one not in fits and one.id != _BYSTANDERS
        ],
    }
