"""What the console says about figures, cases and entries, in words; every figure has its definition here."""

from __future__ import annotations

from clonewatch.cases.records import Case, Entry
from clonewatch.cases.standing_odds import posterior_bits
from clonewatch.model.questions import BY_ID
from clonewatch.report.standing import missing as lacking

MOST_BITS = 20.0
OUTCOMES = {"flagged": "flagged", "review": "for review", "listed": "listed"}
DEFINED = {
    "odds": "How likely it is that one operator covertly runs these accounts: the evidence of the newest scan, prior"
    " odds of 1 to 16, what the group resembles, and the answers given here. Odds order cases; they prove nothing about"
    " one.",
    "odds_in_short": "How likely it is that one operator covertly runs these accounts. The sum is below. Odds order"
    " cases; they prove nothing about one.",
    "bits": "The same in powers of two: +1 bit doubles the odds.",
    "accounts": "Accounts that the case has over all scans.",
    "exchanges": "Requests with their answers by members of the group in the window of the newest scan.",
    "window": "First and last moment of the log that the newest scan read, UTC.",
    "flagged": "Open cases whose group meets every criterion in the newest scan.",
    "review": "Open cases below the flag whose evidence is worth a look and a question.",
    "ruled": "Cases that somebody ruled on and that no scan opened again.",
    "overdue": "Open cases whose deadline is past.",
}


def odds(value: float | None) -> str:
    """Odds as people say them.

    >>> odds(10.9), odds(0.2), odds(-3.0), odds(None), odds(40.0)
    ('1,900 to 1', 'about even', '1 to 8', 'not known', 'over 1,000,000 to 1')
    """
    if value is None:
        return "not known"
    if abs(value) < 0.5:
        return "about even"
    if abs(value) >= MOST_BITS:
        return "over 1,000,000 to 1" if value > 0 else "under 1 to 1,000,000"
    ratio = 2 ** abs(value)
    said = f"{float(f'{ratio:.2g}'):,.0f}" if ratio >= 10 else f"{ratio:.2g}"
    return f"{said} to 1" if value > 0 else f"1 to {said}"


def bits(value: float | None) -> str:
    """A number of bits with its sign.

    >>> bits(-12.0), bits(1.5), bits(None)
    ('−12 bits', '+1.5 bits', '')
    """
    if value is None:
        return ""
    said = f"{abs(round(value, 1)):g}"
    return f"{'−' if value < 0 else '+'}{said} bit{'' if said == '1' else 's'}"


def case_odds(case: Case) -> float | None:
    """log2 of the odds of a case."""
    return posterior_bits(case)


def missing(case: Case) -> str:
    """What keeps a case from a flag; empty where nothing does, or no scan said."""
    seen = case.seen
    if not isinstance(seen.limiting, str) or not isinstance(seen.ratio, float):
        return ""
    row = {
        "flagged": seen.outcome == "flagged",
        "limiting_criterion": seen.limiting,
        "limiting_ratio": seen.ratio,
    }
    return lacking(row).removeprefix("Missing: ")


def ruling(case: Case) -> str:
    """The ruling of a case; empty for none."""
    held = case.ruling
    if held is None:
        return ""
    why = f": {explanation(held.explanation)}" if held.explanation else ""
    whatever = ", whatever they do" if held.scope == "accounts" else ""
    return f"{held.ruling.replace('_', ' ')}{why}{whatever}{f', until {held.until}' if held.until else ''}"


def explanation(question: str) -> str:
    """An innocent explanation by the id of its question.

    >>> explanation("one_customer"), explanation("benchmark_or_monitor")
    ('one customer', 'benchmark or monitor')
    """
    return question.replace("_", " ")


def family(name: str) -> str:
    """A family of evidence.

    >>> family("prompt_text")
    'prompt text'
    """
    return name.replace("_", " ")


def done(entry: Entry, name: str = "") -> str:
    """What an entry says was done, to one case or to all that it names."""
    after = next((case for case in entry.cases if case.case == name), entry.cases[0] if entry.cases else None)
    others = ", ".join(one for one in entry.of if one != (after.case if after else name))
    said = entry.because
    if entry.what == "seen" and entry.sighting:
        seen = entry.sighting
        again = f"; opened again: {'; '.join(said)}" if said else ""
        return (
            f"seen as {seen.group}, {OUTCOMES.get(seen.outcome, seen.outcome)}, in the scan to {seen.last[:10]}{again}"
        )
    if entry.what == "rule" and after:
        return f"ruled {ruling(after)}"
    if entry.what == "answer" and len(said) == 2:
        asked = BY_ID.get(said[0])
        moved = (asked.yes_bits if said[1] == "yes" else asked.no_bits) if asked else None
        return f"answered {said[1]} to “{explanation(said[0])}”, {bits(moved)}"
    if entry.what == "assign" and after:
        return f"assigned to {after.assignee or 'nobody'}" + (f", due {after.due}" if after.due else "")
    if entry.what == "merge" and after:
        return f"merged into {after.merged_into}" if after.merged_into else f"took in {others}"
    if entry.what == "split" and after:
        return f"split from {others}" if after.version == 1 else f"gave accounts to {others}"
    if entry.what == "undo":
        return f"took entry {entry.undone} back"
    if entry.what == "person" and len(said) == 4:
        return f"{said[0]}: {said[3]}; now {said[1]}, {said[2]}"
    if entry.what == "request":
        return f"asked a second person for: {said[0]}"
    known = {
        "note": "noted",
        "approve": "approved:",
        "decline": "declined:",
        "withdraw": "withdrew:",
        "sign-in": "signed in:",
        "sign-out": "signed out",
        "lock-out": "locked out after wrong passwords,",
        "read": "read kept text:",
        "export": "took out of the house:" if said else "took out of the house, in a dossier",
    }
    return " ".join((known.get(entry.what, entry.what), ", ".join(said))).strip()
