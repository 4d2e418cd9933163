"""The tables of a case store. The entries are the truth; the rest follows from them, or is named there by its hash."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, MetaData, String, Table, Text

_DIGEST, _CASE, _DAY = String(64), String(16), String(10)
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
    Index("cases_by_status", "status"),
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
