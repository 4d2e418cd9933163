"""What was tried against the audit, as a section of docs/audit.md: each line is a kind of attack or accident."""

from __future__ import annotations

TRIED: tuple[tuple[str, str, str], ...] = (
    (
        "every command killed at random calls to the disk, or any such call failing (`EIO`, disk full, half a write)",
        "the same command goes on to the same result; nothing is asked twice that was answered",
        "`tests/path/test_audit_kills.py`",
    ),
    (
        "random bits flipped in every file; files added, removed, replaced, linked; keys doubled in JSON",
        "`verify` names the file, or lists it as not covered",
        "`tests/unit/test_audit_coverage.py`",
    ),
    (
        "answers with half a character, NaN, endless numbers, a thousand choices, a megabyte of text, any JSON",
        "counted as unusable, or used without their probabilities",
        "`tests/unit/test_audit_hostile.py`, `tests/property/test_audit_answers.py`",
    ),
    (
        "a server that drips bytes, in headers, body or chunks, or is silent",
        "left at a deadline for the whole request, recorded as unusable, passed over",
        "`tests/unit/test_audit_hostile.py`",
    ),
    (
        "a request that is never answered (500, 404, 403, 429)",
        "the first run stops and says so; the next one passes over it once the model answers another",
        "`tests/unit/test_audit_hostile.py`",
    ),
    (
        "a control that refuses, is empty, repeats one word, or answers one prompt in twelve",
        "no verdict",
        "`tests/unit/test_audit_claims.py`",
    ),
    (
        "a control that is the suspect under another spelling of its address",
        "refused before the plan is registered. Two names for one model at different addresses are not seen:"
        " such a control shows the secret, and the test is not usable",
        "`tests/unit/test_audit_claims.py`",
    ),
    (
        "a key that was chosen after the suspect's answers were known",
        "cannot be seen in the ledger; the report says that the key was imported, and that its finding holds"
        " only if it was not chosen so",
        "`tests/unit/test_audit_claims.py`",
    ),
    (
        "several plans in one ledger",
        "every report lists all that were registered when it was written",
        "`tests/unit/test_audit_claims.py`",
    ),
    (
        "text aimed at windows that no key changes",
        "such windows are left out, and the rank among decoy keys is always computed",
        "`tests/unit/test_audit_claims.py`",
    ),
    (
        "two public mappings under the name `philox4x32-10-v1`",
        "`served` text decides which one a plan uses; without it, the report names the assumption",
        "`tests/unit/test_audit_claims.py`",
    ),
    (
        "secrets, windows, days, rates and budgets with which nothing could be found",
        "refused with the reason, before anything is written",
        "`tests/unit/test_audit_options.py`",
    ),
    (
        "a key file that is a folder, a pipe, a device, too large, or no text",
        "refused at once and in plain words, also by `scan`",
        "`tests/unit/test_audit_options.py`",
    ),
    (
        "a suspect trained on an imitation of the mark",
        "the mark is found; twin answers are not; the report says what that means",
        "`tests/path/test_audit_students.py`",
    ),
)


def section() -> str:
    """The section, as Markdown."""
    rows = "\n".join(f"| {' | '.join(row)} |" for row in TRIED)
    return f"""## What was tried against it

Each line is a kind of attack or accident that tests repeat; `CLONEWATCH_LONG=1` repeats the first two more often.

| tried | outcome | test |
|---|---|---|
{rows}
"""
