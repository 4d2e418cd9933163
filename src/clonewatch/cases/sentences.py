"""What was done to a case, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clonewatch.cases.records import Case, Entry


_ASKED = {
    "request": "asked a second person for",
    "approve": "approved",
    "decline": "declined",
    "withdraw": "withdrew the request for",
    "plan": "planned a containment",
    "contain": "began a containment",
    "end": "ended a containment",
    "lift": "lifted a containment",
    "renew": "made a new link to appeal",
    "appeal": "took down an appeal",
    "reply": "took down a reply to an appeal",
    "decide": "answered an appeal",
    "lapse": "let a measure lapse",
    "carry": "told other systems",
}
# What changes no case.
_ABOUT_NONE = {("note", False): "noted", ("export", False): "exported in a dossier"}


def ruling_text(case: Case) -> str:
    """The ruling of a case in a few words; empty for none."""
    ruling = case.ruling
    if ruling is None:
        return ""
    why = f": {ruling.explanation}" if ruling.explanation else ""
    until = f", until {ruling.until}" if ruling.until else ""
    whatever = ", whatever they do" if ruling.scope == "accounts" else ""
    return f"{ruling.ruling.replace('_', ' ')}{why}{whatever}{until}"


def said(entry: Entry, name: str) -> str:
    """What an entry did to a case, in words."""
    after = next((case for case in entry.cases if case.case == name), None)
    others = ", ".join(one for one in entry.of if one != name)
    if entry.what == "seen" and entry.sighting:
        again = f"; open again: {'; '.join(entry.because)}" if entry.because else ""
        seen = entry.sighting
        return f"seen as {seen.group}, {seen.outcome}, in the scan to {seen.last[:10]}{again}"
    if entry.what in _ASKED:
        return ": ".join(filter(None, (_ASKED[entry.what], ", ".join(entry.because))))
    if after is None:
        return _ABOUT_NONE.get((entry.what, bool(entry.because))) or " ".join((entry.what, *entry.because))
    if entry.what == "rule":
        return f"ruled {ruling_text(after)}"
    if entry.what == "answer":
        return f"answered {' '.join(entry.because)}"
    if entry.what == "assign":
        return f"assigned to {after.assignee or 'nobody'}" + (f", due {after.due}" if after.due else "")
    if entry.what == "merge":
        return f"merged into {after.merged_into}" if after.merged_into else f"took in {others}"
    if entry.what == "split":
        return f"split from {others}" if after.version == 1 else f"gave accounts to {others}"
    return f"took entry {entry.undone} back"
