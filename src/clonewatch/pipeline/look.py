"""What a log allows, from its first rows: which columns are filled, and which signals can work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.adapters.reading import Log
from clonewatch.model import schema as tables
from clonewatch.model.defaults import APART
from clonewatch.model.read_results import Rejected, listed
from clonewatch.model.schema import END_USER_PROVENANCE
from clonewatch.pipeline.detection.reach import least_ring, reach
from clonewatch.pipeline.detection.signals import signals
from clonewatch.pipeline.intake.account_match import mismatch
from clonewatch.pipeline.intake.deduplicate import Repeats
from clonewatch.ports.signal import Signal

# Enough rows to see which columns a log fills, few enough to answer in seconds.
ROWS_EXAMINED = 50_000
REASONS_SHOWN = 5


def look(log: Log) -> dict[str, Any]:
    """Examine the first rows of a log; nothing is written.

    Returns `rows`, `rejected` and its `reasons`, `dropped` values by column and reason, `units` of columns that are
    plain numbers, `repeats` (rows that a scan would merge, rows with a shared id), `columns` (share of rows filled,
    0..1), `signals` (whether each can work, and what it lacks), `reach` (which families of evidence they can give),
    `trusted_share` of the accounts (0..1, None where none is marked), `least_ring` (how many accounts one shared thing
    links), `trusted_accounts`, `end_users` (share of end-user ids by who vouches for them), `unfilled` (columns for
    which a field map found nothing), `left_out` files, `formats` and `warnings`.
    """
    filled: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    vouched: Counter[str] = Counter()

    def reject(rows: Sequence[Rejected]) -> None:
        reasons.update(row.reason for row in rows)

    rows = 0
    known: set[str] = set()
    ids: list[pa.RecordBatch] = []
    for batch in log.batches(reject):
        part = batch.slice(0, ROWS_EXAMINED - rows)
        known.update(part["account_id"].unique().to_pylist())
        rows += part.num_rows
        vouched.update(_vouched(part))
        ids.append(part.select(["exchange_id", "account_id", "ts"]))
        filled.update({f"exchanges.{n}": part.num_rows - part.column(n).null_count for n in part.schema.names})
        if rows >= ROWS_EXAMINED:
            break
    repeats = repeats_of(ids)
    shares = {name: n / rows for name, n in filled.items() if n} if rows else {}
    for name, side in (("accounts", log.accounts()), ("events", log.events())):
        shares |= _side_shares(name, side)
    trusted = _trusted_share(log.accounts())
    can = [_can(signal, _with_fingerprints(set(shares))) for signal in signals()]
    return {
        "formats": log.formats,
        "rows": rows,
        "rejected": sum(reasons.values()),
        "reasons": dict(reasons.most_common(REASONS_SHOWN)),
        "dropped": listed(log.dropped),
        "units": {column: sorted(units) for column, units in sorted(log.units.items())},
        "left_out": list(log.left_out),
        "repeats": {"merged": repeats.merged, "shared": repeats.shared},
        "columns": {
            f"{t.name}.{c.name}": shares.get(f"{t.name}.{c.name}", 0.0)
            for t in (tables.EXCHANGES, tables.ACCOUNTS, tables.EVENTS)
            for c in t.columns
        },
        "signals": can,
        "reach": reach({one["name"] for one in can if one["works"]}, marked="accounts.anchor" in shares),
        "trusted_share": trusted,
        "least_ring": least_ring(trusted or 0.0),
        "trusted_accounts": bool(shares.get("accounts.anchor") or shares.get("accounts.created_at")),
        "end_users": {who: n / vouched.total() for who, n in vouched.most_common()},
        "unfilled": _unfilled(log, shares),
        "warnings": [*log.warnings, *repeats.warnings(rows), *_unmatched(log, known, rows)],
    }


def _unfilled(log: Log, shares: dict[str, float]) -> dict[str, str]:
    """The columns for which the field map names a field that no row has: a field may be misspelt."""
    fields = log.mapping.fields if log.mapping is not None else {}
    return {column: path for column, path in fields.items() if f"exchanges.{column}" not in shares}


def _vouched(batch: pa.RecordBatch) -> Counter[str]:
    """How many end-user ids each kind of voucher has: signed, gateway, claimed, or unknown."""
    if "end_user_id" not in batch.schema.names:
        return Counter()
    there = batch.filter(batch.column("end_user_id").is_valid())
    if "end_user_provenance" not in there.schema.names:
        return Counter({"unknown": there.num_rows} if there.num_rows else {})
    said = there.column("end_user_provenance").to_pylist()
    return Counter(who if who in END_USER_PROVENANCE else "unknown" for who in said)


def repeats_of(ids: Sequence[pa.RecordBatch]) -> Repeats:
    """Rows that a scan would merge, and rows whose id identifies nothing; prompts are not compared here.

    ids: columns exchange_id, account_id and ts.
    """
    if not ids:
        return Repeats()
    groups = (
        pa.Table.from_batches(ids)
        .group_by("exchange_id")
        .aggregate([("exchange_id", "count"), ("account_id", "count_distinct"), ("ts", "min"), ("ts", "max")])
    )
    groups = groups.filter(pc.greater(groups["exchange_id_count"], 1))
    if not groups.num_rows:
        return Repeats()
    times = pc.subtract(pc.cast(groups["ts_max"], pa.int64()), pc.cast(groups["ts_min"], pa.int64()))
    shared = pc.or_(pc.greater(groups["account_id_count_distinct"], 1), pc.greater(times, APART))
    counts = groups["exchange_id_count"]
    one, several = groups.filter(pc.invert(shared)), pc.sum(counts.filter(shared)).as_py() or 0
    return Repeats(merged=(pc.sum(one["exchange_id_count"]).as_py() or 0) - one.num_rows, shared=several)


def _unmatched(log: Log, known: set[str], rows: int) -> list[str]:
    """A warning about an accounts file of other accounts. Of a log that was read in part only a complete miss tells."""
    if rows < ROWS_EXAMINED:
        return mismatch(log, known)
    return mismatch(log, known, f"the first {rows:,} rows", least=0.0)


def _side_shares(name: str, side: pa.Table | None) -> dict[str, float]:
    if side is None or not side.num_rows:
        return {}
    shares = {f"{name}.{n}": 1 - side[n].null_count / side.num_rows for n in side.column_names}
    return {n: share for n, share in shares.items() if share}


def _trusted_share(accounts: pa.Table | None) -> float | None:
    """Accounts marked as trusted, 0..1 of all; None where none are."""
    if accounts is None or not accounts.num_rows or "anchor" not in accounts.column_names:
        return None
    return (pc.sum(accounts["anchor"]).as_py() or 0) / accounts.num_rows or None


def _with_fingerprints(present: set[str]) -> set[str]:
    """The columns that a scan will have: those of the log, and those it computes from text.

    >>> "exchanges.template_id" in _with_fingerprints({"exchanges.messages"})
    True
    """
    if "exchanges.messages" in present:
        present = present | {f"exchanges.{name}" for name in tables.FINGERPRINT_COLUMNS}
    if "exchanges.system_text" in present:
        present = present | {"exchanges.system_hash"}
    return present


def _can(signal: Signal, present: set[str]) -> dict[str, Any]:
    """Whether a signal can work; if not, the smallest set of columns that would make it work."""
    lacking = [[need for need in needs if need not in present] for needs in signal.needs]
    missing = min(lacking, key=len, default=[])
    card = signal.card._asdict()
    return {"name": signal.name, "kind": signal.kind, "works": not missing, "missing": missing, **card}
