"""How this provider shares: a file in TOML with its name, its circle, the marking, and where the group's key is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from clonewatch.model.errors import InputError, SetupError
from clonewatch.model.text_files import text_of, toml_of
from clonewatch.sharing.epoch_key import EpochKey
from clonewatch.sharing.epoch_key import read as read_key
from clonewatch.sharing.release import Pap, Profile, Tlp
from clonewatch.sharing.release_gate.fields import Setting
from clonewatch.sharing.release_gate.legal import Rule, status
from clonewatch.sharing.release_gate.profiles import PROFILES

_NAME = re.compile(r"[a-z][a-z0-9-]{1,38}[a-z0-9]")
_FIX = "Write it as examples/sharing.toml does"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal["clonewatch.sharing.v1"]
    sender: str
    circle: str
    profile: Profile = "incident_response"
    tlp: Tlp = "AMBER"
    pap: Pap = "AMBER"
    rule: str = "none"
    days: int = 30
    group_key: str = ""
    legal: str = ""
    disposable: str = ""
    lists: str = ""


class Settings(NamedTuple):
    """A settings file. sender: this provider, as recipients know it. circle: whom it tells. rule: of law.

    days: how long what is told holds. group: the epoch key; None without one. disposable: domains of disposable mail.
    lists: folder with warning lists and overrides of one's own; None without one.
    """

    sender: str
    circle: str
    profile: Profile
    tlp: Tlp
    pap: Pap
    rule: str
    days: int
    group: EpochKey | None
    rules: dict[str, Rule]
    disposable: frozenset[str]
    lists: Path | None

    def known(self, today: str) -> Setting:
        """What the gate compares with on a day."""
        return Setting(self.sender, self.rules, today, self.disposable)


def read(path: Path) -> Settings:
    """Read a settings file; the names of files in it are relative to it. Raises SetupError."""
    try:
        held = msgspec.convert(toml_of(text_of(path)), _File)
    except OSError as error:
        raise InputError(f"cannot read it: {error.strerror or error}", where=str(path), fix=_FIX) from error
    except (ValueError, msgspec.ValidationError) as error:
        raise SetupError(f"these are no settings of sharing: {error}", where=str(path), fix=_FIX) from error
    for name in ("sender", "circle"):
        if not _NAME.fullmatch(getattr(held, name)):
            raise SetupError(f"{name} is no short name of small letters, digits and hyphens", where=str(path), fix=_FIX)
    if not 1 <= held.days <= PROFILES[held.profile].days:
        raise SetupError(
            f"days is not from 1 to {PROFILES[held.profile].days}, as profile {held.profile} allows",
            where=str(path),
            fix=_FIX,
        )
    beside = path.parent
    return Settings(
        held.sender,
        held.circle,
        held.profile,
        held.tlp,
        held.pap,
        held.rule,
        held.days,
        read_key(beside / held.group_key) if held.group_key else None,
        dict(status(beside / held.legal if held.legal else None)),
        _domains(beside / held.disposable if held.disposable else None),
        beside / held.lists if held.lists else None,
    )


def _domains(path: Path | None) -> frozenset[str]:
    """The domains of a list, one a line, with those of the library of warning lists where that is installed."""
    from clonewatch.sharing.warning_lists import disposable

    if path is None:
        return disposable()
    try:
        lines = text_of(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"cannot read the list of domains: {said}", where=str(path)) from error
    return disposable() | {line.strip().lower() for line in lines if line.strip() and not line.startswith("#")}
