"""What to check first about one group: short, and in the order in which it saves the most work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clonewatch.model.rulings import ruled_out
from clonewatch.report.numerals import amount, sentence
from clonewatch.report.reasons import Reason

# Open explanations that are spelled out; the evidence has all of them.
_OPEN_NAMED = 2


def first_checks(
    row: Mapping[str, Any], evidence: Sequence[Reason], against: Sequence[Reason], roles: Mapping[str, int]
) -> list[str]:
    """What to check, in sentences.

    row: of the campaigns table. evidence, against: pieces of evidence, strongest first. roles: accounts by role, as the
    tables name roles.
    """
    said = []
    if against:
        titles = ", ".join(piece.title for piece in against)
        said.append(f"What speaks against it: {titles}.")
    still = [piece for piece in evidence if not ruled_out(piece.ruled_out)]
    for piece in (still or list(evidence))[:_OPEN_NAMED]:
        if piece.innocent:
            known = "could still be this" if piece in still else "this log rules it out, your records may not"
            said.append(f"{piece.title} ({known}): {sentence(piece.innocent)}")
    said.append("Contracts, resellers, schools and events that you know of and the log does not.")
    if row["flagged"]:
        if roles.get("fringe"):
            said.append(f"{amount(roles['fringe'], 'fringe account')}, one by one: less certain than the core.")
        if roles.get("proxy_customer"):
            customers = amount(roles["proxy_customer"], "proxy customer")
            said.append(f"{customers}: likely bystanders. Do not act against them on the basis of this page.")
    return said
