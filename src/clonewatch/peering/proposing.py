"""From a confirmed case to a release: what its tables, and the log or state behind them, have that is worth telling."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.adapters.reading import Log
from clonewatch.cases import sharing
from clonewatch.cases.arrivals import groups, seen_as
from clonewatch.cases.records import ALIVE, CONFIRMED, Case
from clonewatch.cases.sharing import Kept
from clonewatch.cases.store import Reading
from clonewatch.kernels.hashing import derive, hash_numbers
from clonewatch.model.errors import InputError, SetupError
from clonewatch.peering.evidence import Found, of_tables
from clonewatch.peering.observed import of_log, of_state
from clonewatch.peering.settings import Settings
from clonewatch.pipeline.scan_result import read_summary, read_table, table_paths
from clonewatch.sharing.indicators import KINDS
from clonewatch.sharing.release import Indicator, Release, decoded
from clonewatch.sharing.release_gate.gate import MOST_INDICATORS
from clonewatch.sharing.release_gate.legal import basis
from clonewatch.sharing.release_gate.profiles import KEYED, PROFILES

Rows = Mapping[str, list[dict[str, Any]]]
_TABLES = ("campaigns", "members", "evidence", "attributes")


class Order(NamedTuple):
    """What is asked for. log: opens the log that was scanned, anew each time. state: a folder that holds its sketches.

    key: the provider's secret of fingerprints, 32 bytes: ids are made with it, and its sketches are under it.
    """

    case: str
    result: Path
    settings: Settings
    key: bytes
    log: Callable[[], Log] | None = None
    state: Path | None = None


class Proposed(NamedTuple):
    """A release that may be asked for. notes: what was left out, and why."""

    case: Case
    release: Release
    notes: list[str]


def proposed(store: Reading, order: Order, at: str) -> Proposed:
    """The release of a case as it would leave now. at: ISO 8601, UTC.

    Raises SetupError for a case that no person confirmed, InputError for a result that it was not seen in.
    """
    case = store.case(order.case)
    if case.status not in ALIVE:
        raise InputError(f"{case.case} is {case.status}", fix=f"Look at it: clonewatch cases show {case.case}")
    if case.ruling is None or case.ruling.ruling != CONFIRMED:
        raise SetupError(f"{case.case} is not ruled confirmed", fix="Rule on it first: only what is confirmed is told")
    every = groups(table_paths(order.result), read_summary(order.result))
    seen = seen_as(every, case, dict(store.history(case.case)), order.result)
    mine = pc.field("campaign_id") == seen.sighting.group
    tables = {name: read_table(order.result, name, mine).to_pylist() for name in _TABLES}
    attributed = read_table(order.result, "attribution", mine)
    return composed(case, sharing.told(store, case.case), order, tables, attributed, seen.accounts, at)


def composed(
    case: Case,
    before: Sequence[Kept],
    order: Order,
    tables: Rows,
    attributed: pa.Table,
    accounts: Collection[str],
    at: str,
) -> Proposed:
    """The release of a case. before: what was told of it, the newest first. tables, attributed: of its group alone."""
    notes: list[str] = []
    found, group = of_tables(tables), order.settings.group
    if group is None:
        notes.append("Nothing keyed: the settings name no group_key.")
    if order.log is not None:
        found += of_log(order.log, tables, attributed, accounts, order.key, group, order.settings.disposable, notes)
    if order.state is not None and group is not None:
        found += of_state(order.state, tables["attributes"], order.key, group, notes)
    if order.log is None and order.state is None:
        notes.append("Only what the tables hold: pass --log or --state for templates, clients and networks.")
    return Proposed(case, _release(case, before, order, found, tables, at, notes), notes)


def _release(
    case: Case,
    before: Sequence[Kept],
    order: Order,
    found: Iterable[Found],
    tables: Rows,
    at: str,
    notes: list[str],
) -> Release:
    chosen, today = order.settings, at[:10]
    terms = PROFILES[chosen.profile]
    until = _after(today, chosen.days)
    campaign = tables["campaigns"][0]
    families = tuple(sorted(campaign["families"] or ()))
    confidence = confidence_of(len(families))
    name = before[0].document if before else named(order.key, "release", case.case)
    kinds = terms.kinds - (KEYED if chosen.tlp in ("CLEAR", "GREEN") else frozenset())
    held: dict[tuple[str, str], Found] = {}
    for one in found:
        if one.kind in kinds:
            held.setdefault((one.kind, one.value), one)
    if len(held) > MOST_INDICATORS:
        notes.append(f"Of {len(held):,} indicators the {MOST_INDICATORS} with most confidence are told.")
    best = sorted(held.values(), key=lambda one: (-one.confidence, one.kind, one.value))[:MOST_INDICATORS]
    indicators = tuple(
        Indicator(
            id=named(order.key, "indicator", name, one.kind, one.value),
            kind=one.kind,
            value=one.value,
            since=today,
            until=min(until, _after(today, KINDS[one.kind].days)),
            confidence=min(confidence, one.confidence),
            families=one.families,
        )
        for one in sorted(best, key=lambda one: (one.kind, one.value))
    )
    return Release(
        id=name,
        revision=1 + max((one.revision for one in before), default=0),
        what="correction" if before else "new",
        profile=chosen.profile,
        sender=chosen.sender,
        made_at=f"{at[:13]}:00:00Z",
        until=until,
        tlp=chosen.tlp,
        pap=chosen.pap,
        confidence=confidence,
        families=families,
        attack=attacks(tables),
        basis=basis(chosen.rules, chosen.rule, today),
        indicators=indicators,
        reason="replaced" if before else "",
    )


def attacks(tables: Rows) -> tuple[str, ...]:
    """Ids of what kind of attack the evidence is of: MITRE ATLAS, and our own for its gaps."""
    counted = {row["signal"] for row in tables["evidence"] if (row["bits"] or 0) > 0}
    kinds = {row["kind"] for row in tables["evidence"]}
    found = {"AML.T0040"}
    if "link" in kinds:
        found.add("AML.T0021")
    if any(row["role"] == "proxy_customer" for row in tables["members"]):
        found.add("AML.T0008.005")
    if str(tables["campaigns"][0]["level"]).startswith("L3"):
        found.add("AML.T0024.002")
    if "elicitation" in counted:
        found.add("AML.T0057")
    if "signature_replay" in counted:
        found.add("CW-A02")
    if "release" in counted:
        found.add("CW-A05")
    return tuple(sorted(found))


def confidence_of(families: int) -> int:
    """Confidence in a confirmed case, 0 to 100, by how many independent families of evidence are behind it.

    It is a convention, and no measured probability: exact odds would tell more of a case than a recipient needs.

    >>> [confidence_of(n) for n in (1, 2, 3, 5, 9)]
    [35, 50, 65, 85, 85]
    """
    return {0: 20, 1: 35, 2: 50, 3: 65, 4: 75}.get(families, 85)


def named(key: bytes, *parts: str) -> str:
    """An id of version 4 that is always the same for the same thing, and random to whoever lacks the key."""
    high, low = (int(word) for word in hash_numbers(2, derive(key, "shared id: " + "\n".join(parts))))
    return str(UUID(int=high << 64 | low, version=4))


def retracted(kept: Kept, reason: str, settings: Settings, at: str) -> Release:
    """The retraction of what was told: the same release with a higher revision, and every indicator withdrawn."""
    before = decoded(kept.body.encode())
    withdrawn = tuple(msgspec.structs.replace(one, withdrawn=reason) for one in before.indicators)
    return msgspec.structs.replace(
        before,
        revision=before.revision + 1,
        what="retraction",
        made_at=f"{at[:13]}:00:00Z",
        until=max(before.until, at[:10]),
        basis=basis(settings.rules, settings.rule, at[:10]),
        indicators=withdrawn,
        reason=reason,
    )


def _after(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()
