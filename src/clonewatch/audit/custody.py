"""Where each secret came from, and in which order things happened, as far as a ledger shows it and no further."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from clonewatch.audit.ledger import Record
from clonewatch.audit.plan import PlannedTest
from clonewatch.audit.rendering import Chapter

_ORIGINS = {
    "drawn": "drawn at random by this program when it was committed, at {at}",
    "imported": (
        "imported: it existed before it was committed, at {at}. The ledger does not show how it was chosen. Whoever"
        " tries many keys on known answers of a suspect finds one that fits, and it fits new answers too; the p-value"
        " holds only if the key was drawn at random and without knowledge of the suspect"
    ),
    "unknown": "committed at {at}; the ledger does not say whether it was drawn then or imported",
}


class Planned(NamedTuple):
    """A plan of the ledger. n: its record. looks, seals: how often answers were tested and sealed under it."""

    n: int
    at: str
    digest: str
    looks: int
    seals: int
    mine: bool


def custody(tests: Sequence[PlannedTest]) -> list[str]:
    """What the ledger shows about each secret, as sentences."""
    return [f"{t.id}: {_ORIGINS[t.origin].format(at=t.committed)}. {_order(t)}" for t in tests]


def _order(test: PlannedTest) -> str:
    """How the stated use lies to the commitment."""
    day = test.committed[:10]
    if not test.since:
        return "From when it was used is not stated; text that was served before it was committed does not count."
    if test.since >= day:
        return f"It is said to be used from {test.since} on, which is not before it was committed."
    if test.origin == "drawn":
        return f"It is said to be used from {test.since} on, which cannot be: it was drawn later."
    return (
        f"It is said to be used from {test.since} on, before it was committed: nothing shows that it existed then, and"
        " text served before the commitment does not count."
    )


def other_plans(records: Sequence[Record], digest: str) -> list[Planned]:
    """Every plan of a ledger, in order. digest: of the plan that is reported."""
    looks = [r for r in records if r.kind == "look"]
    told = []
    for record in records:
        if record.kind == "plan":
            plan = record.body["digest"]
            mine = [r.body["test"] for r in looks if r.body["plan"] == plan]
            parts = {name.partition("/")[2] for name in mine if "/" in name}
            seals = sum("/" not in name for name in mine)
            told.append(Planned(record.n, record.at, plan, len(parts), seals, plan == digest))
    return told


def every_plan(records: Sequence[Record], digest: str) -> Chapter:
    """Every plan of the ledger, so that a finding is read with those that were looked for."""
    plans = other_plans(records, digest)
    count = len(plans)
    sentences = [f"The ledger holds {count} plan{'s' * (count != 1)} up to its last record that is named below."]
    if count > 1:
        sentences.append(
            "p-values are corrected for the tests of this plan only. For a statement about all plans together, multiply"
            f" each by {count} (Bonferroni)."
        )
    rows = [("Ledger", "Registered at", "Plan", "Looks", "Answers sealed", "This report")]
    rows += [(str(p.n), p.at, p.digest[:16], str(p.looks), str(p.seals), "yes" if p.mine else "no") for p in plans]
    return Chapter("Every plan of this ledger", sentences, (), rows)
