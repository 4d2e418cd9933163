"""A release: indicators of one campaign with everything that a recipient has to know of them, as one JSON document.

It is what the gate lets out, what formats write and read, and what a correction names. Every field is on the list of
the gate; an unknown one is refused when it is read.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from clonewatch.model.errors import SetupError
from clonewatch.sharing import documents

SCHEMA: Literal["clonewatch.release.v1"] = "clonewatch.release.v1"
MOST_INDICATORS, MOST_BYTES = 5_000, 8 << 20

Tlp = Literal["CLEAR", "GREEN", "AMBER", "AMBER+STRICT", "RED"]
Pap = Literal["CLEAR", "GREEN", "AMBER", "RED"]
Profile = Literal["information_sharing", "incident_report", "incident_response"]
# new: a first word. correction: some of it holds no more, or is otherwise. retraction: none of it holds.
What = Literal["new", "correction", "retraction"]
ALONE = (
    "Each recipient decides alone whether to act on this. "
    "No joint decision about any person or firm is made or asked for."
)


class Indicator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing to look for. id: UUID, the same in every format and every later word about it.

    kind, value: by `sharing.indicators`. since, until: first and last day on which it holds, `YYYY-MM-DD`.
    confidence: 0 to 100, as STIX 2.1 has it. families: kinds of evidence behind it. withdrawn: why it holds no more;
    empty while it does.
    """

    id: str
    kind: str
    value: str
    since: str
    until: str
    confidence: int
    families: tuple[str, ...]
    withdrawn: str = ""


class Basis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The law a release rests on. rule: id in the dated configuration. in_force: as configured on that day.

    source: where the configuration says so.
    """

    rule: str
    in_force: bool
    as_of: str
    source: str


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What leaves. id: UUID of the campaign as recipients know it, which says nothing of the case. revision: from 1.

    sender: the provider's name for itself, as its recipients know it. made_at: RFC 3339, UTC, whole hours. until: last
    day. confidence, families: of the campaign as a whole. attack: ids of MITRE ATLAS, and own ones for its gaps.
    instead_of: UUID that recipients of an earlier feed knew it by; empty for none.
    """

    id: str
    revision: int
    what: What
    profile: Profile
    sender: str
    made_at: str
    until: str
    tlp: Tlp
    pap: Pap
    confidence: int
    families: tuple[str, ...]
    attack: tuple[str, ...]
    basis: Basis
    indicators: tuple[Indicator, ...]
    reason: str = ""
    instead_of: str = ""
    statement: str = ALONE
    schema: Literal["clonewatch.release.v1"] = SCHEMA


def encoded(release: Release) -> bytes:
    """Its one spelling: JSON with sorted keys and without spaces, UTF-8."""
    return documents.encoded(release)


def decoded(data: bytes) -> Release:
    """A release as it was written. Raises SetupError that names the field; nothing of a broken one is taken."""
    release = documents.decoded(data, Release, "a release", MOST_BYTES)
    if len(release.indicators) > MOST_INDICATORS:
        raise SetupError(f"a release has at most {MOST_INDICATORS} indicators, and this has {len(release.indicators)}")
    return release
