"""Releases, settings and a told case, which the tests of sharing have in common."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import msgspec

from clonewatch.peering.settings import Settings, read
from clonewatch.sharing.epoch_key import EpochKey
from clonewatch.sharing.release import Basis, Indicator, Release
from clonewatch.sharing.release_gate.fields import Setting
from clonewatch.sharing.release_gate.legal import status

TODAY = "2026-11-28"
GROUP = EpochKey(bytes(range(32)))
RULES = dict(status())
KNOWN = Setting("north", RULES, TODAY, frozenset({"mailbox.example"}))
TEMPLATE = f"cwt1:{GROUP.name}:{'0123abcd' * 64}"
VALUES = (
    ("behaviour", "single_turn_bits>=4"),
    ("issuer_class", "prepaid"),
    ("mail_domain", "mailbox.example"),
    ("network", "8.8.4.0/24"),
    ("template_family", TEMPLATE),
    ("timing", "active_days:3-14"),
    ("tls", "ja4:t13d1516h2_8daaf6152771_e5627efa2ab1"),
)


def uuid(number: int) -> str:
    return str(UUID(int=number, version=4))


def indicator(number: int, kind: str, value: str, **other: object) -> Indicator:
    days = {"network": "2026-12-08"}.get(kind, "2026-12-20")
    made = Indicator(uuid(1_000 + number), kind, value, TODAY, days, 40, ("network",))
    return msgspec.structs.replace(made, **other)


def release(*values: tuple[str, str], **other: object) -> Release:
    """A release that the gate lets through."""
    rule = RULES["none"]
    made = Release(
        id=uuid(7),
        revision=1,
        what="new",
        profile="incident_response",
        sender="north",
        made_at=f"{TODAY}T09:00:00Z",
        until="2026-12-20",
        tlp="AMBER",
        pap="AMBER",
        confidence=65,
        families=("identity", "network"),
        attack=("AML.T0040", "CW-A05"),
        basis=Basis("none", rule.holds(TODAY), rule.as_of, rule.source),
        indicators=tuple(indicator(n, *one) for n, one in enumerate(values or VALUES)),
    )
    return msgspec.structs.replace(made, **other)


def settings(folder: Path, sender: str = "north", **other: str) -> Path:
    """A settings file, with the group's key beside it."""
    key = folder / "group.key"
    if not key.exists():
        key.touch(0o600)
        key.write_text(GROUP.secret.hex())
    more = "".join(f'{name} = "{value}"\n' for name, value in other.items())
    file = folder / f"sharing-{sender}.toml"
    named = f'sender = "{sender}"\ncircle = "working-group"\ngroup_key = "group.key"\n'
    file.write_text(f'schema = "clonewatch.sharing.v1"\n{named}{more}')
    return file


def chosen(folder: Path, sender: str = "north", **other: str) -> Settings:
    return read(settings(folder, sender, **other))
