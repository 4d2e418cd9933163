"""One audit on trained models: a teacher that serves with and without a watermark, and its students."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from clonewatch.audit import canary, twin, watermark
from clonewatch.audit.canary import Canary
from clonewatch.audit.outcome import TestResult
from clonewatch.audit.prf import Prf, Watermark
from clonewatch.audit.samples import Likely, Sample
from evals.audit.corpus import UNKNOWN, Corpus

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
GIVEN, LENGTH = 8, 40
TWIN_SECRET = b"the coins of the study, drawn once"
# Prompts that are answered twice.
TWINS = 1024
_COPIES_A_ROW = 4
# Tokens whose probability a suspect reports at each place, as an API would; our own model can report more.
MOST_LIKELY, MOST_EXPECTED = 32, 64


class Model(Protocol):
    """What a teacher or a student can do."""

    def write(self, prompts: I64, length: int, seed: int, marked: Watermark | None = None) -> I64:
        """Continue prompts, with a watermark or without. int64[n, prompt + length]."""
        ...

    def likely(self, rows: I64, given: int, k: int = 64) -> list[Likely]:
        """Its most likely ids at every place from `given` on."""
        ...

    def log_likelihood(self, rows: I64, given: int) -> F64:
        """Log-probability of what follows the first `given` ids. float64[n]."""
        ...


@dataclass
class Experiment:
    """Answers of a teacher to the same prompts: with the watermark, and twins without it."""

    corpus: Corpus
    teacher: Model
    keyed: Watermark
    marked: I64
    released: I64
    withheld: I64
    seed: int

    @classmethod
    def run(
        cls, corpus: Corpus, teacher: Model, keyed: Watermark, count: int, seed: int, most: float = 1.0
    ) -> Experiment:
        """Let the teacher answer `count` prompts, and the last TWINS of them twice.

        most: the share that is also answered with the watermark; no student can be served more of it.
        """
        prompts = corpus.prompts(corpus.teacher, count, GIVEN, seed)
        marked = teacher.write(prompts[: round(most * count)], LENGTH, seed + 1, keyed)
        released = teacher.write(prompts, LENGTH, seed + 2)
        first, second = released[-TWINS:], teacher.write(prompts[-TWINS:], LENGTH, seed + 3)
        coins = np.array([twin.flip(TWIN_SECRET, f"request {seed} {i}") for i in range(TWINS)], np.bool_)[:, None]
        withheld = np.where(coins, first, second)
        released[-TWINS:] = np.where(coins, second, first)
        return cls(corpus, teacher, keyed, marked, released, withheld, seed)

    def served(self, share: float) -> I64:
        """Training data of a student: this share with the watermark, the rest without."""
        count = round(share * len(self.released))
        if count > len(self.marked):
            raise ValueError(f"{count} answers with the watermark requested, but only {len(self.marked)} were written")
        return np.concatenate([self.marked[:count], self.released[count:]])

    def probes(self, queries: int) -> I64:
        """Prompts without any watermark, from texts that no model was trained on."""
        return self.corpus.prompts(self.corpus.held_out, queries, GIVEN, self.seed + 4)

    def watermark(
        self, student: Model, queries: int, decoys: int = 99, prf: Prf | None = None
    ) -> dict[str, TestResult]:
        """The three tests of a student: `plain` text, `text` with the teacher as reference, `logprobs` with it."""
        return self.examine(*self.ask(student, queries), decoys=decoys, prf=prf)

    def ask(self, student: Model, queries: int) -> tuple[list[Sample], list[Likely]]:
        """A student's answers and most likely ids, and the teacher's most likely ids at the same places."""
        rows = student.write(self.probes(queries), LENGTH, self.seed + 5)
        held = student.likely(rows, GIVEN, MOST_LIKELY)
        answers = [Sample(row, GIVEN, likely) for row, likely in zip(rows, held, strict=True)]
        return answers, self.teacher.likely(rows, GIVEN, MOST_EXPECTED)

    def examine(
        self, answers: list[Sample], reference: list[Likely], decoys: int = 0, prf: Prf | None = None
    ) -> dict[str, TestResult]:
        """The three tests of what `ask` returned."""

        def test(mode: watermark.Mode, about: list[Likely] | None) -> TestResult:
            # The prompts carry no watermark, so nothing in them has to be excluded.
            return watermark.test_watermark(
                answers,
                self.keyed._replace(prf=prf or self.keyed.prf),
                mode=mode,
                reference=about,
                exclude_context=False,
                decoys=decoys,
            )

        return {"plain": test("text", None), "text": test("text", reference), "logprobs": test("logprobs", reference)}

    def twins(self, student: Model, pairs: int, centred: bool = True) -> TestResult:
        """The twin test on the last pairs, which `served` includes unless all that it serves is watermarked."""
        mine, other = self.released[-pairs:], self.withheld[-pairs:]
        ours = (self.teacher.log_likelihood(mine, GIVEN), self.teacher.log_likelihood(other, GIVEN))
        theirs = (student.log_likelihood(mine, GIVEN), student.log_likelihood(other, GIVEN))
        return twin.test_twins(*theirs, ours=ours if centred else None)


class Records:
    """Canaries as rows of ids. Their words have reserved ids at the end of the vocabulary."""

    def __init__(self, corpus: Corpus, count: int, seed: bytes) -> None:
        self.canaries = canary.mint(count, seed)
        size = len(corpus.vocabulary)
        self._ids = {word: i for i, word in enumerate(corpus.vocabulary)}
        self._ids |= {word: size - 256 + i for i, word in enumerate(canary.words())}

    def _row(self, text: str) -> list[int]:
        return [self._ids.get(word, UNKNOWN) for word in text.lower().replace(".", " .").split()]

    def training(self, copies: int, length: int) -> I64:
        """Rows that contain each record `copies` times, several per row. int64[n, length]."""
        order = [c for _ in range(copies) for c in self.canaries]
        rows = [
            [i for c in order[at : at + _COPIES_A_ROW] for i in self._row(c.text)]
            for at in range(0, len(order), _COPIES_A_ROW)
        ]
        return np.array([(row * length)[:length] for row in rows], np.int64)

    def test(self, student: Model, decoys: int = 99) -> TestResult:
        """The rank test: log-probabilities of the secret and of its decoys after each carrier."""

        def scores(one: Canary) -> F64:
            carrier = self._row(one.carrier)
            rows = [carrier + self._row(secret) for secret in (one.secret, *canary.decoys(one, decoys))]
            return student.log_likelihood(np.array(rows, np.int64), len(carrier))

        found = np.array([scores(one) for one in self.canaries])
        return canary.test_canaries(found[:, 0], found[:, 1:])
