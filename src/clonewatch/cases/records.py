"""What the log records: cases, rulings, sightings and the entries that change them, each with one spelling in JSON.

An entry holds every case that it changed as it is afterwards. So the newest entry about a case is the case, and the
tables of a store can be checked against the log. Account ids and notes are in the log as hashes only.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from clonewatch.cases.measures import Appeal, Containment
from clonewatch.model.errors import LogError

CONFIRMED, INNOCENT, NEEDS_MORE = "confirmed", "innocent", "needs_more"
RULINGS = (CONFIRMED, INNOCENT, NEEDS_MORE)
# What a case can be. open: nobody has ruled. ruled: it has a ruling. merged: its accounts are in another case. void:
# what made it was undone.
OPEN, RULED, MERGED, VOID = "open", "ruled", "merged", "void"
ALIVE = (OPEN, RULED)
# How somebody came to the store.
COMMAND_LINE, CONSOLE, APPEAL_LINK = "command line", "console", "appeal link"

What = Literal[
    "seen",
    "rule",
    "answer",
    "note",
    "assign",
    "merge",
    "split",
    "undo",
    # A second person for what has consequences: asked for, and what became of it.
    "request",
    "approve",
    "decline",
    "withdraw",
    # A measure against the accounts of a case: planned, begun, ended, and new links for its holders.
    "plan",
    "contain",
    "end",
    "lift",
    "renew",
    # What holders say against it, what is answered, and what nobody answered in time.
    "appeal",
    "reply",
    "decide",
    "lapse",
    # What other systems were told to do, or to take back.
    "carry",
    # About no case: people and their rights, who came and went, what was taken out of the house.
    "person",
    "sign-in",
    "sign-out",
    "lock-out",
    "export",
    # About the cases of a group: the kept text of one of its exchanges was shown to somebody.
    "read",
    # What other providers are told, and tell: a release is proposed (and leaves as an export), a document came in, a
    # measure rests on it too, a provider's word counts from now on or no longer.
    "propose",
    "hear",
    "rely",
    "feed",
]


class Sighting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group in one scan. scan: digest of its tables. odds_bits: of the evidence alone. first, last: of the window.

    limiting, ratio: the criterion that is furthest from a flag, in units of its threshold. question: id of the one to
    ask first. look_alike: id of the question whose innocent case it resembles. What came later is absent from entries
    that were signed before, and stays so.
    """

    scan: str
    group: str
    outcome: str
    accounts: int
    exchanges: int
    families: tuple[str, ...]
    odds_bits: float | None
    first: str
    last: str
    limiting: str | UnsetType = UNSET
    ratio: float | UnsetType = UNSET
    question: str | UnsetType = UNSET
    look_alike: str | UnsetType = UNSET


class Ruling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person decided about the accounts that a case had then.

    explanation: id of the question whose innocent answer is the reason, for `innocent`. scope: `evidence`, until there
    is more of it, or `accounts`, whatever they do. until: last day on which it holds; empty for no end. accounts:
    digest. families, odds_bits: the evidence that it was given on.
    """

    ruling: str
    explanation: str
    scope: str
    until: str
    accounts: str
    families: tuple[str, ...]
    odds_bits: float | None
    at: str
    by: str


class Answered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An answer to a question about the accounts that a case had then. accounts: digest."""

    question: str
    yes: bool
    accounts: str
    at: str
    by: str


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A case as it is. version: raised by every change. accounts: digest of its account ids; size: how many.

    merged_into, absorbed, split_from: its lineage, as ids of cases. due: a day. seen: the newest sighting.
    """

    case: str
    version: int
    status: str
    accounts: str
    size: int
    seen: Sighting
    ruling: Ruling | None = None
    assignee: str = ""
    due: str = ""
    merged_into: str = ""
    absorbed: tuple[str, ...] = ()
    split_from: str = ""
    answers: tuple[Answered, ...] | UnsetType = UNSET

    @property
    def answered(self) -> tuple[Answered, ...]:
        """The answers that stand, one a question."""
        return () if self.answers is UNSET else self.answers


class Shared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document that went to other providers, or came from one. document: its UUID; revision: 0 where it has none.

    what: new, correction, retraction, opinion or sighting. peer: who sent it, or the circle it goes to. digest: SHA-256
    of its bytes in hex. request: entry of the request for a second person's approval; -1 for none.
    """

    direction: str
    document: str
    revision: int
    what: str
    peer: str
    digest: str
    request: int = -1


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the log. by: a name, as its bearer claims it on the command line, and proves it in the console.

    of: the cases that it is about. cases: those it changed, as they are afterwards. because: what the cases do not say,
    such as why a ruled case was opened again, or whose rights were changed to what. sighting: for `seen`. note: hash of
    a note and its salt; empty for none. undone: the entry that an undo took back.
    """

    what: What
    at: str
    by: str
    of: tuple[str, ...]
    cases: tuple[Case, ...] = ()
    because: tuple[str, ...] = ()
    sighting: Sighting | None = None
    note: str = ""
    undone: int | None = None
    via: str = COMMAND_LINE
    containment: Containment | UnsetType = UNSET
    appeal: Appeal | UnsetType = UNSET
    shared: Shared | UnsetType = UNSET


def encoded(record: Entry | Case | Containment | Appeal) -> str:
    """The one spelling of a record."""
    return msgspec.json.encode(record, order="sorted").decode()


def entry(body: str, number: int) -> Entry:
    """An entry from its spelling. Raises LogError for anything that `encoded` does not write."""
    try:
        found = msgspec.json.decode(body, type=Entry)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise LogError(f"entry {number} cannot be read: {error}") from error
    if encoded(found) != body:
        raise LogError(f"entry {number} is not spelled as this program spells it")
    return found


def accounts_digest(accounts: Iterable[str]) -> str:
    """The hash by which the log names a set of accounts."""
    return sha256(accounts_text(accounts).encode()).hexdigest()


def accounts_text(accounts: Iterable[str]) -> str:
    """The one spelling of a set of accounts: a JSON list, sorted."""
    return msgspec.json.encode(sorted(set(accounts))).decode()


def note_digest(salt: str, text: str) -> str:
    """The hash by which the log names a note. The salt keeps short notes from being guessed."""
    return sha256(f"{salt}\n{text}".encode()).hexdigest()
