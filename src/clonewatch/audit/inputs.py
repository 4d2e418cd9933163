"""What a plan is made of beside its settings: prompts, pairs of answers and text that we served, each checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from clonewatch.audit import samples, tokenizing, watermark
from clonewatch.audit.committing import mappings
from clonewatch.audit.folder import read_rows
from clonewatch.audit.ledger import Ledger
from clonewatch.audit.outcome import p_value_text
from clonewatch.audit.plan import PlannedTest
from clonewatch.model.errors import InputError

_FORM = "docs/using/audit.md says what each row holds"
_PAIR = ("request_id", "prompt", "first", "second")


def prompts(place: Path) -> list[str]:
    """The prompts of a file, each once."""
    found = []
    for row in read_rows(place):
        if not isinstance(row.get("prompt"), str) or not row["prompt"].strip():
            raise InputError('a row has no text in "prompt"', where=str(place), fix=_FORM)
        found.append(row["prompt"])
    if not found:
        raise InputError("there are no prompts", where=str(place), fix=_FORM)
    if len(set(found)) < len(found):
        raise InputError(
            "a prompt occurs twice", where=str(place), fix="List each prompt once; `answers` sets the number of answers"
        )
    return found


def pairs(place: Path) -> list[dict[str, Any]]:
    """The pairs of answers of a file, one for each request."""
    found = []
    for row in read_rows(place):
        if any(not isinstance(row.get(name), str) or not row[name] for name in _PAIR):
            raise InputError(f"a pair lacks one of {', '.join(_PAIR)}", where=str(place), fix=_FORM)
        if not isinstance(row.get("commitment", ""), str):
            raise InputError("the commitment of a pair is no text", where=str(place), fix=_FORM)
        found.append({name: row[name] for name in (*_PAIR, "commitment") if name in row})
    if len({p["request_id"] for p in found}) < len(found):
        raise InputError("a request_id occurs twice", where=str(place), fix=_FORM)
    return found


def served(place: Path) -> list[dict[str, Any]]:
    """Text that we served, with the commitment that it carries where it names one."""
    rows = list(read_rows(place))
    for row in rows:
        if not isinstance(row.get("text"), str) or any(
            type(row.get(n, "")) is not str for n in ("prompt", "commitment")
        ):
            what = 'a row has no text in "text", or its "prompt" or "commitment" is none'
            raise InputError(what, where=str(place), fix=_FORM)
    return rows


def confirmed(
    test: PlannedTest, served: list[dict[str, Any]], tokenizer: tokenizing.Tokenizer, ledger: Ledger
) -> PlannedTest:
    """A test, confirmed on text that we served with its watermark, and by which public mapping if several share a name.

    Raises InputError if the text does not carry it.
    """
    rows = [row for row in served if test.commitment.startswith(row.get("commitment", ""))]
    if test.test != "watermark" or not rows:
        return test
    texts = [row["text"] for row in rows]
    asked = [row.get("prompt", "") for row in rows]
    told = samples.from_texts(texts, tokenizer.encode, asked)
    found = {name: watermark.confirmation(told, keyed) for name, keyed in mappings(test, ledger.secret).items()}
    best = min(found, key=lambda name: found[name].log10_p)
    if not watermark.confirms(found[best]):
        tried = "; ".join(f"{name}: p = {p_value_text(r.log10_p)}" for name, r in found.items())
        raise InputError(
            f"our own served text does not carry this watermark ({tried}; {found[best].n_distinct} distinct inputs)",
            where=f"{test.id}, commitment {test.commitment[:12]}",
            fix="Check the key and its period, the window, the rule and the tokenizer; use more text if it is short",
        )
    return msgspec.structs.replace(test, confirmed=True, public={**test.public, "prf": best})
