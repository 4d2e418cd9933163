"""Reads raw responses: a model's text and probabilities, in our token ids, and why an answer cannot be used.

A response is hostile input. Whatever it holds, reading it ends in answers or in a reason, and what an answer may cost
to test is bounded by what was requested.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clonewatch.audit.samples import Likely
from clonewatch.audit.tokenizing import Tokenizer

_NOT_OURS = "not JSON of the expected form"
# What reading a response of the wrong form raises.
_WRONG = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)
# A token is rarely longer; an answer with more characters than this for each token has more tokens than requested.
_CHARACTERS = 64
# Likely tokens that are kept at a place: more than any plan requests.
_MOST_LISTED = 128
# Rounding may lift the logarithm of 1 a little above 0. Servers write -9999 for a token that cannot be.
_ABOVE_ONE, _ABSURD = 1e-3, -1e9
_FIELDS = {"at": str, "attempt": int, "problem": str, "replayed": bool, "request": dict, "sha256": str, "status": int}


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
        self.tokens = [_text(t) for t in told["tokens"]]
        self.start = [int(o) for o in told["text_offset"]]
        self.logprob = [None if v is None else float(v) for v in told["token_logprobs"]]
        most = told.get("top_logprobs") or [None] * len(self.tokens)
        self.most: list[Any] = [_likely(row) if isinstance(row, dict) else None for row in most]
        if not len(self.tokens) == len(self.start) == len(self.logprob) == len(self.most):
            raise ValueError("the columns of the probabilities differ in length")

    def between(self, first: int, end: int) -> float | None:
        """Log-probability of the tokens that begin at characters first to end - 1; None if one has none.

        A probability above 1 is none, and neither is one that no model has.
        """
        told = [p for p, at in zip(self.logprob, self.start, strict=True) if first <= at < end]
        if not told or any(p is None or not -math.inf < p <= _ABOVE_ONE for p in told):
            return None
        total = sum(p for p in told if p is not None)
        return total if total > _ABSURD else None


def stored(raw: Mapping[str, Any]) -> bool:
    """Whether this is a response as `collect` stores it, with the bytes that it had when it was received."""
    try:
        named = all(type(raw[name]) is kind for name, kind in _FIELDS.items())
        known = set(raw) <= {*_FIELDS, "body", "body64"}
        return named and known and hashlib.sha256(body_of(raw)).hexdigest() == raw["sha256"]
    except _WRONG:
        return False


def body_of(raw: Mapping[str, Any]) -> bytes:
    """The bytes that a model sent."""
    if "body64" in raw:
        return base64.b64decode(raw["body64"], validate=True)
    return str(raw["body"]).encode("utf-8")


def _choices(raw: Mapping[str, Any]) -> list[Any] | str:
    """The choices of a response in their order, or why there are none."""
    if raw["problem"]:
        return str(raw["problem"])
    if raw["status"] != 200:
        return f"status {raw['status']}"
    try:
        told = json.loads(body_of(raw))["choices"]
        if not isinstance(told, list):
            return _NOT_OURS
        return sorted(told, key=lambda c: c.get("index", 0))
    except (*_WRONG, RecursionError, binascii.Error):
        return _NOT_OURS


def read(raw: Mapping[str, Any]) -> Read:
    """The answers in a response, of either interface."""
    found, choices = Read(), _choices(raw)
    if isinstance(choices, str):
        found.unusable[choices] += 1
        return found
    most, longest = _requested(raw["request"])
    for place, choice in enumerate(choices):
        if place >= most:
            found.unusable["more answers than requested"] += 1
            continue
        try:
            answer = _answer(choice)
        except _WRONG:
            found.unusable[_NOT_OURS] += 1
            continue
        if answer.finish == "content_filter":
            found.unusable["filtered"] += 1
        elif not answer.text.strip():
            found.unusable["empty"] += 1
        elif len(answer.text) > longest:
            found.unusable["longer than requested"] += 1
        else:
            found.answers.append(answer)
    return found


def _requested(request: Mapping[str, Any]) -> tuple[float, float]:
    """The most answers, and the most characters of each, that a request asks for."""
    return request.get("n", math.inf), request.get("max_tokens", math.inf) * _CHARACTERS


def _text(told: object) -> str:
    """A string of whole characters. Raises TypeError or ValueError for anything else, such as half a character."""
    if not isinstance(told, str):
        raise TypeError("not a string")
    told.encode("utf-8")
    return told


def _answer(choice: Mapping[str, Any]) -> Answer:
    message = choice.get("message")
    text = _text(choice["text"] if message is None else (message.get("content") or ""))
    finish = choice.get("finish_reason")
    finish = finish if isinstance(finish, str) else ""
    try:
        tokens, most = _told(choice.get("logprobs") or {}, chat=message is not None)
    except _WRONG:  # the text can be used all the same
        return Answer(text, finish)
    return Answer(text, finish, tokens, most)


def _told(told: Mapping[str, Any], *, chat: bool) -> tuple[tuple[str, ...], tuple[Mapping[str, float], ...]]:
    """The tokens of an answer and the likely ones at each, from either interface."""
    if not chat:
        most = told.get("top_logprobs") or []
        return tuple(_text(t) for t in told.get("tokens") or ()), tuple(_likely(m) for m in most)
    rows = told.get("content") or []
    most = tuple(_likely({m["token"]: m["logprob"] for m in row.get("top_logprobs") or ()}) for row in rows)
    return tuple(_text(row["token"]) for row in rows), most


def _likely(row: Mapping[str, float | None] | None) -> Mapping[str, float]:
    """Log-probabilities by token, the likeliest ones; a server may send null in place of minus infinity."""
    told = {_text(token): float(p) for token, p in (row or {}).items() if p is not None and math.isfinite(p)}
    if len(told) <= _MOST_LISTED:
        return told
    return dict(sorted(told.items(), key=lambda item: (-item[1], item[0]))[:_MOST_LISTED])


def scored(raw: Mapping[str, Any], count: int) -> list[Scored] | None:
    """What a model returned for `count` given texts, in order; None if it did not score all of them."""
    choices = _choices(raw)
    if isinstance(choices, str) or len(choices) != count:
        return None
    try:
        return [Scored(choice) for choice in choices]
    except _WRONG:
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
