"""Rules or estimated likelihood ratios: the same evidence, judged by both, on a generator that neither was fitted to.

    python -m evals.likelihood_ratios [--out FOLDER]

Development worlds of three generators are scanned once; every cluster is kept with its evidence. A logistic model with
monotone, shrunken weights is fitted on some generators, its threshold set where it flags no honest group of those, and
then meets the others. Decision 0018 holds the figures. Finished worlds are kept, so an interrupted run resumes.
"""

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import norm

from clonewatch.campaigns.calibration import Calibration
from clonewatch.campaigns.fusion import Verdict
from clonewatch.campaigns.innocent_shapes import shapes
from clonewatch.campaigns.review import evidence_bits
from clonewatch.lab.evaluate import FOUND_PURITY, read_truth
from clonewatch.lab.simulate import simulate
from clonewatch.model.questions import BY_ID
from clonewatch.pipeline.detection.detect import detect
from clonewatch.pipeline.detection.signals import TESTS, signals
from clonewatch.pipeline.intake.deduplicate import settle
from clonewatch.pipeline.intake.staged import Intake
from clonewatch.pipeline.progress.stage_timer import StageTimer
from clonewatch.pipeline.scan import ScanSettings, scan
from clonewatch.pipeline.scan_result import ScanResult
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.behaviour import BehaviouralTest
from evals.jobs import numbered
from evals.other_worlds import QUIET, make
from evals.second_generator.campaigns import FAMILIES
from evals.third_generator.generate import generate

OUT = Path(__file__).parent / "runs" / "likelihood_ratios"
LABORATORY, SECOND, THIRD = "laboratory", "second_generator", "third_generator"
# Generator, names, seeds, size: development seeds all.
WORLDS: tuple[tuple[str, Sequence[str], Sequence[int], float], ...] = (
    (SECOND, sorted(FAMILIES), (41, 42, 43, 44), 0.5),
    (SECOND, (QUIET,), range(71, 77), 1.0),
    (THIRD, ("world",), range(1, 6), 1.0),
    (LABORATORY, numbered("s"), (21, 22), 0.3),
    (LABORATORY, numbered("n"), (21, 22), 0.6),
    (LABORATORY, ("quiet_mixed",), range(5001, 5012, 2), 1.0),
)
# What is fitted, and what it meets.
CONTESTS = (
    ((LABORATORY,), (SECOND, THIRD)),
    ((SECOND,), (LABORATORY, THIRD)),
    ((SECOND, THIRD), (LABORATORY,)),
    ((LABORATORY, THIRD), (SECOND,)),
    ((LABORATORY, SECOND), (THIRD,)),
)
_SMALLEST = 6  # accounts of a group
_MOST_BITS, _MOST_LINKAGE, _MOST_DECEPTION = 8.0, 20.0, 4.0
_SHRINK = 3.0
Floats = NDArray[np.float64]
Row = dict[str, Any]


def main() -> int:
    """Scan the missing worlds and print both judges' figures."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--out", type=Path, default=OUT)
    options = parse.parse_args()
    pa.set_cpu_count(1)
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for world in worlds():
        rows += kept(options.out, world)
        print(*world, len(rows), file=sys.stderr, flush=True)
    for fitted, met in CONTESTS:
        print(json.dumps({"fitted": fitted, "met": met} | contest(rows, fitted, met)))
    return 0


def worlds() -> Iterator[tuple[str, str, int, float]]:
    """Generator, name, seed and size of every world."""
    for generator, names, seeds, size in WORLDS:
        yield from ((generator, name, seed, size) for seed in seeds for name in names)


def kept(out: Path, world: tuple[str, str, int, float]) -> list[Row]:
    """The groups of a world, from the folder of kept runs where possible."""
    place = out / "-".join(map(str, world))
    if not place.is_file():
        draft = place.with_suffix(".part")
        draft.write_text(json.dumps(one(*world)) + "\n", encoding="utf-8")
        draft.replace(place)
    rows: list[Row] = json.loads(place.read_text(encoding="utf-8"))
    return rows


def one(generator: str, name: str, seed: int, size: float) -> list[Row]:
    """Generate a world, scan it, and describe each of its clusters, reported or not."""
    home = Path(tempfile.mkdtemp(prefix="clonewatch-ratios-"))
    found: list[tuple[Verdict, set[str]]] = []

    def examine(
        runner: StepRunner, intake: Intake, calibration: Calibration, timer: StageTimer, *_: Any, **chosen: Any
    ) -> ScanResult:
        settle(runner, intake.read)
        verdicts = detect(runner, chosen["seed"], calibration, timer).verdicts
        owners = runner.engine.fetch("SELECT g.cluster, o.account FROM owners o JOIN groups g ON g.entity = o.entity")
        accounts: dict[int, set[str]] = {verdict.cluster: set() for verdict in verdicts}
        for cluster, account in zip(owners["cluster"].to_pylist(), owners["account"].to_pylist(), strict=True):
            accounts.get(cluster, set()).add(intake.ids[account])
        found.extend((verdict, accounts[verdict.cluster]) for verdict in verdicts)
        return ScanResult(None, {}, {})

    try:
        log, key = home / "log", home / "key"
        key.touch(mode=0o600)
        key.write_text(hashlib.sha256(f"{name} {seed}".encode()).hexdigest() + "\n", encoding="ascii")
        if generator == LABORATORY:
            simulate(name, log, seed=seed, scale=size)
        elif generator == SECOND:
            make(name, seed, size, log)
        else:
            generate(seed, log, size)
        scan(ScanSettings(paths=(str(log),), key_file=key, threads=1), examine=examine)
        roles = read_truth(log).role
    finally:
        shutil.rmtree(home)
    return [
        row(generator, verdict, Counter(roles.get(account, "unknown") for account in accounts), len(accounts))
        for verdict, accounts in found
        if len(accounts) >= _SMALLEST
    ]


def row(generator: str, verdict: Verdict, roles: Counter[str], accounts: int) -> Row:
    """One cluster: its evidence, both orders' values, and what it is. A stolen key's owner counts with the members."""
    fitting = shapes(verdict, {signal.name: signal for signal in signals()})
    return {
        "generator": generator,
        "purity": (roles["member"] + roles["victim"]) / accounts,
        "flagged": verdict.flagged,
        "reported": verdict.linked,
        "odds_bits": evidence_bits(verdict, None) + (BY_ID[fitting[0][0]].shape_bits if fitting else 0.0),
        "evidence": evidence(verdict),
    }


def evidence(verdict: Verdict) -> dict[str, float]:
    """What the model sees: per family of tests the tail bits on both sides, linkage, linking families, deception."""
    tests: Mapping[str, BehaviouralTest] = {name: TESTS.load(name) for name in TESTS.names()}
    families = sorted({test.signal.card.family for test in tests.values()})
    seen = {f"{sign}{family}": 0.0 for family in families for sign in "+-"}
    for reading in verdict.readings:
        z = (reading.value - reading.usual) / np.hypot(reading.spread, reading.error)
        above, below = (max(0.0, float(-tail(z)) / np.log(2) - 1) for tail in (norm.logsf, norm.logcdf))
        if tests[reading.signal].in_bits:
            above, below = max(0.0, reading.value), max(0.0, -reading.value)
        for name, bits in ((f"+{reading.family}", above), (f"-{reading.family}", below)):
            seen[name] = max(seen[name], min(_MOST_BITS, bits))
    linking: dict[str, float] = {}
    for _, family, bits in verdict.links:
        linking[family] = max(linking.get(family, 0.0), bits)
    return seen | {
        "linkage": min(_MOST_LINKAGE, sum(linking.values())),
        "linking_families": float(sum(bits >= 1 for bits in linking.values())),
        "deception": min(_MOST_DECEPTION, verdict.criteria.deception),
    }


class Fitted(NamedTuple):
    """Weights by kind of evidence, in the order of the rows' keys, and the constant."""

    weights: Floats
    constant: float

    def score(self, rows: Sequence[Row]) -> Floats:
        """Log-odds of the groups, in nats, up to the prior."""
        scores: Floats = _matrix(rows) @ self.weights + self.constant
        return scores


def fit(rows: Sequence[Row]) -> Fitted:
    """A logistic model of which groups are campaigns. No evidence for one lowers the odds, none against raises them."""
    x, y = _matrix(rows), np.array([r["purity"] >= FOUND_PURITY for r in rows])
    scale = np.maximum(x.std(axis=0), 0.5)
    weight = np.where(y, 0.5 / max(1, y.sum()), 0.5 / max(1, (~y).sum())) * len(y)
    sign = np.where(y, 1.0, -1.0)
    z = x / scale

    def loss(w: Floats) -> tuple[float, Floats]:
        score = sign * (z @ w[:-1] + w[-1])
        slope = -sign * weight / (1 + np.exp(score))
        nats = float((weight * np.logaddexp(0, -score)).sum() + _SHRINK * (w[:-1] ** 2).sum())
        return nats, np.append(z.T @ slope + 2 * _SHRINK * w[:-1], slope.sum())

    bounds = [(None, 0) if name.startswith("-") else (0, None) for name in rows[0]["evidence"]]
    found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, bounds=[*bounds, (None, None)], method="L-BFGS-B").x
    return Fitted(found[:-1] / scale, float(found[-1]))


def _matrix(rows: Sequence[Row]) -> Floats:
    return np.array([list(r["evidence"].values()) for r in rows])


def contest(rows: Sequence[Row], fitted: Sequence[str], met: Sequence[str]) -> Row:
    """What both judges flag on generators that the model did not see, and how both order the groups there."""
    clear = [r for r in rows if not 1 - FOUND_PURITY <= r["purity"] < FOUND_PURITY]
    learned, unseen = ([r for r in clear if r["generator"] in names] for names in (fitted, met))
    model = fit(learned)
    threshold = max(model.score([r for r in learned if r["purity"] < FOUND_PURITY]))
    scores = model.score(unseen)
    ours = np.array([r["purity"] >= FOUND_PURITY for r in unseen])
    reported = np.array([r["reported"] for r in unseen])
    rules = np.array([r["flagged"] for r in unseen])
    odds = np.array([r["odds_bits"] for r in unseen])
    return {
        "campaigns": int(ours.sum()),
        "honest_groups": int((~ours).sum()),
        "flagged_by_rules": [int((rules & ours).sum()), int((rules & ~ours).sum())],
        "flagged_by_ratios": [int((scores > threshold)[ours].sum()), int((scores > threshold)[~ours].sum())],
        "reported_pairs_in_order_by_rules": _in_order(odds[reported], ours[reported]),
        "reported_pairs_in_order_by_ratios": _in_order(scores[reported], ours[reported]),
    }


def _in_order(values: Floats, ours: NDArray[np.bool_]) -> float | None:
    """Share of pairs of a campaign's group and an honest one in which the campaign's has the higher value."""
    gap = values[ours][:, None] - values[~ours]
    return round(float((gap > 0).mean() + 0.5 * (gap == 0).mean()), 3) if gap.size else None


if __name__ == "__main__":
    sys.exit(main())
