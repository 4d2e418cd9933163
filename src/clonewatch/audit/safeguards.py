"""The chapters of a report on what guards a finding: the control, and what an imitation of a mark would show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clonewatch.audit.outcome import p_value_text
from clonewatch.audit.plan import AuditPlan
from clonewatch.audit.rendering import Chapter
from clonewatch.audit.run_tests import EVIDENCE, NO_VERDICT, NOT_USABLE, STRONG_EVIDENCE, units


def control(plan: AuditPlan, results: Mapping[str, Any]) -> Chapter:
    """What the control was tested on, and what that showed; nothing about what was not measured."""
    told = []
    for row in results["tests"]:
        if "refused" in row["control"]:
            told.append(f"{row['id']}: the control could not be tested. {row['control']['refused']}. No verdict.")
            continue
        measured = (
            f"{row['id']}: tested on {units(row['control']):,} units, read from {row['control']['mode']}; corrected p ="
            f" {p_value_text(row['control_log10_p_holm'])}"
        )
        if "refused" not in row["suspect"]:
            measured += f". The suspect gave {units(row['suspect']):,} units, read from {row['suspect']['mode']}"
        if row["level"] == NOT_USABLE:
            measured += ". It shows the secret, so the test is not usable"
        elif row["level"] == NO_VERDICT:
            measured += ". That is too little to compare with: no verdict"
        told.append(measured + ".")
    return Chapter(
        "The control",
        (
            "A model that is named in the plan as one that cannot have seen our answers was sent the same requests; its"
            f" answers got the same tests. It shows a secret where its corrected p-value is at most {plan.alpha:g}. A"
            " test without a working control has no verdict.",
        ),
        told,
    )


def imitation(plan: AuditPlan, results: Mapping[str, Any]) -> Chapter:
    """What the findings say about imitation of a mark."""
    found = [
        (t, r) for t, r in zip(plan.tests, results["tests"], strict=True) if r["level"] in (EVIDENCE, STRONG_EVIDENCE)
    ]
    marks = [t.id for t, _ in found if t.test == "watermark"]
    others = [t.id for t, _ in found if t.test != "watermark"]
    tested = [t.id for t in plan.tests if t.test != "watermark"]
    sentences = [
        "Whoever has enough of our marked answers can train a model that writes the mark without knowing the key, and"
        " whoever has the key can write it at will. A suspect trained on such text shows the mark, although it never"
        " met an answer of ours. A watermark test therefore shows that a mark is present, and not who wrote it.",
        "Canaries and twin answers are not reproduced by an imitation of the mark: they depend on secrets that the"
        " imitated text does not carry, unless the imitator also repeated the answers themselves.",
    ]
    if marks and others:
        sentences.append(
            f"Here {', '.join(marks)} found a mark, and {', '.join(others)} found dependence on such a secret."
        )
    elif marks:
        why = f"{', '.join(tested)} found none" if tested else "no canaries and no twin answers were planned"
        sentences.append(
            f"Here {', '.join(marks)} found a mark, and {why}: nothing in this audit rules out that it is an imitation."
        )
    return Chapter("Imitation of a mark", sentences)
