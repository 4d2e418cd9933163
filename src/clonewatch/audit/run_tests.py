"""From raw answers to results: every planned test on the suspect and on the control, corrected for their number.

Nothing here uses the network, and every random draw is fixed by the plan, so anybody with the folder and the secrets
obtains the same figures.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from clonewatch.audit import canary, equality, power, requests, stats, twin, watermark
from clonewatch.audit.asking import ROLES
from clonewatch.audit.collected import WITHOUT_REFERENCE, Collected
from clonewatch.audit.committing import watermark_of
from clonewatch.audit.folder import Unreadable
from clonewatch.audit.outcome import TestResult
from clonewatch.audit.plan import STRONG, AuditPlan, PlannedTest, reaches
from clonewatch.model.errors import InputError

Secret = Callable[[str], bytes]

STRONG_EVIDENCE, EVIDENCE, NO_EVIDENCE = "strong evidence", "evidence", "no evidence"
NOT_USABLE, NO_VERDICT = "not usable", "no verdict"
# A bound that assumes an ideal function says "evidence" only if the rank among decoys, which does not, agrees.
_RANK_AGREES = 0.05
# A control that gave less than this share of what the suspect gave shows too little: with a quarter of the draws, an
# effect has half of its strength.
LEAST_CONTROL = 0.25
# What a test draws from, by its name: units of one kind for the suspect and the control.
_UNITS = {"watermark": "n_distinct", "twin": "n_distinct", "canary": "n_scored", "canary-sampling": "n_raw"}
# Above this p, the suspect's answers cannot be distinguished from our own.
SAME_MODEL = 0.01


def results_of(plan: AuditPlan, collected: Collected, secret: Secret, parts: int) -> dict[str, Any]:
    """The results of a plan, as plain values.

    collected: what was collected. secret: of a commitment. parts: how many of the plan's looks are due. A test that
    cannot be run counts with p = 1 and states the reason.
    """
    rows: list[dict[str, Any]] = []
    for test in plan.tests:
        told = {name: _attempt(lambda t=test, n=name: _test(plan, collected, t, secret, n, parts)) for name in ROLES}  # type: ignore[misc]
        rows.append({"id": test.id, **told})
    corrected = {n: stats.holm([row[n].get("log10_p", 0.0) for row in rows]) for n in ROLES}
    for i, row in enumerate(rows):
        row["log10_p_holm"], row["control_log10_p_holm"] = corrected["suspect"][i], corrected["control"][i]
        row["level"] = _level(plan, row)
        row["power"] = _power(plan, plan.tests[i], row["suspect"], len(rows))
    return {
        "parts": parts,
        "sources": {name: collected.counted(name, parts) for name in plan.sources},
        "equality": _attempt(lambda: _equality(plan, collected, parts)) if "ours" in plan.sources else None,
        "tests": rows,
    }


def _attempt(made: Callable[[], TestResult]) -> dict[str, Any]:
    """A result as plain values, or why there is none. Raises Unreadable, because the ledger keeps what a test gives."""
    try:
        return made().to_json()
    except Unreadable:
        raise
    except InputError as error:
        return {"refused": error.what + (f". {error.fix}" if error.fix else "")}


def _test(
    plan: AuditPlan, collected: Collected, test: PlannedTest, secret: Secret, name: str, parts: int
) -> TestResult:
    if test.test == "watermark":
        result = _watermark(plan, collected, test, secret, name, parts)
    elif test.test == "canary":
        result = _canary(plan, collected, test, secret, name)
    else:
        result = _twin(plan, collected, test, secret, name)
    return dataclasses.replace(result, commitment=test.commitment)


def _watermark(
    plan: AuditPlan, collected: Collected, test: PlannedTest, secret: Secret, name: str, parts: int
) -> TestResult:
    keyed = watermark_of(test, secret(test.commitment))
    read = collected.samples(name, range(parts))
    result = watermark.test_watermark(read.samples, keyed, mode=read.mode, reference=read.reference, decoys=plan.decoys)
    result = dataclasses.replace(result, notes=(*result.notes, *read.notes))
    if plan.looks == 1:
        return result
    looks = stats.EProcess(keyed.rule, keyed.gamma)
    log10_p, seen = 0.0, np.zeros(0, np.uint64)
    for part in range(parts):
        one = collected.samples(name, [part], like=read)
        counted = watermark.tally(one.samples, keyed.prf, one.mode, one.reference)
        inputs = keyed.prf.inputs(counted.context, counted.token)
        # Inputs that an earlier look scored are not new draws.
        fresh = ~np.isin(inputs, seen)
        scores = watermark.scores(keyed.prf, counted, keyed.rule, keyed.gamma)
        log10_p = looks.look(counted.weight[fresh], scores[fresh])
        seen = np.union1d(seen, inputs)
    return dataclasses.replace(
        result,
        log10_p=min(0.0, log10_p),
        notes=(*result.notes, "The rank among decoys is that of this look alone; it guards the finding."),
        method=f"e-process, valid for any number of looks; look {parts} of at most {plan.looks}",
    )


def _canary(plan: AuditPlan, collected: Collected, test: PlannedTest, secret: Secret, name: str) -> TestResult:
    minted = requests.minted(test, secret)
    if plan.access != "scoring":
        told = [[a.text for a in collected.answers(name, f"canary-{test.id}-{i:05d}")] for i in range(len(minted))]
        if not any(told):
            raise InputError(f"the {name} completed no carrier")
        return canary.test_canary_samples(minted, told)
    true, others = [], []
    for i, one in enumerate(minted):
        listed = requests.candidates(one)
        texts = [f"{one.carrier} {words}" for words in listed]
        held = collected.scores(name, f"canary-{test.id}-{i:05d}", texts, [len(one.carrier)] * len(texts))
        if held is not None and len(listed) == requests.CANARY_DECOYS + 1:
            place = listed.index(one.secret)
            true.append(held[place])
            others.append(held[:place] + held[place + 1 :])
    if not true:
        raise InputError(f"the {name} scored no canary")
    result = canary.test_canaries(true, others)
    return _missed(result, len(minted) - len(true), "canaries")


def _twin(plan: AuditPlan, collected: Collected, test: PlannedTest, secret: Secret, name: str) -> TestResult:
    pairs = requests.pairs_of(test, collected.twins, plan.tests)
    coins = secret(test.commitment)
    scoring = plan.access == "scoring"
    rows: list[tuple[float, float, float, float]] = []
    asked = []
    for i, pair in enumerate(pairs):
        what = f"twin-{test.id}-{i:05d}"
        slots = twin.release(0, 1, coins, pair["request_id"])
        texts = [pair["prompt"] + pair[slot] for slot in ("first", "second")]
        starts = [len(pair["prompt"])] * 2
        if scoring:
            held = collected.scores(name, what, texts, starts)
            ours = collected.scores("ours", what, texts, starts) if "ours" in plan.sources else [0.0, 0.0]
        else:
            held, ours = _alike(collected, name, what, pair), [0.0, 0.0]
        if held is not None and ours is not None:
            rows.append((held[slots[0]], held[slots[1]], ours[slots[0]], ours[slots[1]]))
            asked.append(pair["prompt"])
    if not rows:
        raise InputError(f"the {name} scored no pair" if scoring else f"the {name} answered no prompt of a pair")
    columns = np.array(rows).T
    result = twin.test_twins(
        columns[0],
        columns[1],
        prompts=asked,
        ours=(columns[2], columns[3]),
        mode="logprobs" if scoring else "text",
        decoys=plan.decoys,
    )
    return _missed(result, len(pairs) - len(rows), "pairs")


def _alike(collected: Collected, name: str, what: str, pair: dict[str, Any]) -> list[float] | None:
    """Similarity of a model's own answers to both answers of a pair: mean share of common token pairs (Dice 1945)."""
    own = [_bigrams(collected.tokenizer.encode(a.text)) for a in collected.answers(name, what)]
    if not own:
        return None
    both = [_bigrams(collected.tokenizer.encode(pair[slot])) for slot in ("first", "second")]
    return [math.fsum(2 * len(o & b) / max(1, len(o) + len(b)) for o in own) / len(own) for b in both]


def _bigrams(ids: Sequence[int]) -> set[tuple[int, int]]:
    return set(itertools.pairwise(ids))


def _missed(result: TestResult, missed: int, what: str) -> TestResult:
    if not missed:
        return result
    return dataclasses.replace(result, notes=(*result.notes, f"{missed} {what} were not scored and were left out."))


def _equality(plan: AuditPlan, collected: Collected, parts: int) -> TestResult:
    told = [collected.texts(name, range(parts)) for name in ("ours", "suspect")]
    return equality.test_equality(told[0], told[1], permutations=plan.decoys)


def _level(plan: AuditPlan, row: dict[str, Any]) -> str:
    """The level of evidence of a test, from its corrected p-value, its rank, and the control."""
    line = math.log10(plan.alpha)
    if "refused" not in row["control"] and row["control_log10_p_holm"] <= line:
        return NOT_USABLE
    if not control_works(row):
        return NO_VERDICT
    rank = row["suspect"].get("p_rank")
    if row["log10_p_holm"] > line or (rank is not None and rank > _RANK_AGREES):
        return NO_EVIDENCE
    return STRONG_EVIDENCE if row["log10_p_holm"] <= math.log10(STRONG) else EVIDENCE


def control_works(row: dict[str, Any]) -> bool:
    """Whether the control was tested, and on enough that the secret would have shown if our procedure carried it.

    Where the suspect gave nothing to test, there is nothing to compare with.
    """
    if "refused" in row["control"]:
        return False
    return "refused" in row["suspect"] or units(row["control"]) >= LEAST_CONTROL * units(row["suspect"])


def units(told: dict[str, Any]) -> int:
    """How much a test draws from: distinct inputs, pairs, canaries or completions."""
    return int(told[_UNITS[told["test"]]])


def _power(plan: AuditPlan, test: PlannedTest, told: dict[str, Any], tests: int) -> float | None:
    """The power of this test, as it was run, for the plan's share; None if unknown."""
    if "refused" in told:
        return None
    centred = "ours" in plan.sources and WITHOUT_REFERENCE not in told["notes"]
    curve = curve_of(plan, test, told["mode"], centred)
    share = 1.0 if test.test == "twin" else plan.power.share
    return None if curve is None else power.power(curve, share, told["n_scored"], plan.alpha, tests)


class Promise(NamedTuple):
    """Expected results of a test: the power for the plan's share, and the share found with a power of 80 %."""

    power: float
    smallest: float


def promised(plan: AuditPlan, collected: Collected) -> list[Promise | None]:
    """The expected power of every test of a plan, before any request; None if unknown."""
    mode, centred = ("logprobs" if reaches(plan.access, "logprobs") else "text"), "ours" in plan.sources
    tests = len(plan.tests)
    told: list[Promise | None] = []
    for test in plan.tests:
        n, share = plan.prompts * plan.answers * plan.tokens, plan.power.share
        if test.test == "twin":
            n, share = len(requests.pairs_of(test, collected.twins, plan.tests)), 1.0
            curve = curve_of(plan, test, "logprobs" if plan.access == "scoring" else "text", centred)
        else:
            curve = curve_of(plan, test, mode, centred)
        told.append(
            curve
            and Promise(power.power(curve, share, n, plan.alpha, tests), power.smallest(curve, n, plan.alpha, tests))
        )
    return told


def curve_of(plan: AuditPlan, test: PlannedTest, mode: str, centred: bool) -> power.Curve | None:
    """How the evidence of a test grows: as stated in the plan, otherwise as measured; None if neither.

    mode: what is read, `text` or `logprobs`. centred: whether our own model is the reference. The curve of twins is for
    a suspect that was trained on every released answer.
    """
    if test.test == "watermark" and plan.power.effect is not None:
        return power.Curve(plan.power.effect)
    if test.test == "twin":
        return power.measured("twin", mode) if centred else None
    served = {name: test.public.get(name) for name in power.MEASURED}
    if test.test != "watermark" or plan.looks > 1 or served != power.MEASURED:
        return None
    reading = mode if centred else {"text": "plain"}.get(mode, "")
    return power.measured(test.public["rule"], reading)
