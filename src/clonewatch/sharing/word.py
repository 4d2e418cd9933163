"""What a recipient says of a release: an opinion, dissent above all, or that it saw what was told."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from clonewatch.model.errors import SetupError
from clonewatch.sharing import documents

SCHEMA: Literal["clonewatch.word.v1"] = "clonewatch.word.v1"
MOST_BYTES = 4_096
OPINION, SIGHTING = "opinion", "sighting"
# The scale of STIX 2.1 for opinions; for sightings whether it was seen, and whether honest people have it.
SAID: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        OPINION: ("strongly-disagree", "disagree", "neutral", "agree", "strongly-agree"),
        SIGHTING: ("seen", "not-seen", "seen-with-honest-accounts"),
    }
)


class Word(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One word about a release, or about one of its indicators. id: UUID. made_at: RFC 3339, UTC, whole hours.

    release, indicator: UUIDs, as their sender named them; an empty indicator for all of it.
    """

    id: str
    what: Literal["opinion", "sighting"]
    said: str
    release: str
    sender: str
    made_at: str
    indicator: str = ""
    schema: Literal["clonewatch.word.v1"] = SCHEMA


def encoded(word: Word) -> bytes:
    """Its one spelling: JSON with sorted keys and without spaces, UTF-8."""
    return documents.encoded(word)


def decoded(data: bytes) -> Word:
    """A word as it was written. Raises SetupError that names the field."""
    word = documents.decoded(data, Word, "an opinion or sighting", MOST_BYTES)
    if word.said not in SAID[word.what]:
        raise SetupError(f"there is no {word.what} {word.said[:40]!r}", fix=f"Use one of: {', '.join(SAID[word.what])}")
    return word
