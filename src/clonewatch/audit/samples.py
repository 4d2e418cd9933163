"""A suspect's samples: token ids (the given and the written part) and its probabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clonewatch.model.errors import InputError

I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]
Encode = Callable[[str], Sequence[int]]


@dataclass(frozen=True, eq=False)
class Likely:
    """A model's probabilities at some positions of a text, each given all tokens before it.

    position: int64[M], indices into the tokens. token: int64[M, K], ids in our tokenizer; -1 where there are fewer than
    K. probability: float32[M, K], 0 where the token is -1.
    """

    position: I64
    token: I64
    probability: F32

    def __post_init__(self) -> None:
        rows = len(self.position)
        if self.token.shape != self.probability.shape or self.token.ndim != 2 or len(self.token) != rows:
            raise InputError(f"{rows} positions, tokens {self.token.shape}, probabilities {self.probability.shape}")
        values = self.probability[self.token >= 0]
        if values.size and not (values.min() >= 0 and values.max() <= 1 + 1e-4):
            raise InputError("a probability is not between 0 and 1", fix="Use exp(logprob), not the logprob")

    @classmethod
    def most(cls, position: I64, probability: npt.NDArray[np.floating], k: int = 64) -> Likely:
        """The k most likely tokens of complete distributions. probability: float[M, V]."""
        k = min(k, probability.shape[1])
        token = np.argpartition(probability, -k, axis=1)[:, -k:].astype(np.int64)
        return cls(position, token, np.take_along_axis(probability, token, 1).astype(np.float32))


@dataclass(frozen=True, eq=False)
class Sample:
    """One text. tokens: int64[n] in our tokenizer, the prompt first; given: how many of them the suspect was given.

    The suspect wrote everything from `given` on. likely: its probabilities, at positions from `given` on if it wrote,
    at any position if it only scored (given = n).
    """

    tokens: I64
    given: int = 0
    likely: Likely | None = None

    def __post_init__(self) -> None:
        tokens = np.asarray(self.tokens, dtype=np.int64)
        object.__setattr__(self, "tokens", tokens)
        if tokens.ndim != 1 or not 0 <= self.given <= len(tokens):
            raise InputError(f"a sample of shape {tokens.shape} of which {self.given} tokens were given")
        if self.likely is not None and len(self.likely.position):
            first, last = int(self.likely.position.min()), int(self.likely.position.max())
            if first < 0 or last > len(tokens):
                raise InputError(f"probabilities at positions {first} to {last} of a text of {len(tokens)} tokens")

    @property
    def written(self) -> I64:
        """What the suspect wrote."""
        return self.tokens[self.given :]


def from_texts(texts: Sequence[str], encode: Encode, prompts: Sequence[str] | None = None) -> list[Sample]:
    """Samples from a suspect's answers as text. encode: our tokenizer. prompts: the prompts, if they are to be kept.

    A prompt is only used to leave out what the suspect could have copied from it.

    >>> from_texts(["b a"], lambda text: [ord(c) for c in text.split()], ["a b"])[0].tokens.tolist()
    [97, 98, 98, 97]
    """
    asked = prompts if prompts is not None else [""] * len(texts)
    if len(asked) != len(texts):
        raise InputError(f"{len(texts)} answers for {len(asked)} prompts")
    samples = []
    for prompt, text in zip(asked, texts, strict=True):
        before = list(encode(prompt)) if prompt else []
        samples.append(Sample(np.array([*before, *encode(text)], np.int64), len(before)))
    return samples
