"""Model equality: is the suspect our own model, resold? A permutation test on completions of the same prompts.

Run it first: a resold copy answers like us without having been trained on anything. The permutation is that of Gao,
Liang and Guestrin, "Model equality testing: which model is this API serving?", 2024 (arXiv 2410.20247). They compare
answers to one prompt letter by letter, which shows almost nothing with two answers per prompt. Here the pieces of all
answers are counted together, so that the differences in usage between the models add up over the prompts.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from clonewatch.audit import stats
from clonewatch.audit.outcome import TestResult
from clonewatch.model.errors import InputError

F64 = npt.NDArray[np.float64]

# Completions are compared over this many characters: what follows differs only by chance.
LENGTH = 200
# About a word and its neighbour, in any language; enough buckets that collisions are rare.
_PIECE, _BUCKETS = 5, 4096
_DIGITS = 9
_FEWEST = 2  # completions of a prompt, on each side, that are needed to see a difference within it


def test_equality(
    ours: Mapping[str, Sequence[str]],
    theirs: Mapping[str, Sequence[str]],
    *,
    permutations: int = 999,
    length: int = LENGTH,
    seed: int = 0,
) -> TestResult:
    """Test whether two sources give completions of the same distribution, by how often they use each piece of text.

    ours, theirs: completions by prompt; prompts without two completions on either side are left out. The two are
    permuted within a prompt, so that the p-value is exact; its floor is 1 / (permutations + 1). A small p says that the
    models differ; a large one, that this many completions do not distinguish them.
    """
    prompts = [p for p in ours if len(ours[p]) >= _FEWEST and len(theirs.get(p, ())) >= _FEWEST]
    if not prompts:
        raise InputError(
            "no prompt has two completions of either model", fix="Send both the same prompts, twice or more"
        )
    draw = np.random.default_rng(seed)
    counts = np.array([_pieces(text[:length]) for p in prompts for text in (*ours[p], *theirs[p])])
    # The count of a common piece varies by its square root.
    counts /= np.sqrt(counts.sum(0) + 1)
    signs = np.concatenate([_splits(len(ours[p]), len(theirs[p]), permutations, draw) for p in prompts], axis=1)
    # The squared distance between the two, for the real split and every other split. Rounded, so that equal splits are
    # ties.
    total = ((signs @ counts) ** 2).sum(1).round(_DIGITS)
    counted = len(counts)
    real, others = float(total[0]), total[1:]
    p, spread = stats.rank(real, others), float(others.std())
    return TestResult(
        test="equality",
        hypothesis="The suspect and our model draw completions from the same distribution.",
        mode="text",
        n_raw=sum(map(len, ours.values())) + sum(map(len, theirs.values())),
        n_scored=counted,
        n_distinct=len(prompts),
        statistic=(real - float(others.mean())) / spread if spread else 0.0,
        log10_p=math.log10(p),
        method="exact permutation, pieces of five characters",
        p_rank=p,
        decoys=permutations,
        assumptions=("Completions of one prompt are independent draws, with the same settings on both sides.",),
        notes=("A small p says that the models differ; only a large one supports that our model is resold.",),
    )


def _splits(n: int, m: int, permutations: int, draw: np.random.Generator) -> F64:
    """Weights of n and m completions of a prompt that give the difference of their means, first for the real split."""
    sign = np.full((permutations + 1, n + m), -1.0 / m)
    sign[0, :n] = 1.0 / n
    for row in range(1, permutations + 1):
        sign[row, draw.permutation(n + m)[:n]] = 1.0 / n
    return sign


def _pieces(text: str) -> F64:
    """How often a text contains each run of five characters, in buckets. float64[_BUCKETS]."""
    runs = [text[i : i + _PIECE] for i in range(max(1, len(text) - _PIECE + 1))]
    told = np.bincount([zlib.crc32(run.encode("utf-8", "replace")) % _BUCKETS for run in runs], minlength=_BUCKETS)
    return told.astype(np.float64)
