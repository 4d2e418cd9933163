"""What the holder of an account is told about a measure: a statement of reasons, and the same as a letter.

Its fields are named as in the statement of reasons of the EU's Digital Services Act (Article 17). It says what was seen
by kind, never by value: no address, card, prompt, threshold or other account is in it.
"""

from __future__ import annotations

from typing import Any

from clonewatch.cases.containments import Holder, Link
from clonewatch.cases.measures import ACTIVE, MEASURES

# What evidence of each family is about, in words for whoever holds an account.
SEEN = {
    "identity": "sign-up or payment details that several accounts have in common",
    "network": "networks that several accounts have in common",
    "software": "a software set-up that several accounts have in common",
    "session": "sessions that go over from one account to another",
    "content": "requests that are worded alike across accounts",
    "lifecycle": "accounts that begin and end together, or follow one another",
    "timing": "accounts that are active at the same times",
    "trust": "how alike the accounts are to established customers",
    "coverage": "questions that cover a field evenly, as for a collection",
    "harvest": "requests of the kind with which answers are collected",
    "individuality": "accounts that lack the differences of different people",
    "load": "use that is spread over the accounts evenly",
    "order": "questions that follow the order of one list",
    "pacing": "requests at the pace of a program",
    "reaction": "accounts that react together to changes and limits",
    "work_partition": "one body of work that is divided among the accounts",
}
_NOT_SHOWN = (
    "who is behind the accounts, and for what purpose",
    "that anything was used to train a model",
    "the text of requests or answers: this decision file keeps none",
)
_RESTRICTIONS = {
    "verify": "DECISION_ACCOUNT_SUSPENDED",
    "budget": "DECISION_PROVISION_PARTIAL_SUSPENSION",
    "reduce": "DECISION_PROVISION_PARTIAL_SUSPENSION",
    "suspend": "DECISION_ACCOUNT_SUSPENDED",
}
# Where a link to appeal leads, under the address of the console.
PAGE = "/appeal"
REDRESS = "You can also go to court, or to any body for settling disputes that is competent for you."


def notice(holder: Holder, link: Link, url: str = "", redress: str | None = None) -> dict[str, Any]:
    """What a line of a file of notices holds: account, secret, statement of reasons and letter. url: of the console.

    The secret is behind the `#` of the link: browsers send that part to nobody, so no server or proxy writes it down.
    """
    where = f"{url.rstrip('/')}{PAGE}#{link.token}" if url else ""
    told = statement(holder, where, REDRESS if redress is None else redress)
    return {"account": link.account, "token": link.token, "statement": told, "letter": letter(told)}


def statement(holder: Holder, url: str = "", redress: str = REDRESS) -> dict[str, Any]:
    """The statement of reasons for one account. url: where to appeal. redress: what else its holder can do."""
    held = holder.containment
    kind = _RESTRICTIONS[held.measure]
    where = "decision_account" if kind.startswith("DECISION_ACCOUNT") else "decision_provision"
    seen = [SEEN.get(family, "another kind of evidence") for family in held.families]
    return {
        "puid": f"{held.containment}-{holder.number}",
        where: kind,
        "measure": held.measure,
        "measure_explained": MEASURES[held.measure],
        "measure_now": holder.measure if holder.state in ACTIVE else "",
        "application_date": held.begins[:10],
        "end_date": held.until,
        "decision_ground": "DECISION_GROUND_INCOMPATIBLE_CONTENT",
        "incompatible_content_ground": held.ground,
        "decision_facts": {
            "account": holder.account,
            "group": f"one of {_band(held.size)} accounts that appear to be run as one, without having said so",
            "window": {"first": held.first, "last": held.last},
            "seen": seen,
            "not_seen": [words for family, words in SEEN.items() if family not in held.families],
            "not_shown": list(_NOT_SHOWN),
        },
        "source_type": "SOURCE_VOLUNTARY",
        "automated_detection": "Yes",
        "automated_decision": "AUTOMATED_DECISION_PARTIALLY" if held.automated else "AUTOMATED_DECISION_NOT_AUTOMATED",
        "decided_by": "two persons, of whom one asked for the measure and the other approved it",
        "redress": {
            "appeal": url,
            "appeal_by": holder.token_until[:10],
            "answer_within_days": held.answer_days,
            "without_answer": "the measure lapses for this account",
            "other": redress,
        },
    }


def letter(told: dict[str, Any]) -> str:
    """A statement of reasons as a letter in plain words."""
    facts, redress = told["decision_facts"], told["redress"]
    chosen = told["automated_decision"] == "AUTOMATED_DECISION_PARTIALLY"
    how = "Software also proposed the measure" if chosen else "The measure was not chosen by software"
    return "\n".join(
        [
            f"About your account {facts['account']} (reference {told['puid']})",
            "",
            f"What we did: {told['measure_explained']}, from {told['application_date']} to {told['end_date']}.",
            f"Why: {told['incompatible_content_ground']}",
            "",
            f"What we saw, from {facts['window']['first'][:10]} to {facts['window']['last'][:10]}: this account is"
            f" {facts['group']}. We saw:",
            *(f"- {words}" for words in facts["seen"]),
            "What we did not see, or not enough of:",
            *(f"- {words}" for words in facts["not_seen"]),
            "What this does not show:",
            *(f"- {words}" for words in facts["not_shown"]),
            "",
            f"How it was decided: software found the accounts. {how}; it was decided by {told['decided_by']}.",
            "",
            f"If we are wrong: appeal up to {redress['appeal_by']}, at no cost"
            # On a line of its own: what follows a link is easily taken for a part of it.
            + (f", here:\n{redress['appeal']}\n" if redress["appeal"] else ", by answering this letter. ")
            + f"A person who did not ask for the measure answers within {redress['answer_within_days']} days."
            f" Otherwise {redress['without_answer']}. {redress['other']}",
            "",
        ]
    )


def _band(size: int) -> str:
    """How many accounts, no closer than a power of ten: exact numbers tell an operator what was not found.

    >>> _band(1), _band(18), _band(25_000)
    ('a few', 'more than 10', 'more than 1,000')
    """
    if size < 10:
        return "a few"
    return f"more than {'1,000' if size >= 1_000 else '100' if size >= 100 else '10'}"
