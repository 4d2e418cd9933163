"""What a group's requests look like in the log or the state that was scanned, if enough of its accounts have it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.adapters.reading import Log
from clonewatch.fingerprints.fingerprinting import Fingerprinter
from clonewatch.kernels.hashing import derive
from clonewatch.kernels.sketching import Sketches, sketch_key, sketch_matrix
from clonewatch.model.errors import SetupError
from clonewatch.peering.evidence import FLOOR, Found, found
from clonewatch.pipeline.daily.state_tables import sketch_matrix_of
from clonewatch.sharing.epoch_key import EpochKey
from clonewatch.sharing.indicators import KINDS, MOST_V4, MOST_V6
from clonewatch.sharing.template_signature import signature
from clonewatch.state.store import opened

# Shares of the log's accounts with a value that have to be the group's, or it points to others as much.
SPECIFIC = 0.5
HOSTING = frozenset({"hosting", "vpn", "proxy", "tor"})
MOST_TEMPLATES = 20
_ATTRIBUTED = 0.5
_TEXT = ("messages", "system_text", "sketch", "template_id", "format_hash")
_Rows = Mapping[str, list[dict[str, Any]]]


def of_log(
    log: Callable[[], Log],
    tables: _Rows,
    attributed: pa.Table,
    accounts: Collection[str],
    key: bytes,
    group: EpochKey | None,
    disposable: Collection[str],
    notes: list[str],
) -> list[Found]:
    """Clients, networks, mail domains, issuers and keyed templates of a group. The log is read twice.

    attributed: table `attribution` of the group. accounts: of the group. A value counts where `FLOOR` accounts of the
    group have it, no trusted account does, and most of the accounts that have it are the group's.
    """
    # Of a group that was not flagged every posterior is below a half, whatever a person confirmed since.
    least = _ATTRIBUTED * min(1.0, 2 * (pc.max(attributed["posterior"]).as_py() or 0.0))
    wanted = attributed.filter(pc.greater_equal(attributed["posterior"], least))["exchange_id"]
    inside = pa.array(sorted(accounts), pa.string())
    templates = _Templates(tables["attributes"], key, group)
    mine = _Carriers()
    for batch in log().batches(lambda _: None):
        rows = batch.filter(pc.and_(pc.is_in(batch["exchange_id"], wanted), pc.is_in(batch["account_id"], inside)))
        if rows.num_rows:
            mine.add(_seen(rows))
            templates.add(rows)
    many = {value for value, held in mine.of.items() if len(held) >= FLOOR}
    others, held = _Carriers(many), log()
    for batch in held.batches(lambda _: None):
        others.add(_seen(batch.filter(pc.invert(pc.is_in(batch["account_id"], inside)))))
    facts = held.accounts()
    trusted = _trusted(facts)
    made = [
        found(kind, value, "network" if kind == "network" else "software")
        for kind, value in sorted(many)
        if _specific(mine.of[kind, value], others.of.get((kind, value), set()), trusted)
    ]
    made += _of_accounts(facts, set(accounts), trusted, disposable)
    found_templates = templates.found(notes)
    return made + found_templates


def of_state(
    state: Path, attributes: list[dict[str, Any]], key: bytes, group: EpochKey, notes: list[str]
) -> list[Found]:
    """Keyed templates of a group from the sketches that a state keeps; no text is needed."""
    chosen = dict(_strong(attributes, "template"))
    with opened(state, key) as held:
        kept = [held.read(file) for file in held.manifest.sketches]
    sketches: dict[int, Sketches] = {}
    for table in kept:
        mine = table.filter(pc.is_in(table["template"], pa.array(sorted(map(_signed, chosen)), pa.int64())))
        if mine.num_rows:
            sketches |= dict(zip(mine["template"].to_pylist(), sketch_matrix_of(mine["sketch"]), strict=True))
    return _signatures({_unsigned(name): one for name, one in sketches.items()}, chosen, key, group, notes)


class _Carriers:
    """Which accounts have a value. only: these values; None for all."""

    def __init__(self, only: Collection[tuple[str, str]] | None = None) -> None:
        self.of: dict[tuple[str, str], set[str]] = {}
        self._only = only

    def add(self, seen: Iterator[tuple[str, str, str]]) -> None:
        """Take in kinds, values and accounts."""
        for kind, value, account in seen:
            if self._only is None or (kind, value) in self._only:
                self.of.setdefault((kind, value), set()).add(account)


def _seen(rows: pa.RecordBatch) -> Iterator[tuple[str, str, str]]:
    """Kinds, values and accounts of exchanges, each once."""
    names = rows.schema.names
    if "tls_fingerprint" in names:
        for client, account in _distinct(rows, "tls_fingerprint", "account_id"):
            value = f"ja4:{client}"
            if client and KINDS["tls"].form.fullmatch(value):
                yield "tls", value, account
    if "egress" in names:
        exits = rows.filter(pc.is_in(rows["egress"], pa.array(sorted(HOSTING))))
        if "client_ip" in names:
            for address, account in _distinct(exits, "client_ip", "account_id"):
                if block := network_of(address):
                    yield "network", block, account
        if "asn" in names:
            for number, account in _distinct(exits, "asn", "account_id"):
                if number and number > 0:
                    yield "network", f"AS{number}", account


def _distinct(rows: pa.RecordBatch, *names: str) -> Iterator[tuple[Any, ...]]:
    table = pa.Table.from_batches([rows]).select(list(names)).group_by(list(names), use_threads=False).aggregate([])
    yield from zip(*(table[name].to_pylist() for name in names), strict=True)


def network_of(address: str | None) -> str:
    """The block of an address as it can be told; empty for what is no public address.

    >>> network_of("8.8.8.8"), network_of("10.0.0.1"), network_of("a81c")
    ('8.8.8.0/24', '', '')
    """
    with suppress(ValueError):
        held = ip_address(address or "")
        if held.is_global:
            return str(ip_network(f"{held}/{MOST_V4 if held.version == 4 else MOST_V6}", strict=False))
    return ""


def _trusted(facts: pa.Table | None) -> set[str]:
    if facts is None or "anchor" not in facts.column_names:
        return set()
    return set(facts.filter(pc.fill_null(facts["anchor"], False))["account_id"].to_pylist())


def _specific(mine: set[str], others: set[str], trusted: set[str]) -> bool:
    return not (others | mine) & trusted and len(mine) >= SPECIFIC * len(mine | others)


def _of_accounts(
    facts: pa.Table | None, inside: set[str], trusted: set[str], disposable: Collection[str]
) -> list[Found]:
    """Domains of disposable mail, and classes of issuers."""
    made = []
    for column, kind in (("email_domain", "mail_domain"), ("issuer_class", "issuer_class")):
        if facts is None or column not in facts.column_names:
            continue
        of: dict[str, set[str]] = {}
        for value, account in zip(facts[column].to_pylist(), facts["account_id"].to_pylist(), strict=True):
            if told := issuer(value) if kind == "issuer_class" else (value or "").strip().lower():
                of.setdefault(told, set()).add(account)
        for value, held in sorted(of.items()):
            fits = KINDS[kind].form.fullmatch(value) and (kind != "mail_domain" or value in disposable)
            if fits and len(held & inside) >= FLOOR and _specific(held & inside, held - inside, trusted):
                made.append(found(kind, value, "identity"))
    return made


def issuer(value: str | None) -> str:
    """The class of an issuer as it can be told; empty for the classes that say nothing.

    >>> issuer("prepaid-issuer"), issuer("bank-credit")
    ('prepaid', '')
    """
    words = set((value or "").lower().replace("_", "-").split("-"))
    return next((one for one in ("prepaid", "virtual", "gift", "reloadable") if one in words), "")


class _Templates:
    """The templates and forced formats of a group that its scan found rare, by fingerprints of the log's text."""

    def __init__(self, attributes: list[dict[str, Any]], key: bytes, group: EpochKey | None) -> None:
        self._key, self._group = key, group
        self._chosen = dict(_strong(attributes, "template"))
        self._formats = dict(_strong(attributes, "forced_format"))
        self._own = Fingerprinter(key) if group and (self._chosen or self._formats) else None
        self._theirs = Fingerprinter(group.secret) if group and self._formats else None
        self._sketches: dict[int, Sketches] = {}
        self._told: dict[int, int] = {}

    def add(self, rows: pa.RecordBatch) -> None:
        """Take in exchanges of the group."""
        if self._own is None or not set(_TEXT) & set(rows.schema.names):
            return
        mine = self._own.apply(rows)
        names = mine.schema.names
        if "template_id" in names and "sketch" in names:
            whole = pc.and_(pc.is_in(mine["template_id"], _ids(self._chosen)), pc.is_valid(mine["sketch"]))
            kept = mine.filter(whole)
            for template, sketch in zip(kept["template_id"].to_pylist(), sketch_matrix(kept["sketch"]), strict=True):
                self._sketches.setdefault(template, sketch)
        if self._theirs is not None and "format_hash" in names:
            kept = pc.is_in(mine["format_hash"], _ids(self._formats))
            theirs = self._theirs.apply(rows.filter(kept))
            if "format_hash" in theirs.schema.names:
                both = (held["format_hash"].to_pylist() for held in (mine.filter(kept), theirs))
                pairs = zip(*both, strict=True)
                self._told |= {own: other for own, other in pairs if other is not None and other != own}

    def found(self, notes: list[str]) -> list[Found]:
        """What can be told of them."""
        if self._group is None:
            return []
        if self._formats and not self._told:
            notes.append(
                "No forced format: its hash is one-way, so it takes the text of the requests to make it under the"
                " group's key, and this log has none."
            )
        formats = [found("forced_format", self._group.format_value(one), "content") for one in self._told.values()]
        return _signatures(self._sketches, self._chosen, self._key, self._group, notes) + formats


def _signatures(
    sketches: Mapping[int, Sketches], chosen: Mapping[int, float], key: bytes, group: EpochKey, notes: list[str]
) -> list[Found]:
    """Sketches under one's own key as signatures for the group."""
    own = sketch_key(derive(key, "sketch"))
    made = []
    for template in chosen:
        if template in sketches:
            try:
                made.append(found("template_family", signature(sketches[template], own, group), "content"))
            except SetupError as error:
                notes.append(f"A template is left out: {error.what}.")
    if lacking := len(chosen) - sum(template in sketches for template in chosen):
        notes.append(f"{lacking:,} of {len(chosen):,} template families have no sketch under this key here.")
    return made


def _strong(attributes: list[dict[str, Any]], signal: str) -> Iterator[tuple[int, float]]:
    """The strongest attributes of a signal that enough accounts and no trusted one carry: hash and weight."""
    held = [
        row
        for row in attributes
        if row["signal"] == signal and row["entities"] >= FLOOR and row["trusted"] == 0 and len(row["attribute"]) == 16
    ]
    for row in sorted(held, key=lambda row: (-(row["weight"] or 0.0), row["attribute"]))[:MOST_TEMPLATES]:
        with suppress(ValueError):
            yield int(row["attribute"], 16), row["weight"] or 0.0


def _ids(chosen: Mapping[int, float]) -> pa.Array:
    return pa.array(sorted(chosen), pa.uint64())


def _signed(value: int) -> int:
    return int(np.uint64(value).astype(np.int64))


def _unsigned(value: int) -> int:
    return value & (2**64 - 1)
