"""A field map: which field of a log fills which exchange column."""

from collections.abc import Mapping
from typing import NamedTuple


class FieldMap(NamedTuple):
    """A checked field map, as read from TOML by `adapters.mapping`.

    format: name of the adapter that reads the file. fields: exchange column -> dotted path or column name in the log.
    constants: exchange column -> value for every row. time: how `ts` is written ("auto", "iso", "s", "ms", "us", "ns").
    """

    format: str
    fields: Mapping[str, str]
    constants: Mapping[str, str | int | float | bool] = {}
    time: str = "auto"
