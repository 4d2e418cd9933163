"""Reads raw responses: a model's text and probabilities, in our token ids, and why an answer cannot be used."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clonewatch.audit.samples import Likely
from clonewatch.audit.tokenizing import Tokenizer


@dataclass(frozen=True)
class Answer:
    """What a model wrote. tokens: as it returned them, with the most likely ones at each; empty if it returned none."""

    text: str
    finish: str = ""
    tokens: tuple[str, ...] = ()
    most: tuple[Mapping[str, float], ...] = ()


@dataclass
class Read:
    """The answers of a response that can be used, and why others cannot, counted."""

    answers: list[Answer] = field(default_factory=list)
    unusable: Counter[str] = field(default_factory=Counter)


class Scored:
    """A model's probabilities in a given text. tokens: as it returned them; start: of each, in characters."""

    def __init__(self, choice: Mapping[str, Any]) -> None:
        told = choice["logprobs"]
        self.tokens = [str(t) for t in told["tokens"]]
        self.start = [int(o) for o in told["text_offset"]]
        self.logprob = [None if v is None else float(v) for v in told["token_logprobs"]]
        self.most: list[Any] = told.get("top_logprobs") or [None] * len(self.tokens)
        if not len(self.tokens) == len(self.start) == len(self.logprob) == len(self.most):
            raise ValueError("the columns of the probabilities differ in length")

    def between(self, first: int, end: int) -> float | None:
        """Log-probability of the tokens that begin at characters first to end - 1; None if one has none."""
        told = [p for p, at in zip(self.logprob, self.start, strict=True) if first <= at < end]
        if not told or any(p is None or not math.isfinite(p) for p in told):
            return None
        return math.fsum(p for p in told if p is not None)


def body_of(raw: Mapping[str, Any]) -> bytes:
    """The bytes that a model sent."""
    if "body64" in raw:
        return base64.b64decode(raw["body64"], validate=True)
    return str(raw["body"]).encode("utf-8")


def _choices(raw: Mapping[str, Any]) -> list[Any] | str:
    """The choices of a response in their order, or why there are none."""
    if raw["problem"]:
        return "too long"
    if raw["status"] != 200:
        return f"status {raw['status']}"
    try:
        told = json.loads(body_of(raw))["choices"]
        return sorted(told, key=lambda c: c.get("index", 0))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error):
        return "not JSON of the expected form"


def read(raw: Mapping[str, Any]) -> Read:
    """The answers in a response, of either interface."""
    found, choices = Read(), _choices(raw)
    if isinstance(choices, str):
        found.unusable[choices] += 1
        return found
    for choice in choices:
        try:
            answer = _answer(choice)
        except (KeyError, TypeError, ValueError, AttributeError):
            found.unusable["not JSON of the expected form"] += 1
            continue
        if answer.finish == "content_filter":
            found.unusable["filtered"] += 1
        elif not answer.text.strip():
            found.unusable["empty"] += 1
        else:
            found.answers.append(answer)
    return found


def _answer(choice: Mapping[str, Any]) -> Answer:
    message, told = choice.get("message"), choice.get("logprobs") or {}
    text = choice["text"] if message is None else (message.get("content") or "")
    if not isinstance(text, str):
        raise TypeError("the text of an answer is not a string")
    finish = str(choice.get("finish_reason") or "")
    if message is None:
        most = told.get("top_logprobs") or []
        return Answer(text, finish, tuple(told.get("tokens") or ()), tuple(_likely(m) for m in most))
    rows = told.get("content") or []
    most = tuple(_likely({m["token"]: m["logprob"] for m in row.get("top_logprobs") or ()}) for row in rows)
    return Answer(text, finish, tuple(row["token"] for row in rows), most)


def _likely(row: Mapping[str, float | None] | None) -> Mapping[str, float]:
    """Log-probabilities by token; a server may send null in place of minus infinity."""
    return {str(token): float(p) for token, p in (row or {}).items() if p is not None and math.isfinite(p)}


def scored(raw: Mapping[str, Any], count: int) -> list[Scored] | None:
    """What a model returned for `count` given texts, in order; None if it did not score all of them."""
    choices = _choices(raw)
    if isinstance(choices, str) or len(choices) != count:
        return None
    try:
        return [Scored(choice) for choice in choices]
    except (KeyError, TypeError, ValueError):
        return None


def likely(
    tokenizer: Tokenizer,
    tokens: Sequence[str],
    most: Sequence[Mapping[str, float] | None],
    ids: Sequence[int],
    first: int,
    offset: int = 0,
) -> Likely | None:
    """Probabilities in our ids; None if the model's tokens are not ours.

    tokens, most: as the model returned them; ids: the same text in our tokenizer; first: the smallest index needed;
    offset: what to add to turn an index into a position.
    """
    if len(tokens) < len(ids) or [_one(tokenizer, t) for t in tokens[: len(ids)]] != list(ids) or len(most) < len(ids):
        return None
    rows = [_ids(tokenizer, row or {}) for row in most[first : len(ids)]]
    width = max((len(row) for row in rows), default=0)
    if not width:
        return None
    token = np.full((len(rows), width), -1, np.int64)
    probability = np.zeros((len(rows), width), np.float32)
    for i, row in enumerate(rows):
        token[i, : len(row)], probability[i, : len(row)] = list(row), list(row.values())
    return Likely(np.arange(first, len(ids)) + offset, token, probability)


def _ids(tokenizer: Tokenizer, row: Mapping[str, float]) -> dict[int, float]:
    """Probabilities by id. Tokens outside our vocabulary are left out, which only costs power."""
    told: dict[int, float] = {}
    for text, p in row.items():
        one = _one(tokenizer, text)
        if one is not None:
            told[one] = min(1.0, told.get(one, 0.0) + math.exp(min(0.0, p)))
    return told


def _one(tokenizer: Tokenizer, text: str) -> int | None:
    ids = tokenizer.encode(text)
    return ids[0] if len(ids) == 1 else None
