"""Assumption cards: every number of the policy lab with its range, unit, source and date."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import msgspec

from clonewatch.kernels.toml_lines import Fault, Lines, shaped, tables

MOST_WORDS = 400


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One number that is assumed. low, high: where it may well lie. source: who says so, or that nobody does."""

    value: float
    low: float
    high: float
    unit: str
    source: str
    date: datetime.date


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal["clonewatch.cards.v1"]
    cards: dict[str, Any] = {}


class Turned(NamedTuple):
    """One card at an end of its range."""

    name: str
    end: str
    cards: Cards


class Cards(Mapping[str, float]):
    """The values of all cards by name.

    >>> cards()["payment_usd"]
    3.0
    """

    def __init__(self, held: Mapping[str, Card]) -> None:
        self.held: Mapping[str, Card] = MappingProxyType(dict(held))

    def __getitem__(self, name: str) -> float:
        return self.held[name].value

    def __iter__(self) -> Iterator[str]:
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)

    def with_card(self, name: str, card: Card) -> Cards:
        """The same with one card replaced."""
        return Cards({**self.held, name: card})

    def ends(self, name: str) -> list[Turned]:
        """The card at the ends of its range, where they differ from its value."""
        card = self.held[name]
        found = []
        for end, value in (("low", card.low), ("high", card.high)):
            if value != card.value:
                found.append(Turned(name, end, self.with_card(name, msgspec.structs.replace(card, value=value))))
        return found


@cache
def cards() -> Cards:
    """The cards that ship with the package."""
    found = read(files("clonewatch.lab.adversary").joinpath("cards.toml").read_bytes())
    if isinstance(found, list):
        raise ValueError(f"cards.toml has faults: {found}")
    return found


def read(data: bytes, known: Mapping[str, Card] | None = None) -> Cards | list[Fault]:
    """Cards from the bytes of a TOML file, or everything that is wrong with them, by line.

    known: cards that these replace; then no other names may occur.
    """
    opened = tables(data)
    if isinstance(opened, Fault):
        return [opened]
    held, lines = opened
    try:
        file = msgspec.convert(held, _File)
    except msgspec.ValidationError as error:
        return [shaped(error, lines, "", 0)]
    return replaced(file.cards, lines, known)


def replaced(
    given: Mapping[str, Any], lines: Lines, known: Mapping[str, Card] | None = None, table: str = "cards"
) -> Cards | list[Fault]:
    """The known cards with those that are given in place of their namesakes. table: that holds them in the file."""
    faults: list[Fault] = []
    found = dict(known or {})
    for name, words in given.items():
        where = f"{table}.{name}"
        if known is not None and name not in known:
            faults.append(Fault(lines.of(where, 0), f"there is no card {name!r}", f"There are: {', '.join(known)}"))
            continue
        try:
            card = msgspec.convert(words, Card)
        except msgspec.ValidationError as error:
            faults.append(shaped(error, lines, where, 0))
            continue
        faults += _faults(card, where, lines)
        found[name] = card
    return faults or Cards(found)


def _faults(card: Card, where: str, lines: Lines) -> Iterator[Fault]:
    if not all(map(math.isfinite, (card.value, card.low, card.high))):
        yield Fault(lines.of(where, 0, "value"), "a card holds finite numbers")
    elif not 0 <= card.low <= card.value <= card.high:
        said = f"{card.value:g} is not within {card.low:g} to {card.high:g}, or below 0"
        yield Fault(lines.of(where, 0, "value"), said, "Give 0 <= low <= value <= high")
    for key, text in (("unit", card.unit), ("source", card.source)):
        if not text.strip() or len(text) > MOST_WORDS:
            yield Fault(
                lines.of(where, 0, key), f"{key} is empty, or longer than {MOST_WORDS} letters", "Say it briefly"
            )
