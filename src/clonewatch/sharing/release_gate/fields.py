"""Every field of a release: what it may hold, and why that may leave. A field without a rule does not leave."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from typing import Any, NamedTuple, get_args

from clonewatch.sharing import indicators
from clonewatch.sharing.release import ALONE, SCHEMA, Basis, Indicator, Pap, Release, Tlp, What
from clonewatch.sharing.release_gate.legal import Rule
from clonewatch.sharing.release_gate.profiles import PROFILES
from clonewatch.sharing.release_gate.vocabulary import (
    ATLAS,
    BEHAVIOURS,
    BITS,
    CONFIDENCE_STEP,
    DAYS,
    FAMILIES,
    GAPS,
    REASONS,
    THRESHOLDS,
    TIMINGS,
)

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_SENDER = re.compile(r"[a-z][a-z0-9-]{1,38}[a-z0-9]")
_MOST_REVISIONS = 1_000
_JA4 = re.compile(r"ja4:[tqd]\d\d[di]\d{4}[a-z0-9]{2}_[0-9a-f]{12}_[0-9a-f]{12}")
_JA4H = re.compile(r"ja4h:[a-z]{2}\d\d[cn][rn]\d\d[a-z0-9]{4}(?:_[0-9a-f]{12}){3}")


class Setting(NamedTuple):
    """What fields are compared with. sender: the provider's name for itself. rules: of law. today: a day.

    disposable: domains of disposable mail, as a list of them has them; a domain that is not on it may be a customer's.
    """

    sender: str
    rules: Mapping[str, Rule]
    today: str
    disposable: Collection[str]


class FieldRule(NamedTuple):
    """The rule of a field. why: it may leave. wrong: what is wrong with a value; empty where nothing is."""

    name: str
    why: str
    wrong: Callable[[Any, Setting], str]


def _one_of(name: str, words: Collection[str]) -> Callable[[Any, Setting], str]:
    def wrong(held: Any, _: Setting) -> str:
        return "" if getattr(held, name) in words else f"it is none of: {', '.join(sorted(words))}"

    return wrong


def _uuid(name: str, *, empty: bool = False) -> Callable[[Any, Setting], str]:
    def wrong(held: Any, _: Setting) -> str:
        value = getattr(held, name)
        return "" if (empty and value == "") or _UUID.fullmatch(value) else "it is no UUID of version 4"

    return wrong


def _steps(held: Release | Indicator, _: Setting) -> str:
    fits = 0 < held.confidence <= 100 and held.confidence % CONFIDENCE_STEP == 0
    return "" if fits else f"it is none of {CONFIDENCE_STEP}, {2 * CONFIDENCE_STEP}, ... 100"


def _families(held: Release | Indicator, _: Setting) -> str:
    if not held.families and not isinstance(held, Release):
        return "it names no family of evidence"
    return _sorted(held.families, FAMILIES)


def _attack(held: Release, _: Setting) -> str:
    return _sorted(held.attack, ATLAS | GAPS.keys())


def _sorted(words: tuple[str, ...], known: Collection[str]) -> str:
    if unknown := sorted(set(words) - set(known)):
        return f"{unknown[0][:40]!r} is none of: {', '.join(sorted(known))}"
    return "" if list(words) == sorted(set(words)) else "they are not sorted, or one is there twice"


def _day(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if found.isoformat() == text else None


def _made_at(held: Release, known: Setting) -> str:
    try:
        at = datetime.strptime(held.made_at, "%Y-%m-%dT%H:00:00Z")
    except ValueError:
        return "it is no whole hour such as 2026-10-01T09:00:00Z"
    return "" if f"{at:%Y-%m-%d}" == known.today else "it is not of today"


def _release_until(held: Release, known: Setting) -> str:
    return _until(held.until, known.today, PROFILES[held.profile].days if held.profile in PROFILES else 0)


def _indicator_until(held: Indicator, known: Setting) -> str:
    kind = indicators.KINDS.get(held.kind)
    return _until(held.until, held.since, kind.days if kind else 0)


def _until(until: str, first: str, days: int) -> str:
    last, begins = _day(until), _day(first)
    if last is None or begins is None:
        return "it is no day such as 2026-10-01"
    if last < begins:
        return "it ends before it begins"
    return "" if (last - begins).days <= days else f"it holds for more than {days} days"


def _since(held: Indicator, known: Setting) -> str:
    day = _day(held.since)
    if day is None:
        return "it is no day such as 2026-10-01"
    return "" if held.since <= known.today else "it has not begun"


def _basis(held: Release, known: Setting) -> str:
    rule = known.rules.get(held.basis.rule)
    if rule is None:
        return f"there is no rule of law {held.basis.rule[:40]!r} in the configuration"
    wanted = Basis(rule.id, rule.holds(known.today), rule.as_of, rule.source)
    return "" if held.basis == wanted else "it is not what the configuration says of this rule today"


def _sender(held: Release, known: Setting) -> str:
    if not _SENDER.fullmatch(held.sender):
        return "it is no short name of small letters, digits and hyphens"
    return "" if held.sender == known.sender else "it is not the configured name of this provider"


def _revision(held: Release, _: Setting) -> str:
    return "" if 1 <= held.revision <= _MOST_REVISIONS else f"it is not from 1 to {_MOST_REVISIONS}"


def _value(held: Indicator, known: Setting) -> str:
    if why := indicators.wrong(held.kind, held.value):
        return why
    check = _FURTHER.get(held.kind)
    return check(held.value, known) if check else ""


def _tls(value: str, _: Setting) -> str:
    return "" if _JA4.fullmatch(value) else "only JA4 leaves: other hashes may be of anything"


def _http(value: str, _: Setting) -> str:
    return "" if _JA4H.fullmatch(value) else "only JA4H leaves: other hashes may be of anything"


def _mail(value: str, known: Setting) -> str:
    return "" if value in known.disposable else "it is on no list of disposable mail, so it may be a customer's"


def _behaviour(value: str, _: Setting) -> str:
    name, _sign, threshold = value.partition(">=")
    if not name.endswith(BITS) or name.removesuffix(BITS) not in BEHAVIOURS:
        return f"there is no behaviour {name[:40]!r}: {', '.join(sorted(BEHAVIOURS))}, with {BITS} added"
    return "" if threshold in THRESHOLDS else f"the threshold is none of {', '.join(THRESHOLDS)}"


def _timing(value: str, _: Setting) -> str:
    name, _sign, span = value.partition(":")
    if name not in TIMINGS:
        return f"there is no timing {name[:40]!r}: {', '.join(sorted(TIMINGS))}"
    ladder = {str(day) for day in DAYS}
    low, _sign, high = span.partition("-")
    return "" if low in ladder and high in ladder and low != high else "the range is not on the ladder of days"


def _attack_id(value: str, _: Setting) -> str:
    return "" if value in ATLAS or value in GAPS else "it is no id that fits extraction by accounts"


_FURTHER: Mapping[str, Callable[[str, Setting], str]] = {
    "tls": _tls,
    "http": _http,
    "mail_domain": _mail,
    "behaviour": _behaviour,
    "timing": _timing,
    "attack": _attack_id,
}


def _fixed(name: str, value: str) -> Callable[[Any, Setting], str]:
    def wrong(held: Any, _: Setting) -> str:
        return "" if getattr(held, name) == value else "it is not the fixed text"

    return wrong


def _nothing(_: Any, __: Setting) -> str:
    return ""


RELEASE = (
    FieldRule("id", "random to others: it names the campaign and says nothing of the case", _uuid("id")),
    FieldRule("revision", "tells an older word from a newer one", _revision),
    FieldRule("what", "a word of three: new, correction, retraction", _one_of("what", get_args(What))),
    FieldRule("profile", "a word of three: the occasion, which bounds everything else", _one_of("profile", PROFILES)),
    FieldRule("sender", "the provider's own name, which its recipients know", _sender),
    FieldRule("made_at", "cut to the hour, so that it does not point to a moment in a log", _made_at),
    FieldRule("until", "nothing holds for ever: what is not renewed ends by itself", _release_until),
    FieldRule("tlp", "says how far it may go on", _one_of("tlp", get_args(Tlp))),
    FieldRule("pap", "says what may be done with it in view of whom it is about", _one_of("pap", get_args(Pap))),
    FieldRule("confidence", "in steps of five, so that no measured figure leaves", _steps),
    FieldRule("families", "words of a closed list: on which kinds of evidence the confidence rests", _families),
    FieldRule("attack", "ids of a public catalogue and of our published gaps", _attack),
    FieldRule("basis", "the rule of law, its configured status that day and its public source", _basis),
    FieldRule("indicators", "what to look for; each field of each has a rule of its own", _nothing),
    FieldRule("reason", "a word of a closed list: why it holds no more", _one_of("reason", REASONS)),
    FieldRule("instead_of", "another such id, of an earlier feed", _uuid("instead_of", empty=True)),
    FieldRule("statement", "a fixed text: each recipient decides alone", _fixed("statement", ALONE)),
    FieldRule("schema", "a fixed text: the version of this form", _fixed("schema", SCHEMA)),
)
INDICATOR = (
    FieldRule("id", "random to others: the same in every format and every later word", _uuid("id")),
    FieldRule("kind", "a word of the list of kinds", _one_of("kind", indicators.KINDS)),
    FieldRule("value", "in the one form of its kind, which holds no text, no person and no count", _value),
    FieldRule("since", "the day from which it was seen", _since),
    FieldRule("until", "at most as many days as its kind allows", _indicator_until),
    FieldRule("confidence", "in steps of five, so that no measured figure leaves", _steps),
    FieldRule("families", "words of a closed list: on which kinds of evidence it rests", _families),
    FieldRule("withdrawn", "a word of a closed list: why it holds no more", _one_of("withdrawn", REASONS)),
)
