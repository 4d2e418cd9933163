"""Ids, markings and patterns of STIX 2.1 that writing and reading share.

Source: STIX 2.1 (OASIS, 10 June 2021); the TLP 2.0 markings and their ids are those of OASIS (October 2022).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID

from clonewatch.model.errors import SetupError
from clonewatch.sharing import indicators

# The property extension, whose schema is docs/reference/stix-extension.schema.json.
EXTENSION = "extension-definition--62699599-c875-4e56-b38c-42e69252bbef"
EXTENSION_VERSION = "1.0.0"
SCHEMA_AT = "urn:clonewatch:stix-extension:v1"
AUTHOR = "identity--110e5480-39d9-4693-bfc6-9c8df1aa99fb"
TLP_EXTENSION = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
TLP: Mapping[str, str] = MappingProxyType(
    {
        "CLEAR": "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487",
        "GREEN": "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
        "AMBER": "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421",
        "AMBER+STRICT": "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
        "RED": "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1",
    }
)
TLP_MADE = "2022-10-01T00:00:00.000Z"
# When objects were made that never change: the schema, attack classes, markings and names.
FIXED = "2026-11-01T00:00:00.000Z"
# Each revision is one second later than the hour it was made in, so that no two have one time.
MOST_REVISIONS = 3_600
UUID_FORM = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DAY_FORM = re.compile(r"2[01]\d\d-\d\d-\d\d")
_HOUR, _DAY = "%Y-%m-%dT%H:00:00Z", timedelta(days=1)

_V4, _V6 = "[ipv4-addr:value ISSUBSET '{}']", "[ipv6-addr:value ISSUBSET '{}']"
# The object that a fingerprint is a property of. What has no STIX object of its own is our property of one.
_OF = {"tls": "network-traffic", "http": "network-traffic"}
_SHAPES = (
    ("network", re.compile(r"\[ipv[46]-addr:value (?:ISSUBSET|=) '([0-9a-f:.]{2,39}(?:/\d{1,3})?)'\]"), "{}"),
    ("network", re.compile(r"\[autonomous-system:number = ([1-9]\d{0,9})\]"), "AS{}"),
    ("mail_domain", re.compile(r"\[email-addr:value LIKE '%@([a-z0-9.-]{4,253})'\]"), "{}"),
)
_OURS = re.compile(
    rf"\[(?:user-account|network-traffic):extensions\.'{EXTENSION}'\.([a-z_]{{2,40}}) = '([^'\\]{{1,700}})'\]"
)


def made_id(kind: str, *names: str) -> str:
    """The id of an object that follows from names: the same wherever and whenever it is made.

    Its UUID has the form of version 4, which STIX asks for, and 122 bits of SHA-256 in place of chance.

    >>> made_id("identity", "provider-a") == made_id("identity", "provider-a")
    True
    """
    digest = hashlib.sha256("\x1f".join(("clonewatch", kind, *names)).encode()).digest()
    return f"{kind}--{UUID(bytes=digest[:16], version=4)}"


def marking(tlp: str) -> dict[str, Any]:
    """The definition of a TLP 2.0 marking, word for word as OASIS has it."""
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": TLP[tlp],
        "created": TLP_MADE,
        "name": f"TLP:{tlp}",
        "extensions": {TLP_EXTENSION: {"extension_type": "property-extension", "tlp_2_0": tlp.lower()}},
    }


def pattern(kind: str, value: str) -> str:
    """An indicator as a STIX pattern.

    >>> pattern("network", "AS64500"), pattern("mail_domain", "mail.example")
    ('[autonomous-system:number = 64500]', "[email-addr:value LIKE '%@mail.example']")
    """
    if kind == "network":
        if value.startswith("AS"):
            return f"[autonomous-system:number = {value[2:]}]"
        return (_V6 if ":" in value else _V4).format(value)
    if kind == "mail_domain":
        return f"[email-addr:value LIKE '%@{value}']"
    return f"[{_OF.get(kind, 'user-account')}:extensions.'{EXTENSION}'.{kind} = '{value}']"


def of_pattern(text: str) -> tuple[str, str] | str:
    """The kind and value that a pattern looks for, or why it cannot be represented.

    >>> of_pattern("[ipv4-addr:value = '192.0.2.7']")
    'a network of at most 24 bits can be told, and this has 32'
    >>> of_pattern("[file:name = 'a']")
    'no kind of ours looks for this'
    """
    found: tuple[str, str] | None = None
    if ours := _OURS.fullmatch(text):
        found = ours[1], ours[2]
    for kind, shape, form in _SHAPES:
        if held := shape.fullmatch(text):
            found = kind, form.format(_whole(held[1]) if "addr:value (" in shape.pattern else held[1])
    if found is None:
        return "no kind of ours looks for this"
    return indicators.wrong(*found) or found


def moment(made_at: str, revision: int) -> str:
    """When a revision was made, as STIX has it. Raises SetupError.

    >>> moment("2026-11-02T09:00:00Z", 2)
    '2026-11-02T09:00:01.000Z'
    """
    return f"{datetime.fromtimestamp(instant(made_at, revision), UTC):%Y-%m-%dT%H:%M:%S}.000Z"


def instant(made_at: str, revision: int) -> int:
    """The same in seconds since 1970. Raises SetupError."""
    if not 1 <= revision <= MOST_REVISIONS:
        raise SetupError(f"a release has revisions from 1 to {MOST_REVISIONS}, and this has {revision}")
    return int(hour(made_at).timestamp()) + revision - 1


def hour(made_at: str) -> datetime:
    """The hour that a release names. Raises SetupError."""
    try:
        return datetime.strptime(made_at, _HOUR).replace(tzinfo=UTC)
    except ValueError:
        raise SetupError("made_at is no whole hour such as 2026-10-01T09:00:00Z", where=made_at[:40]) from None


def day(text: str) -> date:
    """A day such as 2026-10-01. Raises SetupError."""
    try:
        return date.fromisoformat(text if _DAY_FORM.fullmatch(text) else "")
    except ValueError:
        raise SetupError("this is no day such as 2026-10-01", where=text[:40]) from None


def _whole(address: str) -> str:
    """An address as the network that holds it alone."""
    return address if "/" in address else f"{address}/{128 if ':' in address else 32}"


def begins(text: str) -> str:
    """The first moment of a day."""
    return f"{day(text).isoformat()}T00:00:00.000Z"


def ends(text: str) -> str:
    """The moment after a day: `valid_until` says from when something holds no more."""
    return f"{(day(text) + _DAY).isoformat()}T00:00:00.000Z"


def day_before(text: str) -> str:
    """The day before a day. Raises SetupError."""
    return (day(text) - _DAY).isoformat()
