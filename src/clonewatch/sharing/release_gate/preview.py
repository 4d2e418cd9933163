"""What would leave, byte for byte, and for each of its fields why it may."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from clonewatch.sharing import indicators
from clonewatch.sharing.release import Release, encoded
from clonewatch.sharing.release_gate.fields import INDICATOR, RELEASE, Setting
from clonewatch.sharing.release_gate.gate import refusals
from clonewatch.sharing.release_gate.profiles import PROFILES


def preview(release: Release, known: Setting) -> dict[str, Any]:
    """The bytes as text, their size and digest, every field with its value and why it may leave, and what is refused.

    Values of indicators are listed one by one: nothing is summed up.
    """
    data = encoded(release)
    held: dict[str, Any] = msgspec.to_builtins(release)
    fields = [
        {"field": rule.name, "value": held[rule.name], "why": rule.why} for rule in RELEASE if rule.name != "indicators"
    ]
    for number, one in enumerate(held["indicators"]):
        kind = indicators.KINDS.get(one["kind"])
        for rule in INDICATOR:
            why = f"{kind.says}: {rule.why}" if kind and rule.name == "value" else rule.why
            fields.append({"field": f"indicators.{number}.{rule.name}", "value": one[rule.name], "why": why})
    return {
        "bytes": data.decode("utf-8"),
        "size": len(data),
        "sha256": sha256(data).hexdigest(),
        "profile": PROFILES[release.profile].says if release.profile in PROFILES else "",
        "fields": fields,
        "refused": [one._asdict() for one in refusals(release, known)],
    }
