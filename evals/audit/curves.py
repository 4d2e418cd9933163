"""Power curves fitted to the rows of the audit study, and how well they predict held-out seeds."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from clonewatch.audit import power
from clonewatch.audit.power import Curve

F64 = npt.NDArray[np.float64]

FILE = Path(power.__file__).with_name("curves.json")
# A student of watermarked answers only is always detected and distorts the fit: power matters for smaller shares.
LARGEST = 0.25
# Not Gumbel-max: at equal share one key gave twice the evidence of others, so no curve predicts a key.
RULES = ("kgw",)
READINGS = ("plain", "text", "logprobs")
# Bounds of the search: natural logarithms of reach, from tens of tokens to more than anyone requests.
_REACH = (math.log(30), math.log(1e9))


class Point(NamedTuple):
    """One measured result: a curve's name, the seed, the training share, tokens or pairs, and sqrt(-2 ln p)."""

    curve: str
    seed: int
    share: float
    n: int
    evidence: float


def points(sums: dict[str, Any]) -> list[Point]:
    """Every row of the study that informs power."""
    found = []
    neural = sums.get("neural", {})
    for students, part in (("trigram", sums), ("transformer", neural)):
        for row in [*part.get("dilution", ()), *part.get("queries", ())]:
            if row["rule"] in RULES and 0 < row["share"] <= LARGEST:
                found += [
                    Point(
                        f"{students}/{row['rule']}/{reading}",
                        row["seed"],
                        row["share"],
                        row["tokens"],
                        evidence(row[reading]),
                    )
                    for reading in READINGS
                ]
    found += [
        Point("transformer/twin/logprobs", row["seed"], 1.0, row["pairs"], evidence(row["centred"]))
        for row in neural.get("twins", ())
        if row["trained_on_them"]
    ]
    return found


def evidence(log10_p: float) -> float:
    """Evidence as the curves define it, sqrt(-2 ln p).

    >>> round(evidence(-6.0), 2)
    5.26
    """
    return math.sqrt(max(0.0, -2 * math.log(10) * log10_p))


def fit(rows: Sequence[Point]) -> Curve:
    """The maximum-likelihood curve for the points of one name. With a single share the bend is fixed at 1."""
    share, n, y = (np.array(column, float) for column in zip(*((r.share, r.n, r.evidence) for r in rows), strict=True))
    bends = len(set(share.tolist())) > 1

    def curve(x: F64) -> Curve:
        reach = math.exp(min(max(x[1], _REACH[0]), _REACH[1]))
        return Curve(math.exp(x[0]), min(max(x[3], 0.2), 1.5) if bends else 1.0, reach, min(abs(x[2]), 1.0))

    def unlikely(x: F64) -> float:
        chosen = curve(x)
        mean = np.array([chosen.mean(s, m) for s, m in zip(share, n, strict=True)])
        deviation = np.hypot(1.0, chosen.spread * mean)
        return float((((y - mean) / deviation) ** 2 / 2 + np.log(deviation)).sum())

    starts = [np.array([math.log(0.2), reach, 0.1, 1.0]) for reach in (math.log(1e3), math.log(1e5))]
    found = min(
        (minimize(unlikely, x, method="Nelder-Mead", options={"maxiter": 4000}) for x in starts),
        key=lambda result: float(result.fun),
    )
    effect, bend, reach, spread = curve(found.x)
    return Curve(round(effect, 4), round(bend, 3), round(reach), round(spread, 3))


def predicted(rows: Iterable[Point], alpha: float = 1e-3) -> list[tuple[Point, float, float]]:
    """Every point with the prediction of the other seeds' curves: deviation in standard deviations, and power."""
    listed = list(rows)
    found = []
    for name in sorted({r.curve for r in listed}):
        mine = [r for r in listed if r.curve == name]
        for seed in sorted({r.seed for r in mine}):
            others = [r for r in mine if r.seed != seed]
            if not others:
                continue
            curve = fit(others)
            for row in (r for r in mine if r.seed == seed):
                mean = curve.mean(row.share, row.n)
                off = (row.evidence - mean) / curve.deviation(mean)
                found.append((row, off, power.power(curve, row.share, row.n, alpha)))
    return found


def fitted(rows: Sequence[Point]) -> dict[str, Curve]:
    """One curve per name."""
    return {name: fit([r for r in rows if r.curve == name]) for name in sorted({r.curve for r in rows})}


def write(sums: dict[str, Any], file: Path = FILE) -> None:
    """Fit every curve that has rows, and write the file that `audit.power` reads."""
    found = {name: curve._asdict() for name, curve in fitted(points(sums)).items()}
    file.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
