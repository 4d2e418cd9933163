"""A dated list of prices, and what is published about the value of answers to a student model: one TOML file."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from clonewatch.model.errors import InputError
from clonewatch.model.text_files import bytes_of, toml_of

_FIX = "Write it as examples/prices.toml does"
SCHEMA: Literal["clonewatch.prices.v1"] = "clonewatch.prices.v1"


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """List price of a model per million tokens. input, output: in the currency of the file."""

    input: float
    output: float


class Student(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an attributed exchange is worth to a student model, as somebody published it: a range with sources."""

    low: float
    high: float
    unit: str
    sources: tuple[str, ...]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal["clonewatch.prices.v1"]
    date: date
    currency: str
    source: str
    models: dict[str, Price]
    student: Student | None = None


class Prices(NamedTuple):
    """A price file. date: day of the list. source: who published it. student: None where nothing is known."""

    date: str
    currency: str
    source: str
    models: dict[str, Price]
    student: Student | None


def read(path: Path) -> Prices:
    """Read a price file. Raises InputError."""
    try:
        return parsed(bytes_of(path))
    except OSError as error:
        raise InputError(f"cannot read the prices: {error.strerror}", where=str(path), fix=_FIX) from error
    except ValueError as error:
        raise InputError(f"these are no prices: {error}", where=str(path), fix=_FIX) from error


def parsed(data: bytes) -> Prices:
    """Prices from the bytes of a file. Raises ValueError."""
    held: dict[str, Any] = toml_of(data.decode())
    found = msgspec.convert(held, _File)
    amounts = [amount for price in found.models.values() for amount in (price.input, price.output)]
    if found.student:
        amounts += [found.student.low, found.student.high - found.student.low]
        if not found.student.sources:
            raise ValueError("the range of value to a student names no source")
    if not all(0 <= amount < float("inf") for amount in amounts):
        raise ValueError("a price is below zero or no number, or a range is upside down")
    if not found.source.strip():
        raise ValueError("the price list names no source")
    return Prices(found.date.isoformat(), found.currency, found.source, found.models, found.student)
