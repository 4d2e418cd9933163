"""Canaries: harmless records that exist nowhere else, with words drawn from a committed seed.

A record states that some label reads some words. A model that never saw it cannot prefer the drawn words to others from
the same list, so their rank among decoys is uniform (Carlini et al. 2019; Wei et al. 2024). Serve canaries only to
accounts that are in a case already, and only harmless ones; never use a seed twice.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from clonewatch.audit import stats
from clonewatch.audit.outcome import TestResult, among_decoys
from clonewatch.model.errors import InputError

F64 = npt.NDArray[np.float64]

TEMPLATE = "The garden label for {name} reads"
_PERSON = b"clonewatch.canar"
_LEAST_SEED, _MOST_SEED = 16, 64
# One word of the list is drawn by chance too often: its 256 words hardly leave room for a hundred decoys.
MOST = 10_000  # at a time
_LEAST_WORDS, _MOST_WORDS = 2, 8
# Other secrets of each canary with which hits in text are compared.
_SAMPLING_DECOYS = 199
_FEW = 8  # below this many canaries even full memorisation shows in a few ranks only


@dataclass(frozen=True)
class Canary:
    """A record. id: `canary-0001`. carrier: the text before the secret. secret: the words that complete it."""

    id: str
    carrier: str
    secret: str

    @property
    def text(self) -> str:
        """The record as it is released."""
        return f"{self.carrier} {self.secret}."


def check_length(length: int) -> None:
    """Raise InputError for a number of secret words that cannot be tested."""
    if not _LEAST_WORDS <= length <= _MOST_WORDS:
        raise InputError(
            f"a secret of {length} word{'s' * (length != 1)}; it has {_LEAST_WORDS} to {_MOST_WORDS}",
            where="--length",
            fix=f"One word is one of {len(words())}, which is guessed too easily to be ranked among decoys: use 3"
            if length == 1
            else "Use 3",
        )


@cache
def words() -> tuple[str, ...]:
    """256 plain English nouns: one byte, one word."""
    return tuple((files("clonewatch.audit") / "words.txt").read_text(encoding="ascii").split())


def mint(count: int, seed: bytes, length: int = 3, template: str = TEMPLATE) -> list[Canary]:
    """Generate canaries from a committed seed; the same seed gives the same canaries.

    seed: 16 to 64 random bytes. length: words of a secret; each is a byte of entropy. template: the carrier, with
    `{name}` as the place of two words that distinguish records.

    >>> one = mint(1, bytes(32))[0]
    >>> one.id, one.carrier.startswith("The garden label for "), len(one.secret.split())
    ('canary-0000', True, 3)
    """
    if not _LEAST_SEED <= len(seed) <= _MOST_SEED:
        raise InputError(f"a canary seed has {_LEAST_SEED} to {_MOST_SEED} bytes, not {len(seed)}")
    if not 1 <= count <= MOST:
        raise InputError(f"{count} canaries; there are 1 to {MOST:,} in one go")
    if not 1 <= length <= _MOST_WORDS:
        raise InputError(f"a secret of {length} words; it has 1 to {_MOST_WORDS}")
    if "{name}" not in template:
        raise InputError("the template has no {name}", where=template)
    if not 0 < count <= len(words()) ** 2 // 4:
        raise InputError(f"{count} canaries; 1 to {len(words()) ** 2 // 4} are possible")
    minted: list[Canary] = []
    names: set[str] = set()
    for i in range(count):
        attempt = 0
        while (name := _drawn(seed, f"name {i} {attempt}", 2)) in names:
            attempt += 1
        names.add(name)
        minted.append(Canary(f"canary-{i:04d}", template.replace("{name}", name), _drawn(seed, f"secret {i}", length)))
    return minted


def decoys(canary: Canary, count: int = 999) -> list[str]:
    """Other secrets, drawn like the real one and all different; public, and the same for everybody who checks.

    They do not depend on the real one, so now and then it is among them; it is then left out of the test.
    """
    length = len(canary.secret.split())
    if count >= len(words()) ** length:
        raise InputError(f"{count} different secrets of {length} words do not exist", fix="Use more words")
    told: dict[str, None] = {}
    attempt = 0
    while len(told) < count:
        told[_drawn(bytes(_LEAST_SEED), f"{canary.id} {canary.carrier} {attempt}", length)] = None
        attempt += 1
    return list(told)


def test_canaries(true: npt.ArrayLike, others: npt.ArrayLike) -> TestResult:
    """Test whether a suspect's preference for our words is independent of the seed. Needs log-probabilities.

    true: float[N], log-probability of each canary's secret after its carrier; others: float[N, M], of its decoys. Each
    canary gives an exact rank, and Fisher's method combines them. Use each canary once.
    """
    real, rest = np.asarray(true, np.float64), np.asarray(others, np.float64)
    if real.ndim != 1 or rest.ndim != 2 or len(rest) != len(real) or not rest.size:
        raise InputError(f"{real.shape} log-probabilities of canaries and {rest.shape} of their decoys")
    if not (np.isfinite(real).all() and np.isfinite(rest).all()):
        raise InputError(
            "a log-probability is not a finite number", fix="Leave out canaries that the suspect did not score"
        )
    columns = np.column_stack([real, rest])
    # Treat every column as the real one in turn, so that the sum has a rank too.
    surprise = -np.log([[stats.rank(v, np.delete(row, j)) for j, v in enumerate(row)] for row in columns]).sum(0)
    ranks = [math.log10(stats.rank(r, row)) for r, row in zip(real, rest, strict=True)]
    return TestResult(
        test="canary",
        hypothesis="Which words the suspect considers likely after our carriers does not depend on the canaries' seed.",
        mode="logprobs",
        n_raw=len(real),
        n_scored=len(real),
        n_distinct=len(real),
        statistic=(float(surprise[0]) - len(real)) / math.sqrt(len(real)),
        log10_p=stats.fisher(ranks),
        method="exact ranks among decoys, combined by Fisher's method",
        p_rank=stats.rank(float(surprise[0]), surprise[1:]),
        decoys=rest.shape[1],
        decoy_mean=float(((surprise[1:] - len(real)) / math.sqrt(len(real))).mean()),
        decoy_sd=float(((surprise[1:] - len(real)) / math.sqrt(len(real))).std()),
        assumptions=(
            "The seed was drawn at random, kept secret, and committed before any canary was released.",
            "The canaries were shown only to those named with the commitment.",
        ),
        notes=(f"Only {len(real)} canaries: a null result is weak evidence.",) if len(real) < _FEW else (),
    )


def test_canary_samples(canaries: Sequence[Canary], completions: Sequence[Sequence[str]]) -> TestResult:
    """Test canaries from text alone: whether the suspect ever writes our words after our carrier.

    completions: what it wrote after each carrier, any number of answers. A hit has a chance of at most (distinct
    guesses in the answers) / 256^words, so the p-value is exact. Weak: it needs near-verbatim memory of the record.
    """
    if len(canaries) != len(completions) or not canaries:
        raise InputError(f"completions of {len(completions)} carriers for {len(canaries)} canaries")
    hits, chances, others = 0, [], np.zeros(_SAMPLING_DECOYS)
    for canary, answers in zip(canaries, completions, strict=True):
        length = len(canary.secret.split())
        guesses = {guess for answer in answers for guess in _guesses(answer, length)}
        hits += canary.secret in guesses
        others += [other in guesses for other in decoys(canary, min(_SAMPLING_DECOYS, len(words()) ** length - 1))]
        chances.append(min(1.0, len(guesses) / len(words()) ** length))
    expected, spread = sum(chances), math.sqrt(sum(q * (1 - q) for q in chances))
    return TestResult(
        test="canary-sampling",
        hypothesis="What the suspect writes after our carriers does not depend on the canaries' seed.",
        mode="text",
        n_raw=sum(map(len, completions)),
        n_scored=len(canaries),
        n_distinct=sum(q > 0 for q in chances),
        statistic=(hits - expected) / spread if spread else 0.0,
        log10_p=stats.hits_tail(hits, chances),
        method="exact chance of a lucky guess (Poisson binomial); the statistic is far from normal",
        **among_decoys((hits - expected) / spread if spread else 0.0, (others - expected) / (spread or 1.0)),
        assumptions=(
            "The seed was drawn at random, kept secret, and committed before any canary was released.",
            "The canaries were shown only to those named with the commitment.",
        ),
        notes=(
            f"{hits} of {len(canaries)} canaries were completed.",
            "Weak by nature: only near-verbatim memory shows in text, so a null result means almost nothing.",
        ),
    )


def _guesses(answer: str, length: int) -> set[str]:
    """Every sequence of `length` words from the list in an answer."""
    known = set(words())
    told = re.findall(r"[a-z]+", answer.lower())
    runs = (told[i : i + length] for i in range(len(told) - length + 1))
    return {" ".join(run) for run in runs if known.issuperset(run)}


def _drawn(seed: bytes, purpose: str, count: int) -> str:
    digest = hashlib.blake2b(purpose.encode(), digest_size=count, key=seed, person=_PERSON).digest()
    return " ".join(words()[byte] for byte in digest)
