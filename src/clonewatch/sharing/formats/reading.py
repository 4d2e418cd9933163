"""What was read from another's file: whole releases, single indicators of strangers, and what was left out."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NamedTuple

from clonewatch.model.errors import SetupError
from clonewatch.model.text_files import json_of
from clonewatch.sharing import indicators
from clonewatch.sharing.formats.replies import Reply
from clonewatch.sharing.formats.stix_words import day, hour
from clonewatch.sharing.release import ALONE, Indicator, Release

MOST_BYTES = 32 << 20
MOST_OBJECTS = 40_000
MOST_DAYS = 366  # of a release, as of the longest kind of indicator


class Foreign(NamedTuple):
    """An indicator that came without a release of ours. sender: its author as the file names it; empty where unsaid.

    revoked: its author takes it back. tlp: its marking; empty where it has none.
    """

    indicator: Indicator
    sender: str
    tlp: str
    revoked: bool


class LeftOut(NamedTuple):
    """Something that cannot be represented. id: in the file. kind: its type there."""

    id: str
    kind: str
    why: str


class Read(NamedTuple):
    """All that a file holds. Nothing of a file that is refused is in one."""

    releases: tuple[Release, ...]
    indicators: tuple[Foreign, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    replies: tuple[Reply, ...] = ()

    def counts(self) -> dict[str, int]:
        """How many were left out for which reason, most frequent first."""
        return dict(Counter(f"{one.kind}: {one.why}" for one in self.left_out).most_common())


def refused(what: str, where: object = "") -> SetupError:
    """The error of a file of which nothing is taken. where: in the file."""
    return SetupError(f"refused, and nothing of it was taken: {what}", where=str(where)[:120])


def value(data: bytes) -> object:
    """The JSON value of a file that is not trusted. Raises SetupError."""
    if len(data) > MOST_BYTES:
        raise refused(f"it has {len(data):,} bytes; at most {MOST_BYTES:,} are read")
    try:
        return json_of(data.decode("utf-8"))
    except ValueError as error:
        raise refused(f"it is not JSON in UTF-8: {str(error)[:200]}") from None


def plain_text(told: Any) -> str:
    """One spelling of a JSON value, to compare with."""
    return json.dumps(told, sort_keys=True)


def check(release: Release, today: str) -> None:
    """Check what every format has to: values in the form of their kind, days, terms. today: a day. Raises SetupError.

    An ended release is refused unless it takes something back: that always holds.
    """
    where = f"release {release.id}"
    if release.statement != ALONE:
        raise refused("its statement is not that each recipient decides alone", where)
    try:
        lasts = (day(release.until) - hour(release.made_at).date()).days
    except SetupError as error:
        raise refused(error.what, where) from None
    if lasts > MOST_DAYS:
        raise refused(f"it would hold for {lasts} days, and a release holds for {MOST_DAYS} at most", where)
    if release.until < today and release.what != "retraction":
        raise refused(f"it ended on {release.until}", where)
    if not 0 <= release.confidence <= 100:
        raise refused("its confidence is not from 0 to 100", where)
    if len({one.id for one in release.indicators}) != len(release.indicators):
        raise refused("an indicator is in it twice", where)
    for one in release.indicators:
        if why := wrong(one):
            raise refused(why, f"indicator {one.id}")


def wrong(one: Indicator) -> str:
    """What is wrong with an indicator; empty where nothing is."""
    if why := indicators.wrong(one.kind, one.value):
        return why
    try:
        lasts = (day(one.until) - day(one.since)).days
    except SetupError as error:
        return error.what
    most = indicators.KINDS[one.kind].days
    if lasts < 0:
        return "it ends before it begins"
    if lasts > most:
        return f"it would hold for {lasts} days, and one of kind {one.kind} holds for {most} at most"
    return "" if 0 <= one.confidence <= 100 else "its confidence is not from 0 to 100"
