"""The tables of a case store. The entries are the truth; the rest follows from them, or is named there by its hash."""

from __future__ import annotations

from math import floor

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

from clonewatch.cases.measures import Appeal, Containment
from clonewatch.cases.records import OPEN, Case, encoded
from clonewatch.cases.standing_odds import posterior_bits

_DIGEST, _CASE, _DAY, _NAME, _TIME = String(64), String(16), String(10), String(64), String(20)
METADATA = MetaData()

# One row. writes: raised first in every transaction that writes, so that they come one after the other.
STORE = Table(
    "store",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("writes", Integer, nullable=False),
    Column("log_key", Text, nullable=False),
)
# The log. body: an entry in its one spelling.
ENTRIES = Table(
    "entries",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
)
# peaks: the frontier of the tree, in hex, so that the next head needs no old entries.
HEADS = Table(
    "heads",
    METADATA,
    Column("size", Integer, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),
    Column("peaks", Text, nullable=False),
)
# Sets of account ids by the hash that the log knows. Never changed: a case that grows gets another set.
ACCOUNT_SETS = Table(
    "account_sets",
    METADATA,
    Column("digest", _DIGEST, primary_key=True),
    Column("accounts", Text, nullable=False),
)
# body: the case in its one spelling; the other columns repeat what queries need.
CASES = Table(
    "cases",
    METADATA,
    Column("case_id", _CASE, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("status", _CASE, nullable=False),
    Column("assignee", Text, nullable=False),
    Column("due", _DAY, nullable=False),
    Column("until", _DAY, nullable=False),
    Column("accounts", _DIGEST, ForeignKey("account_sets.digest"), nullable=False),
    Column("body", Text, nullable=False),
    Column("outcome", _CASE, nullable=False, server_default=""),
    Column("ruling", _CASE, nullable=False, server_default=""),
    Column("size", Integer, nullable=False, server_default="0"),
    Column("exchanges", BigInteger, nullable=False, server_default="0"),
    Column("odds_bits", Double),
    Column("whole_bits", Integer),
    Column("last", String(32), nullable=False, server_default=""),
    Index("cases_by_status", "status"),
    Index("cases_by_odds", "status", "outcome", "whole_bits", "exchanges"),
)
# Which entries are about which cases.
TOUCHED = Table(
    "touched",
    METADATA,
    Column("entry", Integer, ForeignKey("entries.number"), primary_key=True),
    Column("case_id", _CASE, ForeignKey("cases.case_id"), primary_key=True),
    Index("touched_by_case", "case_id"),
)
# Accounts of open and ruled cases, each by its hash: which cases a group may belong to.
CASE_ACCOUNTS = Table(
    "case_accounts",
    METADATA,
    Column("case_id", _CASE, ForeignKey("cases.case_id"), primary_key=True),
    Column("account", _DIGEST, primary_key=True),
    Index("case_accounts_by_account", "account"),
)
# Notes by the entry that holds their hash.
NOTES = Table(
    "notes",
    METADATA,
    Column("entry", Integer, ForeignKey("entries.number"), primary_key=True, autoincrement=False),
    Column("salt", String(32), nullable=False),
    Column("text", Text, nullable=False),
)
# Who may sign in. password: an argon2id hash; empty for none. subject: issuer and subject of an identity provider.
# link: hash of a one-time link that sets a password. failures: wrong passwords in a row.
PEOPLE = Table(
    "people",
    METADATA,
    Column("name", _NAME, primary_key=True),
    Column("role", _CASE, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("password", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("link", _DIGEST, nullable=False),
    Column("link_until", _TIME, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("locked_until", _TIME, nullable=False),
    Column("made", _TIME, nullable=False),
    Column("seen", _TIME, nullable=False),
    Index("people_by_subject", "subject"),
    Index("people_by_link", "link"),
)
# digest: hash of what the cookie holds, so that a copy of the store signs nobody in.
SESSIONS = Table(
    "sessions",
    METADATA,
    Column("digest", _DIGEST, primary_key=True),
    Column("person", _NAME, ForeignKey("people.name"), nullable=False),
    Column("made", _TIME, nullable=False),
    Column("seen", _TIME, nullable=False),
    Index("sessions_by_person", "person"),
)
# Filters of the queue that a person keeps under a name.
SAVED_VIEWS = Table(
    "saved_views",
    METADATA,
    Column("person", _NAME, ForeignKey("people.name"), primary_key=True),
    Column("name", _NAME, primary_key=True),
    Column("query", Text, nullable=False),
)
# What one person asked for and another has to approve. entry, decided_entry: where the log says so; the first has the
# reason as its note.
APPROVALS = Table(
    "approvals",
    METADATA,
    Column("entry", Integer, ForeignKey("entries.number"), primary_key=True, autoincrement=False),
    Column("case_id", _CASE, ForeignKey("cases.case_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("what", _CASE, nullable=False),
    Column("state", _CASE, nullable=False),
    Column("by", _NAME, nullable=False),
    Column("at", _TIME, nullable=False),
    Column("decided_entry", Integer),
    Column("decided_by", _NAME, nullable=False),
    Column("decided_at", _TIME, nullable=False),
    Index("approvals_by_state", "state"),
    Index("approvals_by_case", "case_id"),
)
# Measures against accounts. body: the containment in its one spelling.
CONTAINMENTS = Table(
    "containments",
    METADATA,
    Column("containment", _CASE, primary_key=True),
    Column("case_id", _CASE, ForeignKey("cases.case_id"), nullable=False),
    Column("request", Integer, ForeignKey("approvals.entry"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", _CASE, nullable=False),
    Column("until", _DAY, nullable=False),
    Column("body", Text, nullable=False),
    Index("containments_by_state", "state"),
    Index("containments_by_case", "case_id"),
    Index("containments_by_request", "request"),
)
# The accounts under them, by hash. version: that of the containment when this account was changed last. token: hash of
# the secret in the appeal link.
HOLDERS = Table(
    "holders",
    METADATA,
    Column("containment", _CASE, ForeignKey("containments.containment"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("account", _DIGEST, nullable=False),
    Column("state", _CASE, nullable=False),
    Column("measure", _CASE, nullable=False),
    Column("version", Integer, nullable=False),
    Column("token", _DIGEST, nullable=False),
    Column("token_until", _TIME, nullable=False),
    Index("holders_by_account", "account"),
    Index("holders_by_token", "token", unique=True),
)
# body: the appeal in its one spelling.
APPEALS = Table(
    "appeals",
    METADATA,
    Column("appeal", _CASE, primary_key=True),
    Column("containment", _CASE, ForeignKey("containments.containment"), nullable=False),
    Column("holder", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", _CASE, nullable=False),
    Column("deadline", _TIME, nullable=False),
    Column("body", Text, nullable=False),
    Index("appeals_by_state", "state", "deadline"),
    Index("appeals_by_containment", "containment", "holder", unique=True),
)
# Files of account holders by their hash, never opened.
ATTACHMENTS = Table(
    "attachments",
    METADATA,
    Column("digest", _DIGEST, primary_key=True),
    Column("media_type", String(64), nullable=False),
    Column("size", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),
)
# Which entries they came with. name: what their sender called them.
ATTACHED = Table(
    "attached",
    METADATA,
    Column("entry", Integer, ForeignKey("entries.number"), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("digest", _DIGEST, ForeignKey("attachments.digest"), nullable=False),
    Column("name", Text, nullable=False),
)
# What other systems carried out, up to which version of a holder; behind that, something is left to do.
CARRIED = Table(
    "carried",
    METADATA,
    Column("containment", _CASE, ForeignKey("containments.containment"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("target", _NAME, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("at", _TIME, nullable=False),
)

# Who is told of entries of the log, and up to which number they were read for them.
TARGETS = Table(
    "targets",
    METADATA,
    Column("target", _NAME, primary_key=True),
    Column("next", Integer, nullable=False),
)
# What a target is to be told. event: its id. body: the event as JSON. state: waiting, sent or dead. due: next try.
DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("target", _NAME, primary_key=True),
    Column("event", String(128), primary_key=True),
    Column("kind", _NAME, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", _CASE, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("due", _TIME, nullable=False),
    Column("error", Text, nullable=False),
    Column("made", _TIME, nullable=False),
    Index("deliveries_by_state", "state", "target", "due"),
)

# Documents of sharing. direction: out or in. body: the bytes that left or came, which the log names by their hash.
# state: of ours, proposed or told; of others', held.
SHARED = Table(
    "shared",
    METADATA,
    Column("direction", String(4), primary_key=True),
    Column("document", String(36), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("entry", Integer, ForeignKey("entries.number"), nullable=False),
    Column("case_id", _CASE, nullable=False),
    Column("what", _CASE, nullable=False),
    Column("peer", _NAME, nullable=False),
    Column("state", _CASE, nullable=False),
    Column("request", Integer, nullable=False),
    Column("at", _TIME, nullable=False),
    Column("until", _DAY, nullable=False),
    Column("digest", _DIGEST, nullable=False),
    Column("body", Text, nullable=False),
    Index("shared_by_case", "case_id"),
    Index("shared_by_peer", "peer"),
)
# What came in, one row an indicator, as its newest document has it. warned: the list that it is on; empty for none.
HEARD = Table(
    "heard",
    METADATA,
    Column("document", String(36), primary_key=True),
    Column("indicator", String(36), primary_key=True),
    Column("peer", _NAME, nullable=False),
    Column("kind", _NAME, nullable=False),
    Column("value", Text, nullable=False),
    Column("until", _DAY, nullable=False),
    Column("confidence", Integer, nullable=False),
    Column("withdrawn", _NAME, nullable=False),
    Column("warned", _NAME, nullable=False),
    Index("heard_by_kind", "kind"),
)
# Whose word counts. state: evaluation, on or off.
FEEDS = Table(
    "feeds",
    METADATA,
    Column("peer", _NAME, primary_key=True),
    Column("state", _CASE, nullable=False),
)
# Which documents of others a case rests on too.
RELIED = Table(
    "relied",
    METADATA,
    Column("case_id", _CASE, ForeignKey("cases.case_id"), primary_key=True),
    Column("document", String(36), primary_key=True),
    Column("entry", Integer, ForeignKey("entries.number"), nullable=False),
    Index("relied_by_document", "document"),
)


def containment_row(held: Containment) -> dict[str, object]:
    """A containment as table `containments` holds it."""
    return {
        "containment": held.containment,
        "case_id": held.case,
        "request": held.request,
        "version": held.version,
        "state": held.state,
        "until": held.until,
        "body": encoded(held),
    }


def appeal_row(held: Appeal) -> dict[str, object]:
    """An appeal as table `appeals` holds it."""
    return {
        "appeal": held.appeal,
        "containment": held.containment,
        "holder": held.holder,
        "version": held.version,
        "state": held.state,
        "deadline": held.deadline,
        "body": encoded(held),
    }


def row_of(case: Case) -> dict[str, object]:
    """A case as table `cases` holds it."""
    odds = posterior_bits(case)
    return {
        "case_id": case.case,
        "version": case.version,
        "status": case.status,
        "assignee": case.assignee,
        "due": case.due if case.status == OPEN else "",
        "until": case.ruling.until if case.ruling else "",
        "accounts": case.accounts,
        "body": encoded(case),
        "outcome": case.seen.outcome,
        "ruling": case.ruling.ruling if case.ruling else "",
        "size": case.size,
        "exchanges": case.seen.exchanges,
        "odds_bits": odds,
        "whole_bits": None if odds is None else floor(odds),
        "last": case.seen.last,
    }
