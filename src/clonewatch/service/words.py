"""What the console says about figures and cases; every figure has its definition here."""

from __future__ import annotations

from clonewatch.cases.records import Case
from clonewatch.cases.standing_odds import posterior_bits
from clonewatch.report.standing import missing as lacking

MOST_BITS = 20.0
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
