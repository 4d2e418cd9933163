"""Lists of what is no sign of anything, checked before an indicator of others is compared with anybody's requests.

The lists of the library pymispwarninglists (MISP) are used where it is installed, and a short one of our own. What an
operator wrote itself wins over all of them.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from clonewatch.model.errors import InputError, SetupError
from clonewatch.model.text_files import text_of, toml_of
from clonewatch.sharing.indicators import KINDS, wrong

OVERRIDES = "overrides.toml"
_LIBRARY = "pymispwarninglists"
# Lists of the library that are about networks, and about domains.
NETWORKS = (
    "akamai",
    "amazon-aws",
    "cloudflare",
    "fastly",
    "github",
    "google",
    "google-gcp",
    "googlebot",
    "microsoft-azure",
    "microsoft-office365-ip",
    "openai-gptbot",
    "public-dns-v4",
    "public-dns-v6",
    "rfc1918",
    "rfc6598",
    "stackpath",
    "wikimedia",
    "zscaler",
)
DOMAINS = ("university_domains", "bank-website", "google", "microsoft")
DISPOSABLE = "disposable-email"
_NOT_DISPOSABLE = "not-disposable-mail"
_FIX = "Write it as docs/using/sharing.md does"


class Override(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an operator decided about an indicator. use: allow it in spite of lists, or never use it."""

    kind: str
    value: str
    use: Literal["allow", "never"]
    why: str


class _Overrides(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal["clonewatch.overrides.v1"]
    overrides: tuple[Override, ...] = ()


class Spans(NamedTuple):
    """Address ranges of one version, ascending by their beginning. highest: the highest end up to each."""

    first: list[int]
    last: list[int]
    name: list[str]
    highest: list[int]


class WarningLists(NamedTuple):
    """What indicators are checked against. spans: by version of addresses. systems, domains: name of the list."""

    spans: Mapping[int, Spans]
    systems: Mapping[int, str]
    domains: Mapping[str, str]
    disposable: frozenset[str]
    own: Mapping[tuple[str, str], Override]

    def warning(self, kind: str, value: str) -> str:
        """The name of the list that an indicator is on; empty for none, or where the operator allowed it.

        `never` where the operator said so.
        """
        if decided := self.own.get((kind, value)):
            return "never" if decided.use == "never" else ""
        if kind == "mail_domain":
            parts = value.split(".")
            held = (self.domains.get(".".join(parts[n:])) for n in range(len(parts) - 1))
            found = next((name for name in held if name), "")
            return found or ("" if value in self.disposable else _NOT_DISPOSABLE)
        if kind != "network":
            return ""
        return self.systems.get(int(value[2:]), "") if value.startswith("AS") else self._network(value)

    def _network(self, value: str) -> str:
        network = ip_network(value)
        first, last = int(network.network_address), int(network.broadcast_address)
        held = self.spans.get(network.version)
        at = bisect_right(held.first, last) if held else 0
        while held and at and held.highest[at - 1] >= first:
            at -= 1
            if held.last[at] >= first:
                return held.name[at]
        return ""


def read(folder: Path | None = None) -> WarningLists:
    """All lists. folder: holds the operator's `overrides.toml`; None without one. Raises SetupError."""
    spans, systems, domains = _shipped()
    return WarningLists(spans, systems, domains, disposable(), _own(folder))


@cache
def disposable() -> frozenset[str]:
    """Domains of disposable mail, of the library; empty where it is not installed."""
    return frozenset(value.strip().lower() for value in _listed(DISPOSABLE))


@cache
def _shipped() -> tuple[Mapping[int, Spans], Mapping[int, str], Mapping[str, str]]:
    held = toml_of(files("clonewatch.sharing").joinpath("warning_lists.toml").read_text(encoding="utf-8"))
    systems = {number: one["name"] for one in held["lists"] for number in one.get("systems", ())}
    ranges: dict[int, list[tuple[int, int, str]]] = {4: [], 6: []}
    for name in NETWORKS:
        for version, first, last in _ranges(_listed(name)):
            ranges[version].append((first, last, name))
    domains = {value.strip(".").lower(): name for name in DOMAINS for value in _listed(name)}
    return {version: _spans(sorted(rows)) for version, rows in ranges.items()}, systems, domains


def _ranges(values: Iterable[str]) -> Iterable[tuple[int, int, int]]:
    for value in values:
        try:
            network = ip_network(value, strict=False)
        except ValueError:  # lists about networks also name hosts
            continue
        yield network.version, int(network.network_address), int(network.broadcast_address)


def _spans(rows: list[tuple[int, int, str]]) -> Spans:
    highest: list[int] = []
    for _, last, _name in rows:
        highest.append(max(last, highest[-1]) if highest else last)
    return Spans([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows], highest)


def _listed(name: str) -> list[str]:
    """The values of a list of the library; none where it is not installed."""
    if find_spec(_LIBRARY) is None:
        return []
    place = files(_LIBRARY).joinpath("data", "misp-warninglists", "lists", name, "list.json")
    held: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    values: list[str] = held["list"]
    return values


def _own(folder: Path | None) -> dict[tuple[str, str], Override]:
    if folder is None:
        return {}
    path = folder / OVERRIDES
    try:
        held = msgspec.convert(toml_of(text_of(path)), _Overrides)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"cannot read the overrides: {error.strerror or error}", where=str(path), fix=_FIX) from error
    except (ValueError, msgspec.ValidationError) as error:
        raise SetupError(f"these are no overrides: {error}", where=str(path), fix=_FIX) from error
    for one in held.overrides:
        if one.kind not in KINDS or wrong(one.kind, one.value):
            raise SetupError(
                f"{one.value[:40]!r} is no {one.kind[:20]}", where=str(path), fix="Name the indicator as it came in"
            )
    return {(one.kind, one.value): one for one in held.overrides}
