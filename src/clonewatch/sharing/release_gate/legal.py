"""The status of the law as dated configuration: what is shipped, and what the operator's counsel says instead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Literal

import msgspec

from clonewatch.model.errors import InputError, SetupError
from clonewatch.model.text_files import text_of, toml_of
from clonewatch.sharing.release import Basis

MOST_DAYS = 400
_ID = re.compile(r"[a-z][a-z0-9]{1,15}(?:\.[a-z0-9]{2,24})?")
_SOURCE = re.compile(r"https://[a-z0-9.-]{4,80}(?:/[A-Za-z0-9._~/-]{0,300})?")
_FIX = "Write it as docs/using/sharing.md does"


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule of law. in_force: whether, up to `until` (a day; empty for no end). as_of: the day of looking it up."""

    id: str
    says: str
    as_of: str
    source: str
    in_force: bool = False
    until: str = ""

    def holds(self, today: str) -> bool:
        """Whether it is in force on a day, as far as is configured."""
        return self.in_force and (not self.until or today <= self.until)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal["clonewatch.legal-status.v1"]
    rules: tuple[Rule, ...]


def status(override: Path | None = None) -> Mapping[str, Rule]:
    """The rules by id. override: the operator's own file, whose rules come in place of those of the same id.

    Raises SetupError that names the rule at fault.
    """
    shipped = files("clonewatch.sharing.release_gate").joinpath("legal_status.toml").read_text(encoding="utf-8")
    found = _rules(shipped, "legal_status.toml")
    if override is None:
        return found
    try:
        text = text_of(override)
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"cannot read the legal status: {said}", where=str(override)) from error
    return found | _rules(text, str(override))


def basis(rules: Mapping[str, Rule], name: str, today: str) -> Basis:
    """What a release says of the law it rests on. Raises SetupError for a rule that is not configured, or too old."""
    if name not in rules:
        raise SetupError(
            f"there is no rule {name!r}", fix=f"Use one of: {', '.join(rules)}; or add it with --legal FILE"
        )
    rule = rules[name]
    if (date.fromisoformat(today) - date.fromisoformat(rule.as_of)).days > MOST_DAYS:
        raise SetupError(
            f"the status of {name} was looked up on {rule.as_of}: that is too long ago",
            fix="Have counsel look it up, and write it into a file for --legal",
        )
    return Basis(rule.id, rule.holds(today), rule.as_of, rule.source)


def _rules(text: str, where: str) -> dict[str, Rule]:
    try:
        held = msgspec.convert(toml_of(text), _File)
    except (ValueError, msgspec.ValidationError) as error:
        raise SetupError(f"this is no legal status: {error}", where=where, fix=_FIX) from error
    found: dict[str, Rule] = {}
    for rule in held.rules:
        if wrong := _wrong(rule):
            raise SetupError(f"rule {rule.id[:40]!r}: {wrong}", where=where, fix=_FIX)
        if rule.id in found:
            raise SetupError(f"rule {rule.id!r} is there twice", where=where, fix="Keep one of them")
        found[rule.id] = rule
    return found


def _wrong(rule: Rule) -> str:
    if not _ID.fullmatch(rule.id):
        return "the id is no short word such as us.cisa2015"
    if not _SOURCE.fullmatch(rule.source):
        return "the source is no plain address that begins with https://"
    for day in (rule.as_of, rule.until):
        try:
            if day and date.fromisoformat(day).isoformat() != day:
                raise ValueError
        except ValueError:
            return f"{day[:20]!r} is no day such as 2026-10-01"
    return "" if rule.as_of else "the day of looking it up is missing"
