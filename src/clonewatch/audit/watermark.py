"""Watermark radioactivity: whether the suspect's output is biased in the direction of our secret key.

One statistic for every access: S = sum of a(w, t) f(u(w, t)) over distinct inputs (window w, token t) of the keyed
function u, with weights a that do not depend on the key. f is 1{u < gamma} - gamma for green lists (Kirchenbauer and
others 2023) and -log(1 - u) - 1 for Gumbel-max (Aaronson 2022). Under H0 only the key is random, so the tail of S is
exact or bounded whatever the text, the architecture or the training.

- text, no reference: a = 1 for every distinct input the suspect wrote (Sander and others 2024): binomial or Gamma.
- text with a reference: a = (times written - e) / sqrt(1 + v e), with e the times that our model without the watermark
  would have written it, and v the suspect's own deviation from the reference: the variance of a count is
  e + v e^2, and v is estimated from the same counts, without the key. Far more power.
- logprobs: the suspect's probability in place of times written. No sampling noise.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from clonewatch.audit import stats
from clonewatch.audit.outcome import TestResult, among_decoys, p_value_text
from clonewatch.audit.prf import Prf, Rule, Watermark
from clonewatch.audit.samples import Likely, Sample
from clonewatch.model.errors import InputError

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
Mode = Literal["text", "logprobs"]

# Inputs with the least weight are left out until this share of the variance remains: the choice does not depend on the
# key, so it costs a little power and no validity, and saves most of the work for 999 decoys.
_VARIANCE_KEPT = 0.999
# With fewer distinct inputs even a strong effect is hard to see; the result says so.
_FEW_INPUTS = 1_000
# From this share of identical answers on, a suspect may be refusing; the result says so.
_MANY_ALIKE = 0.5
_ID_BITS = 32  # of a token id
_HYPOTHESIS = "The suspect's {} do not depend on the watermark key."
# Our own served text must show its key at this level; otherwise key, rule or tokenizer are not those that served it.
_OWN_TEXT_LOG10_P = -6.0


class Tally(NamedTuple):
    """Distinct inputs and their weights. context: int64[N, width], token: int64[N], weight: float64[N].

    n_raw: tokens examined, n_scored: those left after exclusions. plain: every input counts once; the tail is exact.
    keyless: inputs that were left out because no key changes them.
    """

    context: I64
    token: I64
    weight: F64
    n_raw: int
    n_scored: int
    plain: bool
    keyless: int = 0


class _Part(NamedTuple):
    """Rows before equal inputs are merged. window: int64[N, width], token: int64[N], the others float64[N]."""

    window: I64
    token: I64
    seen: F64
    expected: F64


def test_watermark(
    samples: Sequence[Sample],
    keyed: Watermark,
    *,
    mode: Mode = "text",
    reference: Sequence[Likely] | None = None,
    exclude_context: bool = True,
    decoys: int = 999,
) -> TestResult:
    """Test whether a suspect is independent of a watermark key.

    samples: its texts, in our tokenizer. keyed: the watermark as it was served. mode: `text`, or `logprobs` if every
    sample has the suspect's probabilities. reference: for every sample the probabilities of a model that never saw the
    key, at best our own with the watermark off; a poor one costs power, never validity. exclude_context: leave out
    windows that touch or repeat what the suspect was given, which it may have copied; not needed if the prompts do not
    depend on the key. decoys:
    independent keys for the rank p-value.

    Raises InputError if nothing can be tested, with the reason.
    """
    prf, rule, gamma = keyed
    counted = tally(samples, prf, mode, reference, exclude_context)
    statistic, log10_p, method = judge(counted, prf, rule, gamma)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        others = np.array(list(pool.map(lambda i: standardised(counted, prf.decoy(i), rule, gamma), range(decoys))))
    return TestResult(
        test="watermark",
        hypothesis=_HYPOTHESIS.format("answers" if mode == "text" else "probabilities"),
        mode=mode,
        n_raw=counted.n_raw,
        n_scored=counted.n_scored,
        n_distinct=len(counted.token),
        statistic=statistic,
        log10_p=log10_p,
        method=method,
        assumptions=_assumptions(prf, reference is not None, exclude_context),
        notes=_notes(samples, counted),
        **among_decoys(statistic, others),
    )


def confirmation(served: Sequence[Sample], keyed: Watermark) -> TestResult:
    """The test of text that we served with the watermark on, before any suspect is queried. served: our own answers."""
    return test_watermark(served, keyed, exclude_context=False, decoys=0)


def confirms(result: TestResult) -> bool:
    """Whether our own text shows the key, so that a null result of a suspect can mean something."""
    return result.log10_p <= _OWN_TEXT_LOG10_P


def confirm(served: Sequence[Sample], keyed: Watermark) -> TestResult:
    """Check key, rule and tokenizer on text that we served. Raises InputError if it does not carry the watermark."""
    result = confirmation(served, keyed)
    if not confirms(result):
        raise InputError(
            f"our own served text does not carry this watermark (p = {p_value_text(result.log10_p)}, "
            f"{result.n_distinct} distinct inputs)",
            fix="Check the key and its period, the window, the rule and the tokenizer; use more text if it is short",
        )
    return result


def judge(counted: Tally, prf: Prf, rule: Rule = "gumbel", gamma: float = 0.5) -> tuple[float, float, str]:
    """The standardised statistic of a tally under a key, log10 of its p-value, and the method."""
    if rule not in ("gumbel", "kgw") or not 0 < gamma < 1:
        raise InputError(f"no rule {rule!r} with a share of {gamma} green tokens", fix="gumbel, or kgw, 0 < gamma < 1")
    weights, n = counted.weight, len(counted.weight)
    statistic = standardised(counted, prf, rule, gamma)
    squares = float((weights**2).sum())
    total = statistic * _spread(counted, rule, gamma)
    if counted.plain and rule == "kgw":
        return statistic, stats.binomial_tail(round(total + n * gamma), n, gamma), "exact binomial"
    if counted.plain:
        return statistic, stats.gamma_tail(total + n, n), "exact Gamma"
    if rule == "kgw":
        return statistic, stats.hoeffding(total, squares, gamma), "Hoeffding bound for weighted green tokens"
    return statistic, stats.chernoff_exponential(total, weights), "Chernoff bound for weighted exponentials"


def standardised(counted: Tally, prf: Prf, rule: Rule = "gumbel", gamma: float = 0.5) -> float:
    """S over its standard deviation under H0, for a key."""
    # Not a dot product of the linear algebra library: its threads would fight with those of the decoys.
    return float((counted.weight * scores(prf, counted, rule, gamma)).sum()) / _spread(counted, rule, gamma)


def _spread(counted: Tally, rule: Rule, gamma: float) -> float:
    return math.sqrt(float((counted.weight**2).sum()) * (gamma * (1 - gamma) if rule == "kgw" else 1.0))


def scores(prf: Prf, counted: Tally, rule: Rule, gamma: float = 0.5) -> F64:
    """What the inputs score under a key, f: mean 0 under H0. float64[N]."""
    u = prf.uniform(counted.context, counted.token)
    if rule == "kgw":
        return (u < gamma).astype(np.float64) - gamma
    return -np.log1p(-u) - 1.0


def tally(
    samples: Sequence[Sample],
    prf: Prf,
    mode: Mode = "text",
    reference: Sequence[Likely] | None = None,
    exclude_context: bool = True,
) -> Tally:
    """Every distinct input over all samples, with the weight that the suspect and the reference give it."""
    if not samples:
        raise InputError("there are no samples to test")
    if reference is not None and len(reference) != len(samples):
        raise InputError(f"{len(reference)} references for {len(samples)} samples")
    parts: list[_Part] = []
    raw = scored = 0
    for i, sample in enumerate(samples):
        looked, kept = _positions(sample, prf.width, mode, exclude_context, i)
        about = None if reference is None else reference[i]
        if about is not None:
            kept = kept[_among(kept, about.position)]
        raw, scored = raw + looked, scored + len(kept)
        if not len(kept):
            continue
        parts.append(_entries(sample, kept, prf.width, mode, about))
    if not parts:
        raise InputError(
            f"no token of {raw} can be scored",
            fix="Request longer answers; text that overlaps or repeats the prompt is left out",
        )
    columns = [np.concatenate([part[c] for part in parts]) for c in range(4)]
    keyed = _keyed(prf, columns[0], columns[1])
    if not keyed.any():
        raise InputError("no window depends on the key", fix="Request other answers: these repeat one token")
    columns = [column[keyed] for column in columns]
    found, seen, expected = _distinct(prf, _Part(*columns))
    plain = reference is None and mode == "text"
    if reference is None:
        weight = np.ones(len(seen)) if plain else seen
    else:
        weight = _centred(seen, expected, counted=mode == "text")
    keep = _heaviest(weight)
    if not len(keep):
        raise InputError("the suspect's answers equal the reference's expectation, so there is nothing to test")
    return Tally(
        columns[0][found[keep]], columns[1][found[keep]], weight[keep], raw, scored, plain, int((~keyed).sum())
    )


def _keyed(prf: Prf, context: I64, token: I64) -> npt.NDArray[np.bool_]:
    """Which inputs depend on the key: under three decoy keys they do not all have one number. bool[N].

    In the additive mapping a window whose ids sum to zero has the same numbers under every key, and text can be aimed
    at them. Decoys decide, so the choice does not depend on the key.
    """
    first, *others = (prf.decoy(i).uniform(context, token) for i in range(3))
    same: npt.NDArray[np.bool_] = np.logical_and.reduce([first == other for other in others])
    return ~same


def _positions(sample: Sample, width: int, mode: Mode, exclude_context: bool, i: int) -> tuple[int, I64]:
    """How many positions a sample has, and which may be scored."""
    if mode == "text":
        places = np.arange(sample.given, len(sample.tokens))
    elif sample.likely is None or not len(sample.likely.position):
        raise InputError(
            f"sample {i} has no probabilities",
            fix="Collect with logprobs, or test in the mode `text`, which is weaker",
        )
    else:
        places = np.unique(sample.likely.position)
    kept = places[places >= width]
    if exclude_context:
        # Windows that overlap the given part are left out, and windows that the given part contains with a following
        # token.
        kept = kept[(kept - width >= sample.given) | (kept < sample.given)]
        shown = np.arange(width, sample.given)
        first: dict[bytes, int] = {}
        for place, window in zip(shown.tolist(), _windows(sample, shown, width), strict=True):
            first.setdefault(window.tobytes(), place)
        fresh = [
            place
            for place, window in zip(kept.tolist(), _windows(sample, kept, width), strict=True)
            if first.get(window.tobytes(), place) >= place
        ]
        kept = np.array(fresh, np.int64)
    return len(places), kept.astype(np.int64)


def _windows(sample: Sample, places: I64, width: int) -> I64:
    """The tokens before each place, oldest first. int64[M, width]."""
    return np.ascontiguousarray(sample.tokens[places[:, None] + np.arange(-width, 0)])


def _entries(sample: Sample, kept: I64, width: int, mode: Mode, about: Likely | None) -> _Part:
    """The observed counts at the kept positions, and what the reference expected."""
    if mode == "logprobs" and sample.likely is not None:
        place, token, seen = _listed(sample.likely, kept)
    else:
        place, token, seen = kept, sample.tokens[kept], np.ones(len(kept))
    if about is None:
        return _Part(_windows(sample, place, width), token, seen, np.zeros(len(seen)))
    where, other, expected = _listed(about, kept)
    # Lists are truncated. A token is compared only if the reference lists it, and in the mode `logprobs` the suspect
    # too: otherwise its weight would be the truncated part, which is noise and not evidence.
    here, there = place << _ID_BITS | token, where << _ID_BITS | other
    ours = _among(here, there)
    theirs = _among(there, here) if mode == "logprobs" else np.ones(len(there), np.bool_)
    place, token = np.concatenate([place[ours], where[theirs]]), np.concatenate([token[ours], other[theirs]])
    nothing, none = np.zeros(int(theirs.sum())), np.zeros(int(ours.sum()))
    return _Part(
        _windows(sample, place, width),
        token,
        np.concatenate([seen[ours], nothing]),
        np.concatenate([none, expected[theirs]]),
    )


def _among(values: I64, chosen: I64) -> npt.NDArray[np.bool_]:
    """Which values are among the chosen ones, as `numpy.isin` says, and twice as fast or more."""
    if not len(chosen):
        return np.zeros(len(values), np.bool_)
    ordered = np.sort(chosen)
    found: npt.NDArray[np.bool_] = ordered[np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)] == values
    return found


def _listed(likely: Likely, kept: I64) -> tuple[I64, I64, F64]:
    """The entries of a list at the kept positions: places, tokens, probabilities."""
    chosen = _among(likely.position, kept)
    token, probability = likely.token[chosen], likely.probability[chosen].astype(np.float64)
    place = np.repeat(likely.position[chosen], token.shape[1])
    there = token.ravel() >= 0
    return place[there], token.ravel()[there], probability.ravel()[there]


def _distinct(prf: Prf, rows: _Part) -> tuple[I64, F64, F64]:
    """Merge rows with equal inputs across all samples, as one draw must count once.

    Returns where each input is first found, how often it was seen, and how often the reference would have written it.
    """
    _, first, group = np.unique(prf.inputs(rows.window, rows.token), return_index=True, return_inverse=True)
    seen, expected = (np.bincount(group.ravel(), column, len(first)) for column in (rows.seen, rows.expected))
    return first, seen.astype(np.float64), expected.astype(np.float64)


def _centred(seen: F64, expected: F64, counted: bool) -> F64:
    """Observed minus expected counts, with less weight where the suspect deviates by itself.

    counted: seen are counts, which vary by chance as well. The moments give v: mean (seen - expected)^2 = e + v e^2.
    The square root is between no correction, best for an effect that is learned from frequent inputs first, and the
    full one, best for an effect that is the same for all; it was chosen on small models of both kinds.
    """
    beyond = seen - expected
    chance = expected.sum() if counted else 0.0
    squares = float((expected**2).sum())
    strays = max(0.0, float((beyond**2).sum()) - float(chance)) / squares if squares else 0.0
    weight: F64 = beyond / np.sqrt(1 + strays * expected)
    return weight


def _heaviest(weight: F64) -> I64:
    """The inputs that account for nearly all of the variance, in order; all of them if they weigh the same."""
    if weight.min() == weight.max() != 0:
        return np.arange(len(weight))
    squares = weight**2
    order = np.argsort(-squares, kind="stable")
    enough = int(np.searchsorted(np.cumsum(squares[order]), _VARIANCE_KEPT * squares.sum())) + 1
    heavy = np.zeros(len(weight), np.bool_)
    heavy[order[:enough]] = weight[order[:enough]] != 0
    return np.flatnonzero(heavy)


def _assumptions(prf: Prf, centred: bool, exclude_context: bool) -> tuple[str, ...]:
    listed = [
        "The key was drawn at random, kept secret, and committed before anything carrying it was released.",
        f"{prf.name} behaves like independent uniform numbers (the rank among decoy keys does not need this).",
        "The suspect was queried as in the committed plan: prompts, number of tokens, this test.",
    ]
    if centred:
        listed.append("The reference model never saw the key.")
    if not exclude_context:
        listed.append("The prompts do not depend on the key.")
    return tuple(listed)


def _notes(samples: Sequence[Sample], counted: Tally) -> tuple[str, ...]:
    notes = []
    if len(counted.token) < _FEW_INPUTS:
        notes.append(f"Only {len(counted.token)} distinct inputs: a null result is weak evidence.")
    if counted.keyless:
        notes.append(f"{counted.keyless:,} inputs do not depend on any key and were left out.")
    written = [s.written.tobytes() for s in samples if len(s.written)]
    alike = 1 - len(set(written)) / len(written) if written else 0.0
    if alike >= _MANY_ALIKE:
        notes.append(f"{alike:.0%} of the answers repeat another one: the suspect may be refusing.")
    return tuple(notes)
