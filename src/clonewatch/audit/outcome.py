"""The result of one audit test: the hypothesis in words, the p-value with its method, and the assumptions."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypedDict

import numpy as np
import numpy.typing as npt

from clonewatch.audit import stats

# The least p-value that is shown as a plain number: below it, 10 ** log10_p is not a normal double.
_LEAST = -307.0


@dataclass(frozen=True)
class TestResult:
    """One test of the hypothesis that a suspect's behaviour is independent of one secret of ours.

    test: `watermark`, `canary`, `canary-sampling`, `twin` or `equality`. hypothesis: H0 in plain words. mode: `text` or
    `logprobs`, what the suspect returned. n_raw: units seen (tokens, canaries, pairs); n_scored: after exclusions;
    n_distinct: independent draws of the secret among them. statistic: standardised, near N(0, 1) under H0 unless the
    method says otherwise. log10_p: exact or an upper bound, by `method`; never minus infinity. p_rank: the rank of the
    statistic among those of decoy secrets, which assumes nothing about the pseudo-random function; its floor is
    1 / (decoys + 1). commitment: id of the secret in the ledger.
    """

    __test__: ClassVar[bool] = False

    test: str
    hypothesis: str
    mode: str
    n_raw: int
    n_scored: int
    n_distinct: int
    statistic: float
    log10_p: float
    method: str
    p_rank: float | None = None
    decoys: int = 0
    decoy_mean: float | None = None
    decoy_sd: float | None = None
    assumptions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    commitment: str = ""

    def __post_init__(self) -> None:
        if not math.isfinite(self.log10_p) or self.log10_p > 0:
            raise ValueError(f"log10 p is {self.log10_p}; it is finite and at most 0")

    @property
    def p(self) -> float:
        """The p-value as a number above 0; or the least one that is shown (`log10_p` is exact)."""
        return float(10 ** max(self.log10_p, _LEAST))

    def told_p(self) -> str:
        """The p-value as text, even if no double can hold it.

        >>> TestResult("twin", "", "logprobs", 9, 9, 9, 3.0, -400.5, "exact").told_p()
        '3.2e-401'
        """
        return p_value_text(self.log10_p)

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values, for JSON."""
        return {**asdict(self), "assumptions": list(self.assumptions), "notes": list(self.notes)}


class AmongDecoys(TypedDict):
    """The fields of a result that compare a statistic with those of decoy secrets; None without decoys."""

    p_rank: float | None
    decoys: int
    decoy_mean: float | None
    decoy_sd: float | None


def among_decoys(statistic: float, others: npt.NDArray[np.float64]) -> AmongDecoys:
    """The rank of a statistic among those of decoys, and their mean and spread. others: float64[decoys], may be empty.

    >>> among_decoys(3.0, np.array([1.0, -1.0, 0.0]))
    {'p_rank': 0.25, 'decoys': 3, 'decoy_mean': 0.0, 'decoy_sd': 0.816496580927726}
    """
    if not len(others):
        return AmongDecoys(p_rank=None, decoys=0, decoy_mean=None, decoy_sd=None)
    return AmongDecoys(
        p_rank=stats.rank(statistic, others),
        decoys=len(others),
        decoy_mean=float(others.mean()),
        decoy_sd=float(others.std()),
    )


def p_value_text(log10_p: float) -> str:
    """A p-value given as log10, as text for any size; rounded up, so that it never looks smaller.

    >>> p_value_text(-2.0), p_value_text(0.0), p_value_text(-400.5), p_value_text(-9.0 + 1e-12)
    ('0.01', '1', '3.2e-401', '1e-9')
    """
    if log10_p > -3.0:
        return f"{math.ceil(10**log10_p * 1000 - 1e-9) / 1000:g}"
    exponent = math.floor(log10_p + 1e-9)
    digits = math.ceil(10 ** (log10_p - exponent) * 10 - 1e-6) / 10
    if digits >= 10:
        exponent, digits = exponent + 1, 1.0
    return f"{digits:g}e{exponent}"
