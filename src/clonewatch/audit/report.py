"""The report of an audit: what was planned, found and assumed, in sentences that claim no more than the tests show.

It is one list of chapters, rendered as Markdown and as an HTML page. It names the cases whose traffic carried a secret,
as the ledger labels them, and never a person or a company as a cause.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from clonewatch.audit.custody import custody, every_plan
from clonewatch.audit.ledger import Record
from clonewatch.audit.outcome import p_value_text
from clonewatch.audit.plan import STRONG, AuditPlan, PlannedTest
from clonewatch.audit.prf import VllmPhilox, VllmPhiloxSingle
from clonewatch.audit.rendering import Chapter, markdown, page
from clonewatch.audit.run_tests import (
    NO_EVIDENCE,
    NO_VERDICT,
    NOT_USABLE,
    SAME_MODEL,
)
from clonewatch.audit.safeguards import control, imitation

__all__ = ["LIMITS", "OTHER_EXPLANATIONS", "WRITTEN_AT", "Chapter", "chapters", "findings", "markdown", "page"]

_ACCESS = {
    "text": "text only, encoded with our tokenizer",
    "logprobs": "text and the probabilities of likely tokens",
    "scoring": "text, probabilities of likely tokens, and probabilities of given texts",
}
_NAMES = {
    "watermark": "watermark",
    "canary": "canaries",
    "canary-sampling": "canaries, from text",
    "twin": "twin answers",
}
_HYPOTHESES = {
    "watermark": "What the suspect writes and considers likely does not depend on this watermark key.",
    "canary": "Which words the suspect prefers after our carriers does not depend on the seed of these canaries.",
    "twin": "Which answer of a pair the suspect prefers does not depend on the coin that released one.",
}

OTHER_EXPLANATIONS = (
    "Answers of ours were reposted on the web or in a public dataset, and the suspect learned from those.",
    "A vendor, a contractor or a third model was in between, and whoever runs the suspect did not know.",
    "The secret leaked, and somebody else used it.",
    "Somebody else imitated our secret on purpose, to produce this result (spoofing).",
    "The suspect is our own model, resold or called under another name; the equality test examines this.",
)
LIMITS = (
    "It names no person and no company as the cause, and makes no statement on knowledge, purpose or lawfulness.",
    "It does not say how much of any training data came from us.",
    "A p-value is the chance of such a result, or a more extreme one, if the hypothesis of independence holds. It is"
    " not the chance that the hypothesis holds.",
    "A result without evidence clears nobody: rewriting, filtering or a small amount of text can hide a secret.",
    "Its weight in a dispute is for counsel to judge.",
)


# Before the hash of the last record that a report was written from.
WRITTEN_AT = "This report was written when the head of the ledger was "


def chapters(plan: AuditPlan, digest: str, results: Mapping[str, Any], records: Sequence[Record]) -> list[Chapter]:
    """The report of a plan with its results.

    digest: of the plan. records: of the ledger, at least up to the looks at these results.
    """
    return [*findings(plan, results), every_plan(records, digest), _papers(plan, digest, results, records)]


def findings(plan: AuditPlan, results: Mapping[str, Any]) -> list[Chapter]:
    """The chapters that follow from plan and results alone, without the ledger."""
    return [
        Chapter("What was found", _standing(plan, results), _answers(plan, results)),
        _tests(plan),
        _asked(plan, results),
        _figures(plan, results),
        _equality(results),
        control(plan, results),
        imitation(plan, results),
        Chapter("Assumptions", (), _assumptions(plan, results)),
        Chapter(
            "Other explanations",
            ("There are other ways in which a suspect can come to depend on a secret:",),
            OTHER_EXPLANATIONS,
        ),
        Chapter("What this report does not say", (), LIMITS),
    ]


def _standing(plan: AuditPlan, results: Mapping[str, Any]) -> list[str]:
    """What a reader must know before the findings."""
    sentences = []
    replayed = sum(source["replayed"] for source in results["sources"].values())
    if replayed:
        sentences.append(
            f"{replayed:,} answers were collected for another audit, before this plan was made. The prompts and tests"
            " were therefore not fixed before the suspect was asked, which weakens all findings below."
        )
    unconfirmed = [t.id for t in plan.tests if t.test == "watermark" and not t.confirmed]
    if unconfirmed:
        sentences.append(
            f"Key, window and tokenizer of {', '.join(unconfirmed)} were not confirmed on text that we served: if one"
            " of them is wrong, nothing could have been found."
        )
    doubtful = [t.id for t in plan.tests if t.public.get("prf") == VllmPhilox.name and not t.confirmed]
    if doubtful:
        sentences.append(
            f"{', '.join(doubtful)}: two public mappings have the name {VllmPhilox.name}. The one with four tokens to a"
            f" block was assumed; a server that used the other ({VllmPhiloxSingle.name}) would not be found."
        )
    imported = [t.id for t in plan.tests if t.origin == "imported"]
    if imported:
        sentences.append(
            f"The secrets of {', '.join(imported)} were imported, and this ledger does not show how they were chosen."
            " What is found with them holds only if they were drawn at random and without knowledge of the suspect."
        )
    return sentences


def _answers(plan: AuditPlan, results: Mapping[str, Any]) -> list[str]:
    return [_answer(plan, test, row) for test, row in zip(plan.tests, results["tests"], strict=True)]


def _answer(plan: AuditPlan, test: PlannedTest, row: Mapping[str, Any]) -> str:
    """One finding as a sentence."""
    about = f"{test.id} ({_NAMES[test.test]}, {_served(test)})"
    p = p_value_text(row["log10_p_holm"])
    if row["level"] == NOT_USABLE:
        return (
            f"{about}: not usable. The control, which should know nothing of this secret, shows it too"
            f" (corrected p = {p_value_text(row['control_log10_p_holm'])})."
            " Something in our procedure carries the secret."
        )
    if row["level"] == NO_VERDICT:
        return (
            f"{about}: no verdict, whatever the suspect's figures are. The control did not give enough to be tested, so"
            " nothing shows that our procedure carries no trace of the secret."
        )
    if "refused" in row["suspect"]:
        return f"{about}: no evidence, because there was nothing to test: {row['suspect']['refused']}."
    if row["level"] == NO_EVIDENCE:
        return f"{about}: no evidence ({_power(plan, test, row['power'])}). Corrected p = {p}."
    level = row["level"][0].upper() + row["level"][1:]
    if test.origin == "imported":
        level += ", if the imported key was chosen without knowledge of the suspect,"
    if test.test == "watermark":
        return (
            f"{about}: {level} (corrected p = {p}) that the mark of this key is present in the suspect's behaviour. How"
            " it came there is another question: a model that was trained on text that carried the mark shows it, and"
            " so does one that was trained on an imitation of the mark."
        )
    return (
        f"{about}: {level} (corrected p = {p}). The suspect's behaviour depends on this secret. The simplest route is"
        " training on text that carried it; the chapter on other explanations lists more."
    )


def _power(plan: AuditPlan, test: PlannedTest, power: float | None) -> str:
    if power is None:
        return "power unknown"
    looked_for = "training on every released answer" if test.test == "twin" else f"rho={plan.power.share:.0%}"
    return f"power {power:.0%} for {looked_for}"


def _served(test: PlannedTest) -> str:
    carriers = ", ".join(test.carriers)
    return f"served to {carriers}" if carriers else "served to all"


def _tests(plan: AuditPlan) -> Chapter:
    rows = [("Test", "Hypothesis that was tested", "Served to", "From", "Until", "Committed at")]
    rows += [
        (t.id, _HYPOTHESES[t.test], ", ".join(t.carriers) or "all", t.since or "-", t.until or "-", t.committed)
        for t in plan.tests
    ]
    sentences = (
        f"{len(plan.tests)} tests were planned, and all of them are reported. A corrected p-value takes their number"
        " into account (Holm 1979).",
        f"'Evidence' means a corrected p-value of at most {plan.alpha:g}, 'strong evidence' for at most {STRONG:g}.",
        "'From', 'until' and 'served to' are as the owner of the ledger states them; nothing here checks them.",
        "The origin and the order of every secret, as far as the ledger shows them:",
    )
    return Chapter("What was planned", sentences, custody(plan.tests), rows)


def _asked(plan: AuditPlan, results: Mapping[str, Any]) -> Chapter:
    looks = (
        "One look at the answers was planned and made."
        if plan.looks == 1
        else f"Up to {plan.looks} looks were planned, with an e-process that stays valid; this is look"
        f" {results['parts']}."
    )
    sentences = (
        f"Access to the suspect: {_ACCESS[plan.access]}. The access that each test used is in its row below.",
        f"{plan.prompts:,} prompts, {plan.answers} answers to each, at most {plan.tokens} tokens, temperature"
        f" {plan.temperature:g}. {results['requests']:,} requests were sent, including repeated ones.",
        looks,
        "Names and addresses of the models are in plan.json.",
    )
    rows = [("Model", "First answer", "Last answer", "Usable", "Truncated at the limit", "Not usable")]
    for name, source in results["sources"].items():
        why = "; ".join(f"{count:,} {reason}" for reason, count in source["unusable"].items()) or "0"
        rows.append(
            (name, source["first"], source["last"], f"{source['usable']:,}", f"{source['at_the_limit']:,}", why)
        )
    return Chapter("How the models were queried", sentences, (), rows)


def _figures(plan: AuditPlan, results: Mapping[str, Any]) -> Chapter:
    rows = [
        (
            "Test",
            "Read from",
            "Units",
            "Scored",
            "Distinct",
            "Statistic",
            "p",
            "Method",
            "p corrected",
            "p by rank",
            "Decoys: number, mean, standard deviation",
            "Control: p corrected",
            "Finding",
        ),
    ]
    for test, row in zip(plan.tests, results["tests"], strict=True):
        control, result = p_value_text(row["control_log10_p_holm"]), row["suspect"]
        if "control" in row and "refused" in row["control"]:
            control = "not tested"
        if "refused" in result:
            rows.append((test.id, *["-"] * 7, p_value_text(row["log10_p_holm"]), "-", "-", control, row["level"]))
            continue
        rows.append(
            (
                test.id,
                result["mode"],
                f"{result['n_raw']:,}",
                f"{result['n_scored']:,}",
                f"{result['n_distinct']:,}",
                f"{result['statistic']:.2f}",
                p_value_text(result["log10_p"]),
                result["method"],
                p_value_text(row["log10_p_holm"]),
                _rank(result),
                _decoys(result),
                control,
                row["level"],
            )
        )
    notes = [
        f"{test.id}: {note}"
        for test, row in zip(plan.tests, results["tests"], strict=True)
        for note in row["suspect"].get("notes", ())
    ]
    sentences = (
        "p is exact or an upper bound, by the method named. The rank among decoy secrets assumes less and cannot be"
        " below 1 / (number of decoys + 1); if it disagrees, there is no finding.",
    )
    return Chapter("All results", sentences, notes, rows)


def _rank(result: Mapping[str, Any]) -> str:
    return "-" if result["p_rank"] is None else f"{result['p_rank']:.3g}"


def _decoys(result: Mapping[str, Any]) -> str:
    if result["decoy_mean"] is None:
        return f"{result['decoys']:,}"
    return f"{result['decoys']:,}, {result['decoy_mean']:.2f}, {result['decoy_sd']:.2f}"


def _equality(results: Mapping[str, Any]) -> Chapter:
    title, found = "Is it our own model, resold?", results["equality"]
    if found is None:
        return Chapter(title, ("Not tested: the plan names no model of ours. This explanation stands.",))
    if "refused" in found:
        return Chapter(title, (f"Not tested: {found['refused']}. This explanation stands.",))
    p = p_value_text(found["log10_p"])
    if found["log10_p"] > math.log10(SAME_MODEL):
        said = (
            f"The suspect's answers cannot be distinguished from those of our own model (p = {p}, {found['method']})."
            " It may be our model itself; then no training is needed to explain the findings above."
        )
    else:
        said = (
            f"The suspect's answers differ from those of our own model without the watermark (p = {p},"
            f" {found['method']}; the threshold is {SAME_MODEL:g}). This is evidence against a plain resale, not"
            " against a modified model."
        )
    return Chapter(title, (said,))


def _assumptions(plan: AuditPlan, results: Mapping[str, Any]) -> list[str]:
    """Every assumption once, with the tests that make it."""
    made: dict[str, list[str]] = {}
    for test, row in zip(plan.tests, results["tests"], strict=True):
        for one in row["suspect"].get("assumptions", ()):
            made.setdefault(one, []).append(test.id)
    listed = [f"{one} ({', '.join(ids)})" for one, ids in made.items()]
    if plan.power.effect is not None:
        listed.append(
            f"Power of watermark tests: a model trained on nothing else has an effect of {plan.power.effect:g} standard"
            f" deviations per square root of a token, and one with {plan.power.share:.0%} proportionally less. Stated"
            " in the plan, not measured here."
        )
    if any(row["power"] is not None for row in results["tests"]):
        listed.append(
            "Power that the plan does not state was measured on small models that were trained for it. They over-learn:"
            " a large model shows less, so the true power is lower."
        )
    return listed


def _papers(plan: AuditPlan, digest: str, results: Mapping[str, Any], records: Sequence[Record]) -> Chapter:
    mine = [r for r in records if r.body.get("plan") == digest or r.body.get("digest") == digest]
    rows = [("Ledger", "At", "What", "SHA-256")]
    commitments = {t.commitment: t.id for t in plan.tests}
    rows += [
        (str(r.n), r.at, f"commitment of {commitments[r.body['commitment']]}", r.body["commitment"])
        for r in records
        if r.kind == "commit" and r.body["commitment"] in commitments
    ]
    for r in mine:
        if r.kind == "plan":
            rows.append((str(r.n), r.at, "plan", digest))
        elif r.body["test"] == "collect":
            rows.append((str(r.n), r.at, "raw answers sealed (manifest.json)", r.body["result"]))
        else:
            rows.append((str(r.n), r.at, f"look at {r.body['test']}", r.body["result"]))
    sentences = (
        "Each line is a record of the ledger, in which each record contains the hash of the previous one. `clonewatch"
        " audit verify` checks them, every raw answer and every figure above, offline.",
        f"The plan was made at {plan.made}, when the head of the ledger was {plan.head}.",
        f"{WRITTEN_AT}{records[-1].hash}.",
        "Times are those of the clock of whoever kept the ledger. They prove no age by themselves: only a head that was"
        " published, or stamped by an authority, shows that a record existed at a time.",
        f"The answers tested here are those sealed as {results['sealed']}, by version {results['program']}.",
    )
    return Chapter("Commitments, hashes and looks", sentences, (), rows)
