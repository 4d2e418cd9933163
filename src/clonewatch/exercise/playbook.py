"""A playbook: the TOML file of an exercise. Reading one finds everything that is wrong, by line."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from clonewatch.exercise.task import CONTAINMENTS, Containment
from clonewatch.kernels.toml_lines import Fault, Lines, shaped, tables
from clonewatch.lab.adversary.cards import Cards, cards, replaced
from clonewatch.lab.adversary.search import SEARCHED
from clonewatch.lab.adversary.strategy import KNOWN, knobs
from clonewatch.lab.adversary.translation import Setting
from clonewatch.lab.scenarios import LOOKALIKES
from clonewatch.model.errors import SetupError
from clonewatch.policy.policy_file import MOST_BYTES, Policy, PolicyError, parsed

HEADLINE = 28_800_000
_FIX = "Write it as examples/playbook.toml does"


class _World(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    people: int = 500
    firms: int = 6
    rate: float = 0.5
    firm_rate: float = 12.0
    crowd: float = 0.12
    mix: dict[str, float] = {}
    trusted: float = 0.0
    quiet: int = 7
    days: int = 28
    target: int = 15_000
    most: int = 400
    stands_for: int = HEADLINE


class _Search(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    known: tuple[str, ...] = tuple(KNOWN)
    spread: int = 4
    rounds: int = 2
    confirm: int = 3
    trials: int = 400
    budget_usd: float = 0.0
    knobs: tuple[str, ...] = SEARCHED


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal["clonewatch.playbook.v1"]
    name: str
    policies: list[str]
    seed: int = 1
    seeds: int = 2
    compare_seeds: int = 2
    checks: tuple[int, ...] = (1, 3, 7, 14, 21)
    containment: Containment = "matched"
    wave_days: int = 7
    rounds: int = 2
    containments: bool = True
    sharing: bool = True
    sensitivity: tuple[str, ...] = ()
    world: _World = _World()
    search: _Search = _Search()
    cards: dict[str, Any] = {}


# Bounds of the numbers: table, key, least, most.
_BOUNDS = (
    ("", "seed", 0, 1_000_000), ("", "seeds", 1, 20), ("", "compare_seeds", 1, 20),
    ("", "wave_days", 1, 60), ("", "rounds", 0, 100),
    ("world", "people", 20, 500_000), ("world", "firms", 3, 5_000), ("world", "rate", 0.01, 100),
    ("world", "firm_rate", 0.1, 1000), ("world", "crowd", 0, 30), ("world", "trusted", 0, 0.9),
    ("world", "quiet", 1, 60), ("world", "days", 5, 90), ("world", "target", 100, 100_000_000),
    ("world", "most", 6, 50_000), ("world", "stands_for", 0, 10**12), ("search", "spread", 0, 1000),
    ("search", "rounds", 0, 100), ("search", "confirm", 1, 50), ("search", "trials", 24, 100_000),
    ("search", "budget_usd", 0, 10**9),
)  # fmt: skip
_MOST_POLICIES = 8


class Playbook(NamedTuple):
    """A playbook without a fault. policies: names, versions and texts. search: knobs, effort and where it begins.

    seeds: logs on which the frontier is confirmed; compare_seeds: on which ways of containment are. containments,
    sharing: whether these are compared. sensitivity: cards whose ends are played as well.
    """

    name: str
    policies: tuple[tuple[str, str], ...]
    seed: int
    seeds: int
    compare_seeds: int
    checks: tuple[int, ...]
    containment: Containment
    wave_days: int
    rounds: int
    containments: bool
    sharing: bool
    sensitivity: tuple[str, ...]
    setting: Setting
    stands_for: int
    search: _Search
    cards: Cards


class PlaybookError(SetupError):
    """A playbook has faults, all of which are notes of the error: `FILE:LINE: what`."""

    def __init__(self, path: Path, faults: list[Fault]) -> None:
        count = len(faults)
        super().__init__(f"the playbook has {count:,} fault{'' if count == 1 else 's'}", where=str(path), fix=_FIX)
        for line, what, fix in sorted(faults):
            self.add_note(f"{path}:{line}: {what}" + (f". {fix}" if fix else ""))


def read(path: Path) -> Playbook:
    """Read a playbook and the policies that it names, beside it. Raises PlaybookError, PolicyError or SetupError."""
    data = _bytes(path, "playbook")
    opened = tables(data)
    if isinstance(opened, Fault):
        raise PlaybookError(path, [opened])
    held, lines = opened
    try:
        file = msgspec.convert(held, _File)
    except msgspec.ValidationError as error:
        raise PlaybookError(path, [shaped(error, lines, *_table(error))]) from error
    faults = _faults(file, lines)
    found = replaced(file.cards, lines, cards().held)
    if isinstance(found, list):
        faults += found
    if faults:
        raise PlaybookError(path, faults)
    world = {one.name: getattr(file.world, one.name) for one in fields(Setting) if one.name != "mix"}
    assert isinstance(found, Cards)  # noqa: S101  (a list is among the faults)
    return Playbook(
        file.name,
        tuple(_policy(path.parent / name) for name in file.policies),
        file.seed,
        file.seeds,
        file.compare_seeds,
        tuple(sorted(set(file.checks))),
        file.containment,
        file.wave_days,
        file.rounds,
        file.containments,
        file.sharing,
        tuple(file.sensitivity),
        Setting(**world, mix=tuple(sorted(file.world.mix.items()))),
        file.world.stands_for,
        file.search,
        found,
    )


def _table(error: msgspec.ValidationError) -> tuple[str, int]:
    said = str(error)
    return next((name for name in ("world", "search") if f"`$.{name}" in said), ""), 0


def _faults(file: _File, lines: Lines) -> list[Fault]:
    faults = []
    for table, key, least, most in _BOUNDS:
        value = getattr(getattr(file, table) if table else file, key)
        if not least <= value <= most:
            faults.append(Fault(lines.of(table, 0, key), f"{key} is {least:,} to {most:,}, not {value:,}"))
    if not 1 <= len(file.policies) <= _MOST_POLICIES:
        faults.append(Fault(lines.of("", 0, "policies"), f"name 1 to {_MOST_POLICIES} policies"))
    if not file.checks or not all(0 < day <= file.world.days for day in file.checks):
        faults.append(Fault(lines.of("", 0, "checks"), f"checks are days from 1 to {file.world.days}"))
    words = (
        ("search", "known", file.search.known, KNOWN),
        ("search", "knobs", file.search.knobs, knobs()),
        ("world", "mix", file.world.mix, LOOKALIKES),
        ("", "sensitivity", file.sensitivity, cards()),
    )
    for table, key, given, allowed in words:
        for word in given:
            if word not in allowed:
                what = f"{key} has no {word!r}"
                faults.append(Fault(lines.of(table, 0, key), what, f"There are: {', '.join(allowed)}"))
    if not file.search.knobs or len(file.search.known) + file.search.spread < 1:
        faults.append(Fault(lines.of("search", 0), "the search has nothing to begin with, or nothing to turn"))
    return faults


def _policy(path: Path) -> tuple[str, str]:
    data = _bytes(path, "policy")
    found = parsed(data)
    if isinstance(found, list):
        raise PolicyError(path, found)
    return label(found), data.decode("utf-8")


def label(policy: Policy) -> str:
    """The name of a policy with its version."""
    return f"{policy.name} v{policy.version}"


def _bytes(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or "this is not the name of a file"
        raise SetupError(f"cannot read the {what}: {said}", where=str(path), fix="Name a TOML file") from error
    if len(data) > MOST_BYTES:
        raise SetupError(f"the {what} has more than {MOST_BYTES:,} bytes", where=str(path), fix="Split it")
    return data


__all__ = ["CONTAINMENTS", "Playbook", "PlaybookError", "label", "read"]
