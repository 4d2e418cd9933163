"""What the word of peers would have matched in a kept log, honest accounts included, before it counts for anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.adapters.reading import Log
from clonewatch.cases.records import ALIVE, CONFIRMED, INNOCENT
from clonewatch.cases.sharing import Heard
from clonewatch.cases.store import Reading
from clonewatch.fingerprints.fingerprinting import Fingerprinter
from clonewatch.kernels.hashing import derive
from clonewatch.kernels.sketching import sketch_key, sketch_matrix
from clonewatch.peering.observed import issuer
from clonewatch.sharing.epoch_key import EpochKey
from clonewatch.sharing.template_signature import alike, key_name, sketch_of

_Set = set[str]
# Kinds that are read by people, and compared with nothing.
TOLD_ONLY = ("behaviour", "timing", "attack", "http")


class Matched(NamedTuple):
    """What an indicator would have matched. accounts: all of the log that have it. cases: how many of them by case.

    confirmed, innocent, open: accounts in cases so ruled. trusted: of the trusted set. others: in no case. compared:
    why it was not compared; empty where it was.
    """

    heard: Heard
    accounts: int = 0
    confirmed: int = 0
    innocent: int = 0
    open: int = 0
    trusted: int = 0
    others: int = 0
    cases: tuple[tuple[str, int], ...] = ()
    compared: str = ""

    @property
    def honest(self) -> int:
        """Accounts that are honest as far as is known here: ruled innocent, or trusted."""
        return self.innocent + self.trusted


def trial(
    store: Reading, heard: Sequence[Heard], log: Callable[[], Log], key: bytes, group: EpochKey | None, today: str
) -> list[Matched]:
    """Compare indicators with a log. Warning lists come first: what is on one is compared with nobody.

    key: the provider's secret of fingerprints, 32 bytes. today: a day; what ended before is not compared.
    """
    told = {one: _left_out(one, group, today) for one in heard}
    chosen = [one for one, why in told.items() if not why]
    opened = log()
    carriers = _carriers(chosen, opened, key, group)
    facts = opened.accounts()
    trusted = _trusted(facts)
    for one in chosen:
        if one.kind in ("mail_domain", "issuer_class"):
            carriers[one] = _of_facts(one, facts)
    rulings, cases = _rulings(store)
    return [
        Matched(one, compared=why) if why else _matched(one, carriers.get(one, set()), trusted, rulings, cases)
        for one, why in told.items()
    ]


def _left_out(one: Heard, group: EpochKey | None, today: str) -> str:
    if one.withdrawn:
        return f"taken back: {one.withdrawn}"
    if one.until < today:
        return f"over since {one.until}"
    if one.warned:
        return f"on the list {one.warned}"
    if one.kind in TOLD_ONLY:
        return "for people to read"
    if one.kind in ("template_family", "forced_format") and (group is None or one.value.split(":")[1] != group.name):
        return "made with another key of the group"
    return ""


def _carriers(chosen: Iterable[Heard], log: Log, key: bytes, group: EpochKey | None) -> dict[Heard, _Set]:
    """Which accounts of a log have what in their requests."""
    of: dict[Heard, _Set] = {one: set() for one in chosen}
    tls = {one.value.removeprefix("ja4:"): one for one in of if one.kind == "tls" and one.value.startswith("ja4:")}
    systems = {int(one.value[2:]): one for one in of if one.kind == "network" and one.value.startswith("AS")}
    networks = [(ip_network(one.value), one) for one in of if one.kind == "network" and not one.value.startswith("AS")]
    templates = _Templates([one for one in of if one.kind == "template_family"], key, group)
    formats = _Formats({one.value: one for one in of if one.kind == "forced_format"}, group)
    for batch in log.batches(lambda _: None):
        for column, known in (("tls_fingerprint", tls), ("asn", systems)):
            for value, account in _pairs(batch, column):
                if value in known:
                    of[known[value]].add(account)
        for address, account in _pairs(batch, "client_ip") if networks else ():
            for one in _inside(address, networks):
                of[one].add(account)
        for found in (templates.of(batch), formats.of(batch)):
            for one, account in found:
                of[one].add(account)
    return of


def _pairs(batch: pa.RecordBatch, column: str) -> Iterator[tuple[Any, str]]:
    if column in batch.schema.names:
        table = pa.Table.from_batches([batch]).select([column, "account_id"])
        held = table.group_by([column, "account_id"], use_threads=False).aggregate([])
        yield from zip(held[column].to_pylist(), held["account_id"].to_pylist(), strict=True)


def _inside(address: str | None, networks: list[tuple[Any, Heard]]) -> list[Heard]:
    try:
        held = ip_address(address or "")
    except ValueError:
        return []
    return [one for network, one in networks if network.version == held.version and held in network]


class _Templates:
    """Signatures of templates under our own key."""

    def __init__(self, wanted: list[Heard], key: bytes, group: EpochKey | None) -> None:
        own = sketch_key(derive(key, "sketch"))
        self._wanted = [
            (one, sketch_of(one.value, group, own)) for one in wanted if group and key_name(one.value) == group.name
        ]
        self._reader = Fingerprinter(key) if self._wanted else None

    def of(self, batch: pa.RecordBatch) -> Iterator[tuple[Heard, str]]:
        """What accounts of a batch have."""
        names = batch.schema.names
        if self._reader is None or not {"messages", "sketch"} & set(names):
            return
        made = self._reader.apply(batch)
        if "sketch" not in made.schema.names:
            return
        kept = made.filter(pc.is_valid(made["sketch"]))
        sketches = sketch_matrix(kept["sketch"])
        for one, sketch in self._wanted:
            for row in np.flatnonzero(alike(sketches, sketch)).tolist():
                yield one, kept["account_id"][row].as_py()


class _Formats:
    """Forced formats under the group's key, of the text of requests."""

    def __init__(self, wanted: dict[str, Heard], group: EpochKey | None) -> None:
        self._wanted, self._group = wanted, group
        self._reader = Fingerprinter(group.secret) if group and wanted else None
        self._told: dict[int, Heard | None] = {}

    def of(self, batch: pa.RecordBatch) -> Iterator[tuple[Heard, str]]:
        """What accounts of a batch demand."""
        if self._reader is None or self._group is None or "messages" not in batch.schema.names:
            return
        # A fingerprint that is in the log already is under our own key.
        given = [name for name in ("format_hash",) if name in batch.schema.names]
        made = self._reader.apply(batch.drop_columns(given) if given else batch)
        for value, account in _pairs(made, "format_hash"):
            if value is not None:
                if value not in self._told:
                    self._told[value] = self._wanted.get(self._group.format_value(value))
                if found := self._told[value]:
                    yield found, account


def _of_facts(one: Heard, facts: pa.Table | None) -> _Set:
    column = "email_domain" if one.kind == "mail_domain" else "issuer_class"
    if facts is None or column not in facts.column_names:
        return set()
    pairs = zip(facts[column].to_pylist(), facts["account_id"].to_pylist(), strict=True)
    plain = issuer if one.kind == "issuer_class" else lambda value: (value or "").strip().lower()
    return {account for value, account in pairs if plain(value) == one.value}


def _trusted(facts: pa.Table | None) -> _Set:
    if facts is None or "anchor" not in facts.column_names:
        return set()
    return set(facts.filter(pc.fill_null(facts["anchor"], False))["account_id"].to_pylist())


def _rulings(store: Reading) -> tuple[dict[str, str], dict[str, frozenset[str]]]:
    """Account -> ruling of a case that it is in (open for none), and the accounts of each case."""
    rulings: dict[str, str] = {}
    cases = {case.case: (case, store.accounts(case.accounts)) for case in store.cases() if case.status in ALIVE}
    for case, accounts in cases.values():
        ruled = case.ruling.ruling if case.ruling and case.ruling.ruling in (CONFIRMED, INNOCENT) else "open"
        for account in accounts:
            # Whoever was ruled innocent in one case is counted as that.
            if rulings.get(account) != INNOCENT:
                rulings[account] = ruled
    return rulings, {name: accounts for name, (_, accounts) in cases.items()}


def _matched(
    one: Heard, accounts: _Set, trusted: _Set, rulings: dict[str, str], cases: dict[str, frozenset[str]]
) -> Matched:
    ruled = [rulings.get(account, "") for account in accounts]
    inside = tuple((name, len(held & accounts)) for name, held in sorted(cases.items()) if held & accounts)
    honest = {account for account in accounts & trusted if rulings.get(account) != INNOCENT}
    counts = (ruled.count(CONFIRMED), ruled.count(INNOCENT), ruled.count("open"), len(honest))
    others = sum(not rule for rule in ruled) - len([account for account in honest if not rulings.get(account)])
    return Matched(one, len(accounts), *counts, others, inside)
