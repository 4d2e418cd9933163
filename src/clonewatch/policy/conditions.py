"""Conditions in CEL, the Common Expression Language: checked against the facts there are, and evaluated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from clonewatch.kernels.toml_lines import Fault
from clonewatch.model.errors import SetupError
from clonewatch.policy.facts import FACTS, SAMPLE_ACCOUNT, SAMPLE_CAMPAIGN, refusal

if TYPE_CHECKING:
    from cel import Program

MOST_LENGTH = 4_000  # characters of a condition
# Strings and comments hold no names; raw strings may end in a backslash, the others escape their quotation marks.
_TOKEN = re.compile(
    r"""(?P<string>[rRbB]{0,2}(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<comment>//[^\n]*)|(?P<name>[A-Za-z_]\w*)|(?P<other>\S)""",
    re.X | re.S,
)
_BOUND = re.compile(r"\.\s*(?:all|exists|exists_one|existsOne|filter|map)\s*\(\s*(\w+)\s*,")
_PLACE = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")


class Condition(NamedTuple):
    """A condition that holds no fault. of_campaign, of_account: the facts that it names."""

    text: str
    program: Program
    of_campaign: tuple[str, ...]
    of_account: tuple[str, ...]

    def holds(self, campaign: Mapping[str, Any], account: Mapping[str, Any]) -> bool | None:
        """Whether it holds for these facts; None where a fact that it needs is not known, or it gives no yes or no."""
        # Most of the time goes into handing facts over.
        given = {
            "campaign": {fact: campaign.get(fact) for fact in self.of_campaign},
            "account": {fact: account.get(fact) for fact in self.of_account},
        }
        try:
            found = self.program.execute(given)
        except (TypeError, KeyError, ValueError, ArithmeticError, RuntimeError):
            # A comparison with null is an error of CEL: what is not known decides nothing.
            return None
        return found if isinstance(found, bool) else None


def require() -> None:
    """Raise SetupError unless the extra is installed."""
    if find_spec("cel") is None:
        raise SetupError("policies need the library cel", fix="Install the extra: pip install 'clonewatch[policy]'")


def compiled(text: str) -> Condition | list[Fault]:
    """A condition from its text, or everything that is wrong with it."""
    require()
    from cel import compile as compile_

    if len(text) > MOST_LENGTH:
        return [Fault(1, f"the condition has {len(text):,} characters, and {MOST_LENGTH:,} are allowed", "Split it")]
    try:
        program = compile_(text)
    except ValueError as error:
        places = _PLACE.findall(str(error)) or [("1", "1", str(error).splitlines()[0])]
        return [Fault(int(line), f"no CEL at column {column}: {what}") for line, column, what in places]
    named: dict[str, dict[str, None]] = {whose: {} for whose in FACTS}
    found = _names(text, named) or _others(text, program)
    return found or Condition(text, program, tuple(named["campaign"]), tuple(named["account"]))


def _names(text: str, named: Mapping[str, dict[str, None]]) -> list[Fault]:
    """Faults of the names: only `campaign.FACT` and `account.FACT` reach a fact, and FACT has to be a known one.

    named: gets the facts that are named, by whose they are.
    """
    tokens = [m for m in _TOKEN.finditer(text) if m.lastgroup not in ("string", "comment")]
    words = [m.group() for m in tokens]
    faults = []
    for place, token in enumerate(tokens):
        if words[place] not in FACTS or (place and words[place - 1] == "."):
            continue
        line = text.count("\n", 0, token.start()) + 1
        whose, fact = words[place], words[place + 2] if words[place + 1 : place + 2] == ["."] else ""
        if not fact:
            faults.append(Fault(line, f"`{whose}` stands alone", f"Name a fact of it, such as {whose}.{_first(whose)}"))
        elif fact not in FACTS[whose]:
            faults.append(_unknown(line, whose, fact))
        else:
            named[whose][fact] = None
    return faults


def _others(text: str, program: Program) -> list[Fault]:
    """Faults of names that are neither facts nor bound by a macro such as `exists`, and of what gives no yes or no."""
    known = {*FACTS, *_BOUND.findall(text)}
    faults = [
        Fault(
            text.count("\n", 0, text.find(name)) + 1,
            f"there is no {name!r}",
            "There are campaign.FACT and account.FACT",
        )
        for name in program.variables()
        if name not in known
    ]
    if not faults:
        try:
            given = program.execute({"campaign": SAMPLE_CAMPAIGN, "account": SAMPLE_ACCOUNT})
        except (TypeError, KeyError, ValueError, ArithmeticError, RuntimeError) as error:
            return [
                Fault(1, f"it cannot be evaluated: {str(error).splitlines()[0]}", "Compare each fact with its kind")
            ]
        if not isinstance(given, bool):
            faults.append(Fault(1, "it gives no yes or no", "Compare what it gives with something"))
    return faults


def _unknown(line: int, whose: str, fact: str) -> Fault:
    why = refusal(fact)
    if why:
        return Fault(line, f"{whose}.{fact} is refused: {why}")
    return Fault(line, f"there is no fact {whose}.{fact}", f"There are: {', '.join(FACTS[whose])}")


def _first(whose: str) -> str:
    return next(iter(FACTS[whose]))
