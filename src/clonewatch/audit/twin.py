"""Twin answers: a secret coin releases one of two answers to a prompt; a model trained on ours prefers that one.

The coin is the only randomness the test uses, so it is exact for any model and any prompts. Users notice
nothing: they receive one of two answers from the same distribution.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from clonewatch.audit import stats
from clonewatch.audit.outcome import TestResult, among_decoys
from clonewatch.model.errors import InputError

F64 = npt.NDArray[np.float64]
Answer = TypeVar("Answer")

_PERSON = b"clonewatch.twin1"
_LEAST_SECRET, _MOST_SECRET = 16, 64
# With fewer pairs even a model that always prefers the released one gives p above 1e-6.
_FEW_PAIRS = 20


def flip(secret: bytes, request_id: str) -> int:
    """The coin of a request, 0 or 1: which of two answers is released. Keyed BLAKE2b of (secret, request id).

    >>> sum(flip(bytes(32), str(i)) for i in range(1000))
    498
    """
    if not _LEAST_SECRET <= len(secret) <= _MOST_SECRET:
        raise InputError(f"a twin secret has {_LEAST_SECRET} to {_MOST_SECRET} bytes, not {len(secret)}")
    return hashlib.blake2b(request_id.encode(), digest_size=1, key=secret, person=_PERSON).digest()[0] & 1


def release(first: Answer, second: Answer, secret: bytes, request_id: str) -> tuple[Answer, Answer]:
    """The answer to release and the one to withhold, of two in the order in which they were requested.

    >>> sorted(release("one", "two", bytes(32), "request-7"))
    ['one', 'two']
    """
    return (second, first) if flip(secret, request_id) else (first, second)


def test_twins(
    released: npt.ArrayLike,
    withheld: npt.ArrayLike,
    *,
    prompts: Sequence[str] | None = None,
    ours: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    mode: Literal["text", "logprobs"] = "logprobs",
    decoys: int = 999,
) -> TestResult:
    """Test whether a suspect's preference within pairs is independent of the coins.

    released, withheld: float[N], the suspect's log-probability of each answer of a pair; in the mode `text` the
    similarity of its own answer to each. prompts: ids of the prompts; of several pairs with one prompt the first
    counts. ours: the same two columns from our own model; its own preference is subtracted, which sharpens the test and
    cannot bias it. Pairs without a difference are ties and dropped.

    Raises InputError for columns of different length, values that are not numbers, or no pair at all.
    """
    told = [np.asarray(c, np.float64) for c in (released, withheld, *(ours or ()))]
    n = len(told[0])
    if any(c.shape != (n,) for c in told) or (prompts is not None and len(prompts) != n):
        raise InputError("the columns of the pairs differ in length")
    if not all(np.isfinite(c).all() for c in told):
        raise InputError(
            "a log-probability is not a finite number", fix="Leave out pairs that the suspect did not score"
        )
    d: F64 = told[0] - told[1] - (told[2] - told[3] if len(told) > 2 else 0.0)
    if prompts is not None:
        d = d[np.sort(np.unique(np.asarray(prompts), return_index=True)[1])]
    once = len(d)
    d = d[d != 0]
    if not len(d):
        raise InputError(f"{n} pairs, and none with a difference", fix="Use requests with a temperature above 0")
    spread = math.sqrt(float((d**2).sum()))
    statistic = float(d.sum()) / spread
    # Other coins, drawn like the secret's: a public seed, so that everybody who checks gets the same.
    coins = np.random.default_rng(20260101).integers(0, 2, (decoys, len(d)), np.int8)
    others = (coins * 2.0 - 1.0) @ np.abs(d) / spread
    log10_p, method = stats.sign_flip(d)
    return TestResult(
        test="twin",
        hypothesis="Which answer of a pair the suspect prefers does not depend on the coin that released one.",
        mode=mode,
        n_raw=n,
        n_scored=once,
        n_distinct=len(d),
        statistic=statistic,
        log10_p=log10_p,
        method=method,
        assumptions=(
            "The coins come from a secret that was committed before any answer was released.",
            "Nobody saw the withheld answers.",
            "The pairs to test were fixed before the suspect was queried.",
        ),
        notes=(f"Only {len(d)} pairs: a null result is weak evidence.",) if len(d) < _FEW_PAIRS else (),
        **among_decoys(statistic, others),
    )
