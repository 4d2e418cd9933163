"""Model equality: is the suspect our own model, resold? A permutation test on completions of the same prompts.

Run it first: a resold copy answers like us without having been trained on anything. Source: Gao, Liang and Guestrin,
"Model equality testing: which model is this API serving?", 2024 (arXiv 2410.20247).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from clonewatch.audit import stats
from clonewatch.audit.outcome import TestResult
from clonewatch.model.errors import InputError

F64 = npt.NDArray[np.float64]

# Completions are compared over this many characters: what follows differs by chance alone.
LENGTH = 200
_FEWEST = 2  # completions of a prompt, on either side, for a difference within it to be seen at all


def test_equality(
    ours: Mapping[str, Sequence[str]],
    theirs: Mapping[str, Sequence[str]],
    *,
    permutations: int = 999,
    length: int = LENGTH,
    seed: int = 0,
) -> TestResult:
    """Test whether two sources give completions of the same distribution, by MMD with a Hamming kernel.

    ours, theirs: completions by prompt; prompts without two completions on either side are left out. The two are
    permuted within a prompt, so that the p-value is exact; its floor is 1 / (permutations + 1). A small p says that the
    models differ; a large one, that this many completions do not tell them apart.
    """
    prompts = [p for p in ours if len(ours[p]) >= _FEWEST and len(theirs.get(p, ())) >= _FEWEST]
    if not prompts:
        raise InputError(
            "no prompt has two completions of either model", mend="Ask both the same prompts, twice or more"
        )
    draw = np.random.default_rng(seed)
    total = np.zeros(permutations + 1)
    counted = 0
    for prompt in prompts:
        kernel = _hamming([*ours[prompt], *theirs[prompt]], length)
        n, both = len(ours[prompt]), len(kernel)
        sign = np.full((permutations + 1, both), -1.0 / (both - n))
        sign[0, :n] = 1.0 / n
        for row in range(1, permutations + 1):
            sign[row, draw.permutation(both)[:n]] = 1.0 / n
        # The squared distance of the two means in the kernel's space, for the real split and every other one.
        total += np.einsum("ri,ij,rj->r", sign, kernel, sign, optimize=True)
        counted += both
    real, others = float(total[0]), total[1:]
    p, spread = stats.rank(real, others), float(others.std())
    return TestResult(
        test="equality",
        hypothesis="The suspect and our model give completions of one distribution.",
        mode="text",
        n_raw=sum(map(len, ours.values())) + sum(map(len, theirs.values())),
        n_scored=counted,
        n_distinct=len(prompts),
        statistic=(real - float(others.mean())) / spread if spread else 0.0,
        log10_p=math.log10(p),
        method="exact permutation, MMD with a Hamming kernel",
        p_rank=p,
        decoys=permutations,
        assumptions=("Completions of one prompt are independent draws, at the same settings on either side.",),
        notes=("A small p says that the models differ; only a large one supports that our model is resold.",),
    )


def _hamming(texts: Sequence[str], length: int) -> F64:
    """Share of places in which two texts agree. float64[N, N]."""
    codes = np.array([[ord(c) for c in t[:length].ljust(length, "\0")] for t in texts], np.int64)
    same: F64 = (codes[:, None, :] == codes[None, :, :]).mean(2)
    return same
