"""A field map: which field of a log fills which exchange column, which rows count, and what becomes of a value."""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple, TypeAlias

Plain: TypeAlias = str | int | float | bool
Network: TypeAlias = IPv4Network | IPv6Network


class Hops(NamedTuple):
    """Which address of a list of proxies is the client's.

    trusted: number of own proxies that append to the list, None if unknown. proxies: networks of own proxies, beside
    the private ones.
    """

    trusted: int | None = None
    proxies: tuple[Network, ...] = ()


class Rule(NamedTuple):
    """What becomes of the value of a field.

    match: a regular expression in RE2's notation, whose group `value` is taken; "" for all of the value. scale: a
    number to multiply by; 1 for none. default: the value where there is none. minus: path of a duration in seconds that
    is taken off a time, for logs that name the end of a call; "" for none.
    """

    match: str = ""
    scale: float = 1
    default: Plain | None = None
    minus: str = ""


class Condition(NamedTuple):
    """Which rows count: those whose field has one of the values, or none of them, or any value at all.

    field: dotted path. values: as text, None for any value. wanted: False turns it round.
    """

    field: str
    values: frozenset[str] | None
    wanted: bool = True


class Field(NamedTuple):
    """A further field for a column, used where those before it have no value."""

    path: str
    rule: Rule = Rule()


class FieldMap(NamedTuple):
    """A checked field map, as read from TOML by `adapters.mapping`.

    format: name of the adapter that reads the file. fields: exchange column -> dotted path or column name in the log.
    constants: exchange column -> value for every row. time: how `ts` is written ("auto", "iso", "s", "ms", "us", "ns",
    or a format with %). rules: exchange column -> what becomes of its value. others: exchange column -> further fields.
    where: rows that count must meet all. each: path of a list whose items are one exchange each, "" for none. hops: how
    lists of addresses are read. signs: keys that show that a log is one of these. when_empty: exchange column ->
    what to say where some rows have no value. preset: whether it ships with the package and knows
    several forms of a log. latency: "s" or "ms", the unit of plain numbers in `latency_ms`; "auto" to find it.
    """

    format: str
    fields: Mapping[str, str]
    constants: Mapping[str, Plain] = {}
    time: str = "auto"
    rules: Mapping[str, Rule] = {}
    others: Mapping[str, tuple[Field, ...]] = {}
    where: tuple[Condition, ...] = ()
    each: str = ""
    hops: Hops = Hops()
    signs: tuple[str, ...] = ()
    when_empty: Mapping[str, str] = {}
    preset: bool = False
    latency: str = "auto"
