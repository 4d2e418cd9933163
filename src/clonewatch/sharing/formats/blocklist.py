"""What of a release a bouncer can enforce, as decisions in the form that CrowdSec's local API streams.

Networks and TLS fingerprints only: there is no kind for a person or an account, and what looks at prompts or at the
life of accounts cannot be enforced where packets pass. Whether and how to enforce it, each recipient decides alone:
the list carries no more than an action that its reader chose.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from clonewatch.model import whole_files
from clonewatch.model.errors import SetupError
from clonewatch.sharing.formats import stix, stix_words
from clonewatch.sharing.release import Indicator, Release

ACTIONS = ("throttle", "captcha", "ban")
# Only under these may somebody be kept from something, which he notices.
ENFORCEABLE = ("CLEAR", "GREEN")


def write_blocklist(release: Release, path: Path, now: datetime, *, action: str = ACTIONS[0], floor: int = 0) -> int:
    """Write the decisions of a release; how many are new. Raises SetupError, OutputError."""
    made = decisions(release, now, action=action, floor=floor)
    whole_files.write(path, (json.dumps(made, indent=2) + "\n").encode(), what="the list")
    return len(made["new"])


def decisions(
    release: Release, now: datetime, *, action: str = ACTIONS[0], floor: int = 0
) -> dict[str, list[dict[str, Any]]]:
    """Decisions to take up (`new`) and to take back (`deleted`). Raises SetupError.

    floor: least confidence of what is taken up. now: durations count from it; what has ended or not begun is left out.
    """
    if action not in ACTIONS:
        raise SetupError(f"there is no action {action!r}", fix=f"There are: {', '.join(ACTIONS)}")
    if release.pap not in ENFORCEABLE:
        raise SetupError(
            f"this release is marked PAP:{release.pap}, under which nothing may be done that others notice",
            where=release.id,
            fix="Look for its indicators, and enforce what your own evidence shows",
        )
    stix.check_kinds(release)
    made: dict[str, list[dict[str, Any]]] = {"new": [], "deleted": []}
    for one in release.indicators:
        if one.kind not in ("network", "tls"):
            continue
        left = _left(one, release, now)
        if stix.gone(release, one):
            made["deleted"].append(_decision(release, one, timedelta(0), action))
        elif left and one.confidence >= floor:
            made["new"].append(_decision(release, one, left, action))
    return made


def _left(one: Indicator, release: Release, now: datetime) -> timedelta | None:
    """How long an indicator still holds; None where it does not."""
    if stix_words.day(one.since) > now.astimezone(UTC).date():
        return None
    last = min(stix_words.day(one.until), stix_words.day(release.until))
    left = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1) - now
    return left if left >= timedelta(seconds=1) else None


def _scope(one: Indicator) -> str:
    """`Range` and `AS` are of CrowdSec; `tls` is one that a bouncer has to know."""
    if one.kind == "tls":
        return "tls"
    return "AS" if one.value.startswith("AS") else "Range"


def _decision(release: Release, one: Indicator, left: timedelta, action: str) -> dict[str, Any]:
    hours, seconds = divmod(int(left.total_seconds()), 3600)
    return {
        "id": UUID(one.id).int >> 75,  # 53 bits, which every reader of JSON keeps
        "uuid": one.id,
        "origin": f"clonewatch:{release.sender}",
        "scenario": f"clonewatch/{release.id}",
        "scope": _scope(one),
        "type": action,
        "value": one.value.removeprefix("AS") if one.kind == "network" else one.value,
        "duration": f"{hours}h{seconds // 60}m{seconds % 60}s",
    }
