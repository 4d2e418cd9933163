"""Collected answers as tests read them: samples in our tokens, references, scores, and why some are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from clonewatch.audit import answers, requests, tokenizing
from clonewatch.audit.answers import Answer, Read
from clonewatch.audit.folder import PROMPTS, RAW, TWINS, Folder
from clonewatch.audit.plan import AuditPlan, reaches
from clonewatch.audit.samples import Likely, Sample
from clonewatch.audit.watermark import Mode
from clonewatch.model.errors import InputError

# Above this share of answers without probabilities (or without a reference) the test uses none for all answers.
_MOST_MISSING = 0.1
# From this share of tokens outside our vocabulary on, a result says so.
_MANY_UNKNOWN = 0.2
WITHOUT_REFERENCE = "Tested without a reference: our own model did not score these answers in our tokens."
# Completions are compared over this many prompts: the test is sharp enough with them.
EQUALITY_PROMPTS = 100


@dataclass(frozen=True)
class Samples:
    """Answers of one model, ready for the test of a watermark. notes: what a reader of the result must know."""

    samples: list[Sample]
    mode: Mode
    reference: list[Likely] | None
    notes: tuple[str, ...]


class Collected:
    """The raw answers of a folder, read on demand. Raises InputError for a missing file."""

    def __init__(self, folder: Folder, plan: AuditPlan) -> None:
        self._folder, self._plan = folder, plan
        self._read: dict[tuple[str, str], Read] = {}

    @cached_property
    def tokenizer(self) -> tokenizing.Tokenizer:
        """The provider's tokenizer."""
        name = next(n for n in self._plan.files if n.startswith("tokenizer"))
        return tokenizing.read(self._folder.path / name)

    @cached_property
    def prompts(self) -> list[str]:
        """The prompts that were sent."""
        return [str(row["prompt"]) for row in self._folder.rows(PROMPTS)]

    @cached_property
    def twins(self) -> list[dict[str, Any]]:
        """Pairs of answers to one request."""
        return self._folder.rows(TWINS)

    def raw(self, name: str, what: str) -> dict[str, Any]:
        """A response as it was stored."""
        return self._folder.object(f"{RAW}/{name}/{what}.json")

    def _answered(self, name: str, what: str) -> Read:
        if (name, what) not in self._read:
            self._read[name, what] = answers.read(self.raw(name, what))
        return self._read[name, what]

    def answers(self, name: str, what: str) -> list[Answer]:
        """The usable answers of a model to one request."""
        return self._answered(name, what).answers

    def scores(self, name: str, what: str, texts: Sequence[str], starts: Sequence[int]) -> list[float] | None:
        """Log-probability of each text from its start on; None if the model did not score all of them."""
        told = answers.scored(self.raw(name, what), len(texts))
        if told is None:
            return None
        held = [one.between(start, len(text)) for one, text, start in zip(told, texts, starts, strict=True)]
        return None if None in held else [h for h in held if h is not None]

    def texts(self, name: str, parts: Iterable[int]) -> dict[str, list[str]]:
        """Completions by prompt, for the test of equality."""
        chosen = self._prompts_of(parts)[:EQUALITY_PROMPTS]
        return {self.prompts[i]: [a.text for a in self.answers(name, f"answer-{i:05d}")] for i in chosen}

    def counted(self, name: str, parts: int) -> dict[str, Any]:
        """How many answers of a model could be used, and why others could not."""
        unusable: Counter[str] = Counter()
        usable = cut = replayed = 0
        at = []
        for i in self._prompts_of(range(parts)):
            what = f"answer-{i:05d}"
            read = self._answered(name, what)
            unusable += read.unusable
            usable += len(read.answers)
            cut += sum(a.finish == "length" for a in read.answers)
            raw = self.raw(name, what)
            replayed += bool(raw["replayed"])
            at.append(str(raw["at"]))
        return {
            "usable": usable,
            "at_the_limit": cut,
            "unusable": dict(sorted(unusable.items())),
            "replayed": replayed,
            "first": min(at, default=""),
            "last": max(at, default=""),
        }

    def samples(self, name: str, parts: Iterable[int], like: Samples | None = None) -> Samples:
        """The answers of a model to the prompts of some parts. like: use its mode, and a reference if it has one.

        The mode and the reference are chosen by what the model returned, never by a key.
        """
        rows = [row for i in self._prompts_of(parts) for row in self._rows(name, i)]
        if not rows:
            raise InputError(f"no answer of the {name} can be used")
        notes = []
        wanted = reaches(self._plan.access, "logprobs") if like is None else like.mode == "logprobs"
        mode: Mode = "text"
        if wanted and (like is not None or _mostly(r.likely is not None for r, _ in rows)):
            mode, rows = "logprobs", [row for row in rows if row[0].likely is not None]
        elif wanted:
            notes.append("Tested from text: its probabilities are missing, or not over our tokens.")
        reference = None
        if like.reference is not None if like else "ours" in self._plan.sources:
            if like is not None or _mostly(about is not None for _, about in rows):
                rows = [row for row in rows if row[1] is not None]
                reference = [about for _, about in rows if about is not None]
            else:
                notes.append(WITHOUT_REFERENCE)
        written = np.concatenate([sample.written for sample, _ in rows]) if rows else np.zeros(0, np.int64)
        unknown = float((written == self.tokenizer.unknown).mean()) if len(written) else 0.0
        if unknown >= _MANY_UNKNOWN:
            notes.append(f"{unknown:.0%} of the tokens are unknown to our tokenizer: another language, or not ours.")
        return Samples([sample for sample, _ in rows], mode, reference, tuple(notes))

    def _prompts_of(self, parts: Iterable[int]) -> list[int]:
        held = set(parts)
        return [i for i in range(len(self.prompts)) if self._plan.part(i) in held]

    def _rows(self, name: str, i: int) -> list[tuple[Sample, Likely | None]]:
        """The answers to one prompt, each with our own model's probabilities."""
        told = self.answers(name, f"answer-{i:05d}")
        given = self.tokenizer.encode(requests.before(self._plan, name, self.prompts[i]))
        about: Sequence[answers.Scored | None] = [None] * len(told)
        what = f"reference-{name}-{i:05d}"
        if told and self._folder.has(f"{RAW}/ours/{what}.json"):
            about = answers.scored(self.raw("ours", what), len(told)) or about
        rows = []
        for answer, scored in zip(told, about, strict=True):
            ids = self.tokenizer.encode(answer.text)
            if not ids:
                continue
            held = answers.likely(self.tokenizer, answer.tokens, answer.most, ids, 0, len(given))
            whole = [*given, *ids]
            reference = None
            if scored is not None:
                reference = answers.likely(self.tokenizer, scored.tokens, scored.most, whole, len(given))
            rows.append((Sample(np.array(whole, np.int64), len(given), held), reference))
        return rows


def _mostly(told: Iterable[bool]) -> bool:
    held = list(told)
    return bool(held) and sum(held) >= (1 - _MOST_MISSING) * len(held)
