"""How the evidence on one group adds up: links, tests and support apart, for they count towards different things."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from clonewatch.report.numerals import number
from clonewatch.report.reasons import Reason


class Part(NamedTuple):
    """One line of the sum: its name, the best of each family, their sum, and what it counts towards."""

    name: str
    families: str
    bits: str
    counts: str


def best(pieces: Iterable[Reason], kind: str) -> dict[str, float]:
    """The strongest evidence of each family among those for a group of this kind, in bits, strongest first."""
    held: dict[str, float] = {}
    for piece in pieces:
        if piece.kind == kind and piece.side == "for":
            held[piece.family] = max(held.get(piece.family, 0.0), piece.bits or 0.0)
    return dict(sorted(held.items(), key=lambda item: (-item[1], item[0])))


def parts(pieces: Iterable[Reason], score: float | None) -> list[Part]:
    """The lines of the sum. score: of the group, in bits."""
    held = list(pieces)
    links, tests, support = (best(held, kind) for kind in ("link", "behaviour", "support"))
    against = -sum(piece.bits or 0.0 for piece in held if piece.side == "against")
    lines = [
        Part("Links", _named(links), number(sum(links.values())), "linkage, and not the score"),
        Part("Tests", _named(tests), number(sum(tests.values())), "the score"),
    ]
    if support:
        lines.append(Part("Support", _named(support), "-", "not added; one more family, only beside harvest"))
    lines.append(Part("Against", _names(held), number(-against), _taken(sum(tests.values()), against, score)))
    needs = "needs 12 bits, from three families of at least 4.5 bits, two where nobody is trusted"
    return [*lines, Part("Score", "", number(score), needs)]


def _taken(tests: float, against: float, score: float | None) -> str:
    """Whether all evidence against is in the score: a strong test may set aside what its own family says against."""
    if score is None or abs(tests - against - score) < 0.005:
        return "subtracted from the score"
    return f"{number(tests - score)} bits are subtracted; a stronger test of the same family sets the rest aside"


def _named(found: Mapping[str, float]) -> str:
    return ", ".join(f"{family} {number(bits)}" for family, bits in found.items()) or "none"


def _names(pieces: Iterable[Reason]) -> str:
    return ", ".join(sorted({piece.family for piece in pieces if piece.side == "against"})) or "none"
