"""A file in whichever of our formats it is: a release itself, STIX (a bundle or an envelope), or an event of MISP."""

from __future__ import annotations

from clonewatch.sharing.formats.misp_reading import read_misp
from clonewatch.sharing.formats.reading import Read, check, refused, value
from clonewatch.sharing.formats.stix_reading import read_stix
from clonewatch.sharing.release import decoded


def read_any(data: bytes, today: str) -> Read:
    """Everything of a file. today: a day such as 2026-10-01. Raises SetupError; nothing of a refused file is taken."""
    held = value(data)
    if isinstance(held, dict) and "Event" in held:
        return read_misp(data, today)
    if isinstance(held, dict) and "objects" in held:
        return read_stix(data, today)
    if isinstance(held, dict) and "schema" in held:
        release = decoded(data)
        check(release, today)
        return Read((release,))
    raise refused("it is no release, no STIX and no event of MISP")
