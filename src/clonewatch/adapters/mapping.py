"""Field maps: a TOML file that states which field of a foreign log fills which exchange column."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from clonewatch.adapters.client_addresses import network
from clonewatch.adapters.field_rules import pattern
from clonewatch.adapters.instants import time_format
from clonewatch.model.errors import MappingError
from clonewatch.model.schema import CHANNELS, EGRESS, END_USER_PROVENANCE, EXCHANGES
from clonewatch.model.text_files import text_of, toml_of
from clonewatch.ports.mapping import Condition, Field, FieldMap, Hops, Rule

_PRESETS = "clonewatch.adapters"
_KEYS = ("format", "time", "latency", "fields", "constants", "where", "each", "trusted_hops", "trusted_proxies",
         "about", "signs", "when_empty")  # fmt: skip
_RULE_KEYS = ("path", "match", "scale", "default", "minus")
# Columns of a few words, for constants and defaults.
_WORDED = {"channel": CHANNELS, "egress": EGRESS, "end_user_provenance": END_USER_PROVENANCE}
_CONDITION_KEYS = ("not", "present")
_MOST_HOPS = 32
LATENCIES = ("auto", "s", "ms")
_NEEDED = ("account_id", "ts")
_UNMAPPABLE = ("sketch",)  # a list of numbers under our own key: no foreign log has it
EXAMPLE = """\
format = "jsonl_map"       # or csv_map, parquet_map
time = "auto"              # or each, iso, s, ms, us, ns, or "s since 2026-01-01T00:00:00Z"

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


def fitting_presets(keys: Collection[str]) -> list[str]:
    """Names of the presets whose signs are all among the keys of a log, as dotted paths."""
    found: list[str] = []
    for name in presets():
        raw = toml_of(_preset(name))
        signs = raw.get("signs", [])
        if signs and set(signs) <= set(keys):
            found.append(name)
    return found


def load_map(path: Path, formats: Iterable[str]) -> FieldMap:
    """Read a field map, or the preset of that name if there is no such file.

    formats: names of the known adapters. Raises MappingError for a missing file, for one that is not TOML, and as
    `check_map`.
    """
    name, preset = str(path), False
    try:
        text = text_of(path)
    except FileNotFoundError:
        if name not in presets():
            raise MappingError(
                "no such field map", where=name, fix=f"Name a TOML file, or a preset: {', '.join(presets())}"
            ) from None
        preset, text = True, _preset(name)
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
        raw = toml_of(text)
    except ValueError as error:
        what = f"the field map is not TOML: {error}"
        raise MappingError(what, where=name, fix=f"It looks like\n{EXAMPLE}") from error
    if raw.get("format") in presets():
        raw, preset = _over(toml_of(_preset(str(raw["format"]))), raw), True
    return check_map(raw, name, formats)._replace(preset=preset)


def _preset(name: str) -> str:
    return files(_PRESETS).joinpath("presets", f"{name}.toml").read_text(encoding="utf-8")


def _over(preset: Mapping[str, object], own: Mapping[str, object]) -> dict[str, object]:
    """A preset with what a map over it says otherwise.

    >>> _over({"format": "jsonl_map", "fields": {"ts": "t", "model": "m"}}, {"format": "p", "fields": {"ts": "when"}})
    {'format': 'jsonl_map', 'fields': {'ts': 'when', 'model': 'm'}}
    """
    made = {**preset, **own, "format": preset["format"]}
    for key, section in preset.items():
        mine = own.get(key, {})
        if isinstance(section, dict) and isinstance(mine, dict):
            made[key] = {**section, **mine}
    constants, fields = own.get("constants"), made.get("fields")
    if isinstance(constants, dict) and isinstance(fields, dict):
        kept = own.get("fields")
        mapped = kept if isinstance(kept, dict) else {}
        made["fields"] = {column: f for column, f in fields.items() if column not in constants or column in mapped}
    return made


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
            fix='Use auto, each, iso, s, ms, us, ns, "s since 2026-01-01T00:00:00Z", or a format: "%d.%m.%Y %H:%M:%S"',
        )
    latency = raw.get("latency", "auto")
    if latency not in LATENCIES:
        fix = 'Use auto, s or ms; another unit has a scale: latency_ms = {path = "took_us", scale = 0.001}'
        raise MappingError("unknown value of `latency`", where=name, fix=fix)
    given, constants = _section(raw, "fields", name), _section(raw, "constants", name)
    sources = {column: _sources(column, value, name) for column, value in given.items()}
    fields = {column: found[0].path for column, found in sources.items()}
    rules = {column: found[0].rule for column, found in sources.items() if found[0].rule != Rule()}
    others = {column: found[1:] for column, found in sources.items() if len(found) > 1}
    for column, value in constants.items():
        if not isinstance(value, str | int | float | bool):
            raise MappingError(
                f"the constant for `{column}` is not a single value", where=name, fix="Use text or a number"
            )
        if column in _WORDED:
            _known(str(value), _WORDED[column], f"not a word for `{column}`", name)
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
    each = raw.get("each", "")
    if not isinstance(each, str) or (each and not form.endswith("_map")):
        fix = 'Write each = "its.path", with jsonl_map, csv_map or parquet_map'
        raise MappingError("`each` is not the path of a list in a foreign log", where=name, fix=fix)
    where, hops, signs = _conditions(raw, name), _hops(raw, name), raw.get("signs", [])
    if not isinstance(signs, list) or not all(isinstance(sign, str) for sign in signs):
        raise MappingError("`signs` is no list of keys", where=name, fix='Write signs = ["a.key", "another"]')
    when_empty = _section(raw, "when_empty", name)
    if not all(isinstance(sentence, str) for sentence in when_empty.values()):
        raise MappingError("[when_empty] holds no sentences", where=name, fix='Write messages = "Turn on ..."')
    made = FieldMap(form, fields, constants, time, rules, others, where, each, hops, tuple(signs), when_empty)
    return made._replace(latency=str(latency))


def _sources(column: str, value: object, name: str) -> tuple[Field, ...]:
    """The fields for a column: one, or a list of which the first with a value counts."""
    listed = value if isinstance(value, list) and value else [value]
    return tuple(
        Field(_path(column, one, name), _rule(column, one, name) if isinstance(one, dict) else Rule()) for one in listed
    )


def _path(column: str, value: object, name: str) -> str:
    """The path of a field: the text itself, or `path` of a table; a table may give a default alone."""
    if isinstance(value, dict):
        for key in value:
            _known(key, _RULE_KEYS, f"no key of the field for `{column}`", name)
        value = value.get("path")
    if not isinstance(value, str) or not value:
        fix = f'Write {column} = "its.path", or {column} = {{path = "its.path", scale = 1000}}'
        raise MappingError(f"the field for `{column}` is not text", where=name, fix=fix)
    return value


def _rule(column: str, value: Mapping[str, object], name: str) -> Rule:
    """What becomes of a value, as a table of a field states it."""
    match, scale, default = value.get("match", ""), value.get("scale", 1), value.get("default")
    found = pattern(match) if isinstance(match, str) else None
    if match and found is None:
        fix = r"Write one with a group, such as match = 'user=(\w+)'; look-around and back-references are unknown"
        raise MappingError(f"`match` for `{column}` is no regular expression with a group", where=name, fix=fix)
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale < float("inf"):
        raise MappingError(f"`scale` for `{column}` is no number above 0", where=name, fix="1000 makes s into ms")
    if default is not None and not isinstance(default, str | int | float | bool):
        raise MappingError(f"`default` for `{column}` is not a single value", where=name, fix="Use text or a number")
    if default is not None and column in ("exchange_id", "ts", "account_id"):
        raise MappingError(f"`{column}` cannot have a default", where=name, fix="Rows without it are rejected")
    if default is not None and column in _WORDED:
        _known(str(default), _WORDED[column], f"not a word for `{column}`", name)
    minus = value.get("minus", "")
    if not isinstance(minus, str) or (minus and column != "ts"):
        fix = 'Write ts = {path = "its.end", minus = "seconds.it.took"}'
        raise MappingError(f"`minus` for `{column}` takes no duration off a time", where=name, fix=fix)
    return Rule(found or "", scale, default, minus)


def _conditions(raw: Mapping[str, object], name: str) -> tuple[Condition, ...]:
    section = raw.get("where", {})
    if not isinstance(section, dict):
        raise MappingError("[where] is not a table", where=name, fix='Write [where] and below it type = "GENERATION"')
    return tuple(_condition(field, value, name) for field, value in section.items())


def _condition(field: str, value: object, name: str) -> Condition:
    """A condition: a value, a list of values, {not = ...} or {present = true}."""
    wanted = True
    if isinstance(value, dict):
        for key in value:
            _known(key, _CONDITION_KEYS, f"no condition on `{field}`", name)
        if isinstance(value.get("present"), bool) and len(value) == 1:
            return Condition(field, None, value["present"])
        wanted, value = False, value.get("not")
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(v, str | int | float) for v in values):
        fix = "Use a value, a list of values, {not = ...} or {present = true}"
        raise MappingError(f"the condition on `{field}` is not understood", where=name, fix=fix)
    return Condition(field, frozenset(str(v).lower() if isinstance(v, bool) else str(v) for v in values), wanted)


def _hops(raw: Mapping[str, object], name: str) -> Hops:
    trusted, proxies = raw.get("trusted_hops"), raw.get("trusted_proxies", [])
    if trusted is not None and (
        isinstance(trusted, bool) or not isinstance(trusted, int) or not 0 <= trusted <= _MOST_HOPS
    ):
        raise MappingError("`trusted_hops` is no small number", where=name, fix="Count your own proxies, e.g. 1")
    found = [network(p) if isinstance(p, str) else None for p in proxies] if isinstance(proxies, list) else [None]
    if None in found:
        fix = 'Write networks, e.g. trusted_proxies = ["192.0.2.0/24"]'
        raise MappingError("`trusted_proxies` is no list of networks", where=name, fix=fix)
    return Hops(trusted, tuple(n for n in found if n is not None))


def _section(raw: Mapping[str, object], key: str, name: str) -> dict[str, Any]:
    section = raw.get(key, {})
    if not isinstance(section, dict):
        raise MappingError(f"[{key}] is not a table", where=name, fix=f"It looks like\n{EXAMPLE}")
    for column in section:
        _known(column, tuple(c for c in EXCHANGES.names if c not in _UNMAPPABLE), "not an exchange column", name)
    return section


def _known(word: str, words: tuple[str, ...], what: str, name: str) -> None:
    if word not in words:
        near = get_close_matches(word.lower(), words, 1, 0.5)
        if word in _KEYS and words != _KEYS:
            raise MappingError(
                f"{word!r} is {what}",
                where=name,
                fix=f"Write `{word}` at the top of the map, before any [section]",
            )
        fix = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(words)}"
        raise MappingError(f"{word!r} is {what}", where=name, fix=fix)
