"""The documents of a bundle: a letter without personal data as text, and both letter and dossier as PDF/A."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from textwrap import fill
from typing import Any

from clonewatch.dossier.wording import NOT_SHOWN
from clonewatch.model.errors import OutputError
from clonewatch.report.numerals import amount, day, number

_FEW = 5  # smaller numbers of accounts are not given, since they could point at people
_WIDTH = 78


def typesetter() -> str:
    """The version of what makes the PDF files; empty where the extra `dossier` is not installed."""
    return version("typst") if find_spec("typst") else ""


def pdfs(dossier: Mapping[str, Any], letter: Mapping[str, Any]) -> dict[str, bytes]:
    """The PDF files by name; none where the extra `dossier` is not installed."""
    if not typesetter():
        return {}
    data = {"dossier": dossier, "letter": letter}
    return {f"{name}.pdf": typeset(name, told, dossier["made_at"]) for name, told in data.items()}


def letter(dossier: Mapping[str, Any], spelled: bytes) -> dict[str, Any]:
    """The public letter: heading, paragraphs, points. spelled: `dossier.json`, which it names by its hash.

    It holds no account, no name, no note, no exchange and no figure of money, and no count of accounts under five.
    """
    figures = {one["name"]: one["value"] for one in dossier["figures"]}
    window = dossier["method"]["window"]
    accounts = figures["accounts"]
    who = f"fewer than {_FEW} accounts" if accounts < _FEW else amount(accounts, "account")
    reached = [rung for rung in dossier["ladder"] if rung["reached"]]
    counted = (
        f"Between {day(window['first'])} and {day(window['last'])} the scan examined"
        f" {amount(figures['log_exchanges'], 'exchange')}. One linked group of {who} with no declared common owner"
        f" sent {amount(figures['exchanges'], 'exchange')}; {figures['attributed_exchanges']:,} of them are attributed"
        " to the group, each with a probability of at least one half."
    )
    p = figures["p_value"]
    sure = (
        f"The p-value is {number(p)}, by comparison with {figures['p_n']:,} linked groups in logs of honest use: how"
        " often such a group comes this close to the threshold by chance. It is not a probability of guilt."
        if p is not None
        else "No p-value was computed."
    )
    level = (
        f"On the ladder of evidence the group is at {reached[-1]['code']}, {reached[-1]['name']}: {reached[-1]['says']}"
        if reached
        else "The group has no level on the ladder of evidence."
    )
    families = ", ".join(one["family"] for one in dossier["evidence"]) or "none"
    return {
        "title": "Letter on linked accounts",
        "heading": [f"Date: {dossier['made_at'][:10]}", "From: [name of the service]", "To: [name of the authority]"],
        "status": dossier["status"]["said"],
        "paragraphs": [
            "We operate a service that answers requests with a language model, and report what its records show.",
            dossier["status"]["said"],
            counted,
            f"Kinds of evidence that were measured: {families}. {level}",
            sure,
            "No company and no person is named, because the records do not show one. The records hold no proof of the"
            " following:",
        ],
        "points": list(NOT_SHOWN),
        "closing": [
            "Innocent explanations were considered one by one; the full file lists each with what was found about it,"
            " and says which were not tested.",
            "The full file is a signed bundle. It can be checked without trusting us, and every figure in it can be"
            f" recomputed from its tables. The SHA-256 of its content, dossier.json, is {sha256(spelled).hexdigest()}.",
            "This letter holds no account, no name, no text of any request and no figure of money.",
        ],
    }


def letter_text(told: Mapping[str, Any]) -> bytes:
    """The letter as plain text."""
    parts = [told["title"].upper(), "\n".join(told["heading"])]
    parts += [fill(one, _WIDTH) for one in told["paragraphs"]]
    parts.append("\n".join(fill(f"- {one}", _WIDTH, subsequent_indent="  ") for one in told["points"]))
    parts += [fill(one, _WIDTH, break_long_words=False) for one in told["closing"]]
    return ("\n\n".join(parts) + "\n").encode()


def typeset(template: str, data: Mapping[str, Any], made_at: str) -> bytes:
    """A document as PDF/A, from a template and its data.

    Nothing is fetched: only the fonts that come with typst are used. Equal data give equal bytes. Raises OutputError.
    """
    import typst

    held = json.dumps(data, ensure_ascii=False, sort_keys=True)
    source = files("clonewatch.dossier").joinpath("templates", f"{template}.typ").read_bytes()
    fonts = typst.Fonts(include_system_fonts=False)
    try:
        compiler = typst.Compiler(source, font_paths=fonts, sys_inputs={"data": held})
        # PDF/A-2b: everything that it takes to show the file is in it.
        made: Any = compiler.compile(format="pdf", pdf_standards=["a-2b"], timestamp=datetime.fromisoformat(made_at))
    except RuntimeError as error:
        raise OutputError(f"{template}.pdf could not be made: {error}", fix="Report it as a bug") from error
    return bytes(made)
