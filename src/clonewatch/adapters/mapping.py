"""Field maps: a TOML file that states which field of a foreign log fills which exchange column."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from clonewatch.adapters.instants import time_format
from clonewatch.model.errors import MappingError
from clonewatch.model.schema import EXCHANGES
from clonewatch.ports.mapping import FieldMap

_PRESETS = "clonewatch.adapters"
_KEYS = ("format", "time", "fields", "constants", "about")
_NEEDED = ("account_id", "ts")
_UNMAPPABLE = ("sketch",)  # a list of numbers under our own key: no foreign log has it
EXAMPLE = """\
format = "jsonl_map"       # or csv_map, parquet_map
time = "auto"              # or iso, s, ms, us, ns, or "s since 2026-01-01T00:00:00Z"

[fields]                   # exchange column = field in the log, dots step into objects
account_id = "customer.id"
ts = "time"
"""


def presets() -> list[str]:
    """Names of the field maps that ship with the package.

    >>> "nginx" in presets()
    True
    """
    folder = files(_PRESETS).joinpath("presets")
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def load_map(path: Path, formats: Iterable[str]) -> FieldMap:
    """Read a field map, or the preset of that name if there is no such file.

    formats: names of the known adapters. Raises MappingError for a missing file, for one that is not TOML, and as
    `check_map`.
    """
    name = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if name not in presets():
            raise MappingError(
                "no such field map", where=name, fix=f"Name a TOML file, or a preset: {', '.join(presets())}"
            ) from None
        text = files(_PRESETS).joinpath("presets", f"{name}.toml").read_text(encoding="utf-8")
    except IsADirectoryError as error:
        fix = f"Name a TOML file, or a preset: {', '.join(presets())}"
        raise MappingError("the field map is a folder, not a file", where=name, fix=fix) from error
    except UnicodeDecodeError as error:
        raise MappingError("the field map is not text", where=name, fix=f"It looks like\n{EXAMPLE}") from error
    except OSError as error:
        raise MappingError(
            f"the field map cannot be read: {error.strerror}", where=name, fix="Check the path and its rights"
        ) from error
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MappingError(
            f"the field map is not TOML: {error}", where=name, fix=f"It looks like\n{EXAMPLE}"
        ) from error
    return check_map(raw, name, formats)


def check_map(raw: Mapping[str, object], name: str, formats: Iterable[str]) -> FieldMap:
    """A field map from parsed TOML. Raises MappingError naming the wrong key and the closest valid one.

    >>> check_map({"format": "csv_map", "fields": {"acount_id": "u", "ts": "t"}}, "my.toml", ["csv_map"])
    Traceback (most recent call last):
    clonewatch.model.errors.MappingError: 'acount_id' is not an exchange column (my.toml). Did you mean 'account_id'?
    """
    formats = tuple(formats)
    for key in raw:
        _known(key, _KEYS, "not part of a field map", name)
    form = raw.get("format")
    if not isinstance(form, str):
        raise MappingError("the field map does not name a format", where=name, fix=f"It looks like\n{EXAMPLE}")
    _known(form, formats, "no format", name)
    time = raw.get("time", "auto")
    if not isinstance(time, str) or time_format(time) is None:
        raise MappingError(
            "unknown value of `time`",
            where=name,
            fix='Use auto, iso, s, ms, us, ns or "s since 2026-01-01T00:00:00Z"',
        )
    fields, constants = _section(raw, "fields", name), _section(raw, "constants", name)
    for column, value in fields.items():
        if not isinstance(value, str) or not value:
            raise MappingError(f"the field for `{column}` is not text", where=name, fix=f'Write {column} = "its.path"')
    for column, value in constants.items():
        if not isinstance(value, str | int | float | bool):
            raise MappingError(
                f"the constant for `{column}` is not a single value", where=name, fix="Use text or a number"
            )
        if column in fields or column in ("exchange_id", "ts"):
            raise MappingError(f"`{column}` cannot be a constant here", where=name, fix="Map it to a field")
    if form.endswith("_map"):
        for column in _NEEDED:
            if column not in fields and column not in constants:
                raise MappingError(
                    f"nothing is mapped to `{column}`",
                    where=name,
                    fix=f'Name its field under [fields]: {column} = "..."; for example:\n{EXAMPLE}',
                )
    return FieldMap(form, fields, constants, time)


def _section(raw: Mapping[str, object], key: str, name: str) -> dict[str, Any]:
    section = raw.get(key, {})
    if not isinstance(section, dict):
        raise MappingError(f"[{key}] is not a table", where=name, fix=f"It looks like\n{EXAMPLE}")
    for column in section:
        _known(column, tuple(c for c in EXCHANGES.names if c not in _UNMAPPABLE), "not an exchange column", name)
    return section


def _known(word: str, words: tuple[str, ...], what: str, name: str) -> None:
    if word not in words:
        near = get_close_matches(word, words, 1, 0.5)
        fix = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(words)}"
        raise MappingError(f"{word!r} is {what}", where=name, fix=fix)
