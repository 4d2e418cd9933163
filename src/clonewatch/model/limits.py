"""Limits on what reading a log may cost, which an operator may move: `--limit NAME=VALUE`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from clonewatch.model.errors import SetupError
from clonewatch.model.option_values import megabytes

_MIB = 1 << 20


class Limits(NamedTuple):
    """row: bytes of a line, a document or a cell. batch: decoded bytes that are worked on at once.

    expansion: times its bytes on disk to which a file may decode, from `decoded` bytes of it on. rejected: bytes of
    rejected rows that are written one by one.
    """

    row: int = 16 * _MIB
    batch: int = 32 * _MIB
    decoded: int = 256 * _MIB
    expansion: int = 500
    rejected: int = 16 * _MIB

    @property
    def too_long(self) -> str:
        """Why a row is rejected."""
        return f"longer than {_written(self.row)}, which --limit row= raises"

    @property
    def too_expanded(self) -> str:
        """What a file does that decodes to more than it may."""
        return f"expands more than {self.expansion}-fold, which --limit expansion= raises"

    def is_beyond(self, decoded: int, size: int) -> bool:
        """Whether so many decoded bytes are more than a file of a size may hold."""
        return decoded > max(self.decoded, self.expansion * size)

    def is_repeated_beyond(self, repeated: int, size: int) -> bool:
        """The same for bytes that repeat others: those are cheap to skip, and a log repeats long prompts."""
        return repeated > max(8 * self.decoded, 10 * self.expansion * size)


DEFAULT = Limits()
# The least and the most of each. Text is read in chunks of a mebibyte, so a row may always be that long.
_RANGES = {
    "row": (_MIB, 1024 * _MIB),
    "batch": (_MIB, 4096 * _MIB),
    "decoded": (_MIB, 1 << 50),
    "expansion": (2, 1_000_000),
    "rejected": (0, 1 << 50),
}


def parsed(words: Iterable[str]) -> Limits:
    """Limits as the command line gives them. Raises SetupError.

    >>> parsed(["row=64MB", "expansion=2000"])
    Limits(row=67108864, batch=33554432, decoded=268435456, expansion=2000, rejected=16777216)
    """
    given = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name in given:
            raise SetupError(
                f"limit {name} is given twice" if equals else f"a limit has no value: {word!r}",
                where="--limit",
                fix="Write it once, as in --limit row=64MB",
            )
        given[name] = value
    return chosen(given)


def chosen(given: Mapping[str, object] | None) -> Limits:
    """The limits, where some are given by name: sizes as in "64MB" or in bytes, `expansion` as a number.

    Raises SetupError.
    """
    if given is not None and not isinstance(given, Mapping):
        raise SetupError(f"limits are no mapping: {given!r}", fix='Pass them as in limit={"row": "64MB"}')
    return DEFAULT._replace(**{name: _value(name, value) for name, value in (given or {}).items()})


def _value(name: str, given: object) -> int:
    if name not in _RANGES:
        raise SetupError(f"there is no limit {name!r}", where="--limit", fix=f"There are: {', '.join(_RANGES)}")
    least, most = _RANGES[name]
    value = _number(given, name)
    if not least <= value <= most:
        ends = (f"{one:,}" if name == "expansion" else _written(one) for one in (least, most))
        raise SetupError(
            f"limit {name} is out of range: {given}", where="--limit", fix=f"It goes from {' to '.join(ends)}"
        )
    return value


def _number(given: object, name: str) -> int:
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    text = given.strip() if isinstance(given, str) else ""
    if text.isascii() and text.isdecimal() and len(text) <= 18 and (name == "expansion" or int(text) == 0):
        return int(text)
    try:
        if name != "expansion":
            return int(megabytes(text) * _MIB)
    except (SetupError, OverflowError):
        pass
    example = "expansion=2000" if name == "expansion" else f"{name}=64MB"
    raise SetupError(
        f"limit {name} is not {'a whole number' if name == 'expansion' else 'a size'}: {given!r}",
        where="--limit",
        fix=f"Write it as in --limit {example}",
    )


def _written(size: int) -> str:
    return f"{size / _MIB:,.10g} MiB"
