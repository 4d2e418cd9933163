"""What was done, and what was ruled, in words: for the command line, the console and dossiers."""

from __future__ import annotations

import re

from clonewatch.cases.records import APPEAL_LINK, COMMAND_LINE, Case, Entry
from clonewatch.model.questions import BY_ID

# What a second person is asked for, and a file that came with a message, as entries spell them.
_ASKED = {
    "block": "a measure against accounts",
    "export": "taking the file out of the house",
    "share": "telling other providers",
}
_FILE = re.compile(r"file (\d+): [0-9a-f]+ (\S+) (\d+)", re.ASCII)
OUTCOMES = {"flagged": "flagged", "review": "for review", "listed": "listed"}
# How somebody came whose name was not proved by signing in.
_CLAIMED = {COMMAND_LINE: "as claimed on the command line", APPEAL_LINK: "by the link to appeal"}
# What an entry says beside that is in its `because`, behind these words.
_DONE = {
    "note": "noted",
    "request": "asked a second person for",
    "approve": "approved",
    "decline": "declined",
    "withdraw": "withdrew the request for",
    "plan": "planned a containment",
    "contain": "began a containment",
    "end": "ended a containment",
    "lift": "lifted a containment",
    "renew": "made new links to appeal",
    "appeal": "took down an appeal",
    "reply": "took down a reply to an appeal",
    "decide": "answered an appeal",
    "lapse": "let a measure lapse",
    "carry": "told other systems",
    "sign-in": "signed in",
    "sign-out": "signed out",
    "lock-out": "was locked out after wrong passwords",
    "read": "read kept text",
    "export": "took out of the house",
    "propose": "proposed what other providers are told",
    "hear": "took in what another provider told",
    "rely": "rests it on what another provider told too",
    "feed": "said whether the word of another provider counts",
}


def spelled(word: str) -> str:
    """An id of a question, family or ruling as words.

    >>> spelled("benchmark_or_monitor")
    'benchmark or monitor'
    """
    return word.replace("_", " ")


def bits(value: float | None) -> str:
    """A number of bits with its sign.

    >>> bits(-12.0), bits(1.5), bits(None)
    ('−12 bits', '+1.5 bits', '')
    """
    if value is None:
        return ""
    said = f"{abs(round(value, 1)):g}"
    return f"{'−' if value < 0 else '+'}{said} bit{'' if said == '1' else 's'}"


def ruling_text(case: Case) -> str:
    """The ruling of a case in a few words; empty for none."""
    ruling = case.ruling
    if ruling is None:
        return ""
    why = f": {spelled(ruling.explanation)}" if ruling.explanation else ""
    until = f", until {ruling.until}" if ruling.until else ""
    whatever = ", whatever they do" if ruling.scope == "accounts" else ""
    return f"{spelled(ruling.ruling)}{why}{whatever}{until}"


def claimed(entry: Entry) -> str:
    """What speaks for the name of an entry, where it is not that somebody signed in; empty for that."""
    return _CLAIMED.get(entry.via, "")


def said(entry: Entry, name: str = "") -> str:
    """What an entry did, in words: to one case, or without a name to the first that it changed."""
    after = next((case for case in entry.cases if not name or case.case == name), None)
    others = ", ".join(one for one in entry.of if one != (after.case if after else name))
    because = entry.because
    if entry.what == "seen" and entry.sighting:
        seen = entry.sighting
        again = f"; open again: {'; '.join(because)}" if because else ""
        return (
            f"seen as {seen.group}, {OUTCOMES.get(seen.outcome, seen.outcome)}, in the scan to {seen.last[:10]}{again}"
        )
    if entry.what == "answer" and len(because) == 2:
        question, given = because
        asked = BY_ID.get(question)
        moved = f", {bits(asked.yes_bits if given == 'yes' else asked.no_bits)}" if asked else ""
        return f"answered {given} to “{spelled(question)}”{moved}"
    if entry.what == "person" and len(because) == 4:
        return f"{because[0]}: {because[3]}; now {because[1]}, {because[2]}"
    if entry.what == "export" and not because:
        return "exported in a dossier"
    if entry.what == "undo":
        return f"took entry {entry.undone} back"
    if after and entry.what in ("rule", "assign", "merge", "split"):
        return _changed(entry, after, others)
    return ": ".join(filter(None, (_DONE.get(entry.what, entry.what), ", ".join(map(_reason, because)))))


def _reason(given: str) -> str:
    """One of the reasons of an entry. Of a file its kind and size: its hash is in the entry, for whoever compares.

    >>> _reason("file 1: fc022288f3e4 application/pdf 10"), _reason("block"), _reason("30 days")
    ('file 1, application/pdf, 10 bytes', 'a measure against accounts', '30 days')
    """
    if found := _FILE.fullmatch(given):
        return f"file {found[1]}, {found[2]}, {int(found[3]):,} bytes"
    return _ASKED.get(given, given)


def _changed(entry: Entry, after: Case, others: str) -> str:
    if entry.what == "rule":
        return f"ruled {ruling_text(after)}"
    if entry.what == "assign":
        return f"assigned to {after.assignee or 'nobody'}" + (f", due {after.due}" if after.due else "")
    if entry.what == "merge":
        return f"merged into {after.merged_into}" if after.merged_into else f"took in {others}"
    return f"split from {others}" if after.version == 1 else f"gave accounts to {others}"
