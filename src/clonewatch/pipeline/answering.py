"""Records what was found out about a group of a finished scan, for later scans to read."""

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime
from pathlib import Path

from clonewatch.campaigns.answers import append
from clonewatch.model.answers import Answer
from clonewatch.model.errors import InputError, SetupError
from clonewatch.model.questions import BY_ID
from clonewatch.pipeline.scan_result import ScanResult

# Beside the folder of the result: the next scan may replace what that folder holds.
ANSWERS = "answers.jsonl"


def answer(found: ScanResult, group: str, yes: bool, question: str | None, answers: Path | None, note: str) -> Path:
    """Add the answer about a group to an answers file; returns the file.

    question: None for the one that the scan asks. answers: None for ANSWERS beside the result folder. Raises
    SetupError where no question is named or asked, InputError for an unknown group or one without members, OutputError
    if the file cannot be written.
    """
    shown = found.show(group)
    asked = question or shown["campaign"].get("question")
    if asked not in BY_ID:
        wrong = f"there is no question {asked!r}" if asked else f"the scan asks nothing about {group}"
        raise SetupError(wrong, fix=f"Pass --question with one of: {', '.join(BY_ID)}")
    accounts = frozenset(m["account_id"] for m in shown["members"] if m["role"] != "proxy_customer")
    if not accounts:
        raise InputError(f"{group} has no members, only bystanders", fix="Answer about another group")
    if answers is None and found.directory is None:
        raise SetupError("the result is in memory only", fix="Name a file for the answers")
    place = answers or Path(os.path.realpath(found.directory or ".")).parent / ANSWERS
    append(place, Answer(asked, yes, accounts, group, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", _user(), note))
    return place


def _user() -> str:
    """The name of whoever answers, as the system knows it; empty where it knows none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""  # in a container without an entry for this user
