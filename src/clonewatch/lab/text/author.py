"""Writes the text of rows: system prompt and last user message, derived from the ids of template and prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from clonewatch.lab import content
from clonewatch.lab.rows import Rows
from clonewatch.lab.text.casual import casual
from clonewatch.lab.text.harvests import grade_message, harvest_message, reworded_message, rewrite_message, tidy_message
from clonewatch.lab.text.programs import agent_message, app_message, harness_prompt, label_message, system_prompt
from clonewatch.lab.text.word_lists import SHORT
from clonewatch.model.errors import SetupError
from clonewatch.model.schema import TASKS

_ELICITS = 0.4  # from this elicitation on, the text demands reasoning
_KINDS = {content.CODE: "code", content.DATA: "data", content.HOMEWORK: "homework"}
_WHOSE = ("campaign", "honest")


class _Asked(NamedTuple):
    """The columns of a row on which its text depends; the names are those of the columns."""

    genre: int
    template: int
    prompt: int
    cell: int
    turn: int
    elicitation: float
    format: int
    system: int
    campaign: int
    task: int


class Author:
    """Writes messages. The same ids give the same text, so repeats and shared templates stay repeats and templates.

    prompts: real prompts to use in place of generated ones, by "campaign" and "honest"; each new prompt of the log
    takes the next of its list, which restarts at the end.
    """

    def __init__(self, salt: int, prompts: Mapping[str, Sequence[str]]) -> None:
        given = dict(prompts)
        if set(given) - set(_WHOSE) or any(not texts for texts in given.values()):
            raise SetupError("prompts are lists under 'campaign' and 'honest'", fix="Leave out empty lists.")
        self._given: dict[str, list[str]] = {}
        for whose, texts in sorted(given.items()):
            order = np.random.default_rng([salt, 81, _WHOSE.index(whose)]).permutation(len(texts))
            self._given[whose] = [texts[i] for i in order]
        self._placed: dict[tuple[str, int], int] = {}
        self._used = dict.fromkeys(_WHOSE, 0)

    def columns(self, part: Rows) -> dict[str, pa.Array]:
        """system_text and messages of these rows."""
        systems: list[str | None] = []
        messages: list[str] = []
        for row in map(_Asked._make, zip(*(part[name].tolist() for name in _Asked._fields), strict=True)):
            above = self._system(row.genre, row.system)
            whose = "campaign" if row.campaign >= 0 else "honest"
            if whose in self._given and row.genre != content.CONTINUE:
                said = self._real(whose, row.prompt)
            else:
                said = _said(row)
            talk = [{"role": "user", "content": said}]
            if above:
                talk.insert(0, {"role": "system", "content": above})
            systems.append(above)
            messages.append(json.dumps(talk, ensure_ascii=False))
        return {"system_text": pa.array(systems, pa.string()), "messages": pa.array(messages, pa.string())}

    def _system(self, genre: int, system: int) -> str | None:
        if not system:
            return None
        return harness_prompt(system) if genre == content.AGENT else system_prompt(system)

    def _real(self, whose: str, prompt: int) -> str:
        key = (whose, prompt)
        if key not in self._placed:
            self._placed[key] = self._used[whose] % len(self._given[whose])
            self._used[whose] += 1
        return self._given[whose][self._placed[key]]


def _said(row: _Asked) -> str:
    template, prompt, cell = row.template, row.prompt, row.cell
    elicits, task = row.elicitation >= _ELICITS, TASKS[row.task]
    match row.genre:
        case content.CONTINUE:
            return SHORT[prompt % len(SHORT)]
        case content.APP:
            return app_message(template, prompt, cell)
        case content.AGENT:
            return agent_message(template, prompt, cell, row.turn == 0)
        case content.LABEL:
            return label_message(template, prompt, cell)
        case content.HARVEST | content.PROBE:
            return harvest_message(template, prompt, cell, elicits, row.format, task)
        case content.REWORDED:
            return reworded_message(template, prompt, cell, elicits, row.format, task)
        case content.GRADE:
            return grade_message(template, prompt, cell)
        case content.REWRITE:
            return rewrite_message(template, prompt, cell)
        case content.TRACE:
            return tidy_message(template, prompt, cell)
        case _:
            return casual(template, prompt, cell, _KINDS.get(row.genre, "chat"))
