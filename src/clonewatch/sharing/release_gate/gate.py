"""The gate: everything that is wrong with a release that would leave, and the bytes of one with which nothing is.

It looks at the release alone. How it was made, and from what, changes nothing of what is let through.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import msgspec

from clonewatch.model.errors import SetupError
from clonewatch.sharing.release import Indicator, Release, decoded, encoded
from clonewatch.sharing.release_gate.fields import INDICATOR, RELEASE, Setting
from clonewatch.sharing.release_gate.legal import Rule
from clonewatch.sharing.release_gate.profiles import KEYED, PROFILES, TLP_ORDER, wider

MOST_INDICATORS = 200
SHOWN = 5


class Refused(NamedTuple):
    """A field that may not leave as it is, and why. field: its path, such as `indicators.3.value`."""

    field: str
    why: str


def setting(sender: str, rules: Mapping[str, Rule], today: str, disposable: Collection[str] = frozenset()) -> Setting:
    """What the gate compares with. sender: the provider's name for itself. today: a day. disposable: mail domains."""
    return Setting(sender, rules, today, disposable)


def refusals(release: Release, known: Setting) -> list[Refused]:
    """Everything that is wrong, field by field; empty for a release that may leave."""
    return [*_fields(release, known), *_whole(release)]


def opened(release: Release, known: Setting) -> bytes:
    """The bytes that leave. Raises SetupError that names the first fields that may not."""
    found = refusals(release, known)
    data = encoded(release)
    if not found and decoded(data) != release:
        found = [Refused("", "it does not read back as what it is")]
    if found:
        said = "; ".join(f"{one.field}: {one.why}" for one in found[:SHOWN])
        more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise SetupError(
            f"the release gate refuses {len(found):,} field{'' if len(found) == 1 else 's'}: {said}{more}",
            fix="docs/using/sharing.md says what may leave and why",
        )
    return data


def _fields(release: Release, known: Setting) -> Iterator[Refused]:
    for rule in RELEASE:
        if why := rule.wrong(release, known):
            yield Refused(rule.name, why)
    for number, one in enumerate(release.indicators):
        for each in INDICATOR:
            if why := each.wrong(one, known):
                yield Refused(f"indicators.{number}.{each.name}", why)


def _whole(release: Release) -> Iterator[Refused]:
    """What fields say of each other."""
    terms = PROFILES.get(release.profile)
    if terms is None:
        return
    if release.tlp in TLP_ORDER and wider(release.tlp, terms.widest):
        yield Refused("tlp", f"profile {release.profile} goes no wider than TLP:{terms.widest}")
    if len(release.indicators) > MOST_INDICATORS:
        yield Refused("indicators", f"at most {MOST_INDICATORS}: more would tell how large a campaign is")
    if release.what == "new" and not release.indicators:
        yield Refused("indicators", "there is nothing to look for")
    if release.what != "retraction" and len(release.families) < terms.families:
        yield Refused("families", f"profile {release.profile} takes {terms.families} families of evidence")
    if (release.what == "new") != (release.revision == 1):
        yield Refused("revision", "the first word is new and revision 1, and no other is")
    if (release.what == "new") == bool(release.reason):
        yield Refused("reason", "a correction or retraction has a reason, and nothing else has")
    yield from _indicators(release, terms.kinds)


def _indicators(release: Release, kinds: frozenset[str]) -> Iterator[Refused]:
    seen: set[tuple[str, str]] = set()
    ids: set[str] = set()
    for number, one in enumerate(release.indicators):
        at = f"indicators.{number}"
        if one.kind not in kinds:
            yield Refused(f"{at}.kind", f"profile {release.profile} carries no {one.kind}")
        if one.kind in KEYED and release.tlp in TLP_ORDER and wider(release.tlp, "AMBER"):
            yield Refused(f"{at}.kind", "what a group's key enciphers is for that group: TLP:AMBER or narrower")
        if (one.kind, one.value) in seen or one.id in ids:
            yield Refused(at, "the same indicator, or its id, is there twice")
        seen.add((one.kind, one.value))
        ids.add(one.id)
        if one.until > release.until:
            yield Refused(f"{at}.until", "it would hold longer than the release")
        if release.what == "new" and one.withdrawn:
            yield Refused(f"{at}.withdrawn", "a first word withdraws nothing")
        if release.what == "retraction" and not one.withdrawn:
            yield Refused(f"{at}.withdrawn", "a retraction withdraws all of it")


def every_field() -> list[str]:
    """Every field that the schema has, by path: each must have a rule."""
    inner = [f"indicators.{field.name}" for field in msgspec.structs.fields(Indicator)]
    return [*(field.name for field in msgspec.structs.fields(Release)), *inner]
