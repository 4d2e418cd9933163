"""A policy: a versioned TOML file of rules with their examples. Reading one finds everything that is wrong, by line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from clonewatch.kernels.toml_lines import Fault, Lines, shaped, tables
from clonewatch.model.errors import SetupError
from clonewatch.model.gateway_actions import ACTIONS, GatewayAction
from clonewatch.model.repeats import MOST_DAYS
from clonewatch.policy.canary import Canary, canary
from clonewatch.policy.conditions import Condition, compiled
from clonewatch.policy.facts import FACTS

SCHEMA: Literal["clonewatch.policy.v1"] = "clonewatch.policy.v1"
DAYS = 30
MOST_LAPSE_HOURS, LAPSE_HOURS = 24 * 7, 24
MOST_BYTES = 1 << 20
SHADOW, ENFORCE = "shadow", "enforce"
NONE = "none"
_WORD = re.compile(r"[a-z][a-z0-9_-]{0,59}")
_FIX = "Write it as examples/policy.toml does"


class _Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    when: str
    action: str
    reason: str
    bound: dict[str, int] = {}
    mode: Literal["shadow", "enforce"] = "shadow"
    days: int = DAYS
    approvals: int | None = None


class _Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    gives: str
    campaign: dict[str, Any] = {}
    account: dict[str, Any] = {}


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal["clonewatch.policy.v1"]
    name: str
    version: int
    appeal_url: str = ""
    lapse_hours: int = LAPSE_HOURS
    rules: list[Any] = []
    examples: list[Any] = []
    canary: Any = None


class Rule(NamedTuple):
    """One rule. reason: code that the account's holder is told. bound: limits of the action. approvals: persons.

    mode: shadow, or enforce where a measure that people approved stands. days: the longest that it holds.
    """

    id: str
    when: Condition
    action: GatewayAction
    reason: str
    bound: Mapping[str, int]
    mode: str
    days: int
    approvals: int


class Example(NamedTuple):
    """Facts and the id of the rule that they give, or `none`. line: where it stands in the file."""

    name: str
    gives: str
    campaign: Mapping[str, Any]
    account: Mapping[str, Any]
    line: int


class Policy(NamedTuple):
    """A policy without a fault. lapse_hours: how long a decision holds that nobody renews by publishing again."""

    name: str
    version: int
    appeal_url: str
    lapse_hours: int
    rules: tuple[Rule, ...]
    examples: tuple[Example, ...]
    canary: Canary | None = None


class PolicyError(SetupError):
    """A policy has faults, all of which are notes of the error: `FILE:LINE: what`."""

    def __init__(self, path: Path, faults: list[Fault]) -> None:
        self.faults = sorted(faults)
        count = len(faults)
        super().__init__(f"the policy has {count:,} fault{'' if count == 1 else 's'}", where=str(path), fix=_FIX)
        for line, what, fix in self.faults:
            self.add_note(f"{path}:{line}: {what}" + (f". {fix}" if fix else ""))


def read(path: Path) -> Policy:
    """Read a policy. Raises PolicyError with every fault, SetupError where the file cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or "this is not the name of a file"
        raise SetupError(f"cannot read the policy: {said}", where=str(path), fix="Name a TOML file") from error
    if len(data) > MOST_BYTES:
        raise SetupError(f"the policy has more than {MOST_BYTES:,} bytes", where=str(path), fix="Split it")
    found = parsed(data)
    if isinstance(found, list):
        raise PolicyError(path, found)
    return found


def parsed(data: bytes) -> Policy | list[Fault]:
    """A policy from the bytes of a file, or everything that is wrong with it."""
    opened = tables(data)
    if isinstance(opened, Fault):
        return [opened]
    held, lines = opened
    try:
        file = msgspec.convert(held, _File)
    except msgspec.ValidationError as error:
        return [shaped(error, lines, "", 0)]
    faults = _head(file, lines)
    rules = [_rule(one, place, lines, faults) for place, one in enumerate(file.rules)]
    # Of rules with faults too: an example of one has no fault of its own.
    ids = [str(one.get("id")) for one in file.rules if isinstance(one, dict)]
    faults += _between(rules, file.appeal_url, lines)
    examples = [_example(one, place, lines, ids, faults) for place, one in enumerate(file.examples)]
    own = canary(file.canary, file.appeal_url, lines, faults)
    if not file.rules and file.canary is None:
        faults.append(Fault(1, "the policy has no rule", "Begin one with [[rules]]"))
    if faults:
        return faults
    return Policy(
        file.name,
        file.version,
        file.appeal_url,
        file.lapse_hours,
        tuple(one for one in rules if one),
        tuple(one for one in examples if one),
        own,
    )


def _between(rules: list[Rule | None], appeal_url: str, lines: Lines) -> list[Fault]:
    """Faults that a rule has beside the others, or in this policy."""
    faults = []
    seen: set[str] = set()
    for number, rule in enumerate(rules):
        if rule is None:
            continue
        if rule.id in seen:
            faults.append(Fault(lines.of("rules", number, "id"), f"another rule is called {rule.id!r}", "Rename one"))
        seen.add(rule.id)
        if rule.mode == ENFORCE and rule.action.persons and not appeal_url:
            what = f"{rule.id!r} enforces, and nobody could appeal"
            faults.append(Fault(lines.of("rules", number, "mode"), what, "State appeal_url at the top"))
    return faults


def _head(file: _File, lines: Lines) -> list[Fault]:
    faults = []
    if not _WORD.fullmatch(file.name):
        faults.append(Fault(lines.of("", 0, "name"), f"{file.name!r} is no name", "Use a-z, 0-9, - and _"))
    if file.version < 1:
        faults.append(Fault(lines.of("", 0, "version"), "the version is below 1", "Raise it with every change"))
    if not 1 <= file.lapse_hours <= MOST_LAPSE_HOURS:
        what = f"a decision lapses after 1 to {MOST_LAPSE_HOURS} hours, not {file.lapse_hours}"
        faults.append(Fault(lines.of("", 0, "lapse_hours"), what, "Publish more often than that"))
    if file.appeal_url and not re.fullmatch(r"https?://[!#-\[\]-~]{1,300}", file.appeal_url):
        faults.append(Fault(lines.of("", 0, "appeal_url"), "appeal_url is no address", "Begin it with https://"))
    return faults


def _rule(held: object, place: int, lines: Lines, faults: list[Fault]) -> Rule | None:
    def fault(key: str, what: str, fix: str = "") -> None:
        faults.append(Fault(lines.of("rules", place, key), what, fix))

    try:
        rule = msgspec.convert(held, _Rule)
    except msgspec.ValidationError as error:
        faults.append(shaped(error, lines, "rules", place))
        return None
    for key, word in (("id", rule.id), ("reason", rule.reason)):
        if not _WORD.fullmatch(word) or word == NONE:
            fault(key, f"{word!r} is no {key}", "Use a-z, 0-9, - and _, beginning with a letter")
    if not 1 <= rule.days <= MOST_DAYS:
        fault("days", f"a rule holds for 1 to {MOST_DAYS} days, not {rule.days}")
    when = compiled(rule.when)
    if isinstance(when, list):
        first = lines.of("rules", place, "when")
        # A text of several lines begins on the line below its quotation marks.
        below = 0 if "\n" not in rule.when else 1
        faults += [one._replace(line=first + below + one.line - 1) for one in when]
    action = ACTIONS.get(rule.action)
    if action is None:
        fault("action", f"there is no action {rule.action!r}", f"There are: {', '.join(ACTIONS)}")
        return None
    _limits(rule, action, fault)
    if isinstance(when, list):
        return None
    approvals = action.persons if rule.approvals is None else rule.approvals
    return Rule(rule.id, when, action, rule.reason, rule.bound, rule.mode, rule.days, approvals)


def _limits(rule: _Rule, action: GatewayAction, fault: Any) -> None:
    if set(rule.bound) != set(action.bound):
        wanted = ", ".join(f"{name} = NUMBER" for name in action.bound)
        fault("bound", f"{action.name} needs the bound {{ {wanted} }}" if wanted else f"{action.name} takes no bound")
    elif any(value < 1 for value in rule.bound.values()):
        fault("bound", "a bound is below 1", "Suspending takes two persons: use the action suspend")
    if rule.approvals is not None and rule.approvals < action.persons:
        persons = f"{action.persons} person{'' if action.persons == 1 else 's'}"
        fault("approvals", f"{action.name} is approved by at least {persons}, not {rule.approvals}")


def _example(held: object, place: int, lines: Lines, ids: list[str], faults: list[Fault]) -> Example | None:
    try:
        one = msgspec.convert(held, _Example)
    except msgspec.ValidationError as error:
        faults.append(shaped(error, lines, "examples", place))
        return None
    for whose, given in (("campaign", one.campaign), ("account", one.account)):
        for fact in sorted(set(given) - set(FACTS[whose])):
            line = lines.of("examples", place, whose)
            faults.append(Fault(line, f"there is no fact {whose}.{fact}", f"There are: {', '.join(FACTS[whose])}"))
    if one.gives not in (*ids, NONE):
        what = f"there is no rule {one.gives!r}"
        faults.append(Fault(lines.of("examples", place, "gives"), what, f"There are: {', '.join((*ids, NONE))}"))
    return Example(one.name, one.gives, one.campaign, one.account, lines.of("examples", place))
