"""Labelled logs in memory: read, change in one respect, write, scan and score."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import clonewatch
from clonewatch.lab.evaluate import evaluate, read_claim
from clonewatch.pipeline.scan import ScanSettings, scan

FOLDER = Path(__file__).resolve().parent / "runs"
ENGINES = ("duckdb", "pyarrow", "numpy", "scipy", "numba", "graspologic-native")
# Minimum age at the first exchange of accounts added to the trusted set: a trusted account is not new.
AGED = timedelta(days=60)
# Columns that are removed together, because a provider logs all of them or none: table, columns.
COLUMNS: dict[str, tuple[str, tuple[str, ...]]] = {
    "prompt_id": ("exchanges", ("prompt_id",)),
    "template_id": ("exchanges", ("template_id",)),
    "cell": ("exchanges", ("cell",)),
    "task": ("exchanges", ("task",)),
    "elicitation": ("exchanges", ("elicitation",)),
    "addresses": ("exchanges", ("client_ip", "asn", "country", "egress")),
    "client build": ("exchanges", ("user_agent", "tls_fingerprint", "sdk")),
    "sessions": ("exchanges", ("session_id", "turn")),
    "payment": ("accounts", ("payment_fingerprint",)),
    "device": ("accounts", ("device_fingerprint",)),
    "created_at": ("accounts", ("created_at",)),
    "events": ("events", ()),
    "org_declared": ("accounts", ("org_declared",)),
    "format_hash": ("exchanges", ("format_hash",)),
    "system and tools": ("exchanges", ("system_hash", "tools_hash")),
}
_SCORED = ("campaigns", "members", "attribution")  # the result tables that scores are computed from
Result = dict[str, Any]


class Log(NamedTuple):
    """A labelled log in memory. members: accounts of a campaign."""

    exchanges: pa.Table
    accounts: pa.Table
    events: pa.Table | None
    label_accounts: pa.Table
    label_exchanges: pa.Table

    @property
    def members(self) -> pa.Array:
        """Accounts that belong to a campaign."""
        of = self.label_accounts.filter(pc.equal(self.label_accounts["role"], "member"))
        return of["account_id"].combine_chunks()


def trusted(log: Log, share: float, rng: np.random.Generator) -> Log:
    """The log with this share of its accounts trusted, as far as there are honest accounts that are not new.

    For fewer, a random subset of the trusted accounts is kept. For more, random honest accounts older than AGED join.
    """
    marks = log.accounts["anchor"].fill_null(False).to_numpy(zero_copy_only=False).astype(bool)
    wanted = round(share * len(marks))
    now = np.flatnonzero(marks)
    if wanted <= len(now):
        chosen = rng.choice(now, wanted, replace=False)
    else:
        old = pc.less(log.accounts["created_at"], pc.subtract(pc.min(log.exchanges["ts"]), pa.scalar(AGED)))
        honest = pc.invert(pc.is_in(log.accounts["account_id"], value_set=log.members))
        able = pc.and_(old.fill_null(False), honest).to_numpy(zero_copy_only=False)
        others = np.flatnonzero(np.asarray(able, bool) & ~marks)
        chosen = np.concatenate([now, rng.choice(others, min(wanted - len(now), len(others)), replace=False)])
    return _marked(log, chosen)


def infiltrated(log: Log, share: float, rng: np.random.Generator) -> Log:
    """The log with this share of the campaign accounts in the trusted set, whichever of them were trusted before."""
    marks = log.accounts["anchor"].fill_null(False).to_numpy(zero_copy_only=False).astype(bool)
    ours = np.flatnonzero(pc.is_in(log.accounts["account_id"], value_set=log.members).to_numpy(zero_copy_only=False))
    marks[ours] = False
    chosen = rng.choice(ours, round(share * len(ours)), replace=False)
    return _marked(log, np.concatenate([np.flatnonzero(marks), chosen]))


def without(log: Log, groups: Iterable[str]) -> Log:
    """The log without these groups of COLUMNS."""
    for group in groups:
        table, columns = COLUMNS[group]
        if table == "events":
            log = log._replace(events=None)
        else:
            kept = getattr(log, table)
            log = log._replace(**{table: kept.drop_columns([c for c in columns if c in kept.column_names])})
    return log


def thinned(log: Log, share: float, rng: np.random.Generator) -> Log:
    """The log with a random sample of this share of its exchanges; every account keeps its facts."""
    kept = np.sort(rng.choice(log.exchanges.num_rows, round(share * log.exchanges.num_rows), replace=False))
    return _of_exchanges(log, log.exchanges.take(pa.array(kept)))


def half_seen(log: Log, share: float, rng: np.random.Generator) -> Log:
    """The log of a provider who does not see a random share of the accounts: another region, another product."""
    ids = log.accounts["account_id"].combine_chunks()
    kept = ids.take(pa.array(np.sort(rng.choice(len(ids), round((1 - share) * len(ids)), replace=False))))
    log = log._replace(
        accounts=_where(log.accounts, "account_id", kept),
        label_accounts=_where(log.label_accounts, "account_id", kept),
    )
    return _of_exchanges(log, _where(log.exchanges, "account_id", kept))


def read(folder: Path) -> Log:
    """A simulated log with its labels."""
    names = ("accounts", "events", "labels/accounts", "labels/exchanges")
    rest = [pq.read_table(folder / f"{name}.parquet") for name in names]
    return Log(pq.read_table(folder / "exchanges"), *rest)


def write(log: Log, folder: Path, origin: Path, before: Log) -> None:
    """Write the log as a folder. Exchanges equal to those of `before`, stored at `origin`, are hard-linked."""
    (folder / "exchanges").mkdir(parents=True)
    (folder / "labels").mkdir()
    if log.exchanges is before.exchanges:
        for part in (origin / "exchanges").iterdir():
            os.link(part, folder / "exchanges" / part.name)
    else:
        pq.write_table(log.exchanges, folder / "exchanges" / "part-0000.parquet", compression="lz4")
    pq.write_table(log.accounts, folder / "accounts.parquet")
    pq.write_table(log.label_accounts, folder / "labels" / "accounts.parquet")
    pq.write_table(log.label_exchanges, folder / "labels" / "exchanges.parquet")
    if log.events is not None:
        pq.write_table(log.events, folder / "events.parquet")


def scored(log: Path, scan_folder: Path, key: Path, clustering: int = 0) -> tuple[Result, list[str]]:
    """Scan and score a labelled log: counts, and the flagged accounts. No report is written."""
    tables = scan(ScanSettings(paths=(str(log),), seed=clustering, key_file=key, threads=1)).tables
    scan_folder.mkdir()
    for name in _SCORED:
        pq.write_table(tables[name], scan_folder / f"{name}.parquet")
    scores, claim = evaluate(scan_folder, log), read_claim(scan_folder)
    accounts, campaigns, exchanges, counts = (scores[k] for k in ("accounts", "campaigns", "exchanges", "counts"))
    return {
        "campaigns": counts["true_campaigns"],
        "found": len(campaigns["found"]),
        "alarms": counts["flagged_campaigns"],
        "false_alarms": len(campaigns["false_alarms"]),
        "members": counts["member_accounts"],
        "caught": accounts["true_positive"],
        "honest": accounts["honest"],
        "honest_flagged": accounts["false_positive"],
        "harvested": counts["harvested_exchanges"],
        "attributed": exchanges["attributed"],
        "honest_hit": exchanges["honest_hit"],
    }, sorted({a for c in claim.flagged for a in claim.accounts[c]})


def part(count: int, whole: int) -> str:
    """A share with three decimals, or a dash where the total is zero."""
    return f"{count / whole:.3f}" if whole else "-"


def fingerprint(*scripts: Path) -> str:
    """Shortened SHA-256 over the package, these scripts, and the versions of the engines."""
    digest = hashlib.sha256(" ".join(f"{name} {version(name)}" for name in ENGINES).encode())
    root = Path(clonewatch.__file__).parent
    files = sorted(p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    for file in [*files, *scripts]:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def save(place: Path, content: object) -> None:
    """Write JSON to a temporary file and move it into place."""
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_suffix(".part")
    draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    draft.replace(place)


def _marked(log: Log, chosen: np.ndarray) -> Log:
    marks = np.zeros(log.accounts.num_rows, bool)
    marks[chosen] = True
    place = log.accounts.column_names.index("anchor")
    return log._replace(accounts=log.accounts.set_column(place, "anchor", pa.array(marks)))


def _of_exchanges(log: Log, exchanges: pa.Table) -> Log:
    labels = _where(log.label_exchanges, "exchange_id", exchanges["exchange_id"].combine_chunks())
    return log._replace(exchanges=exchanges, label_exchanges=labels)


def _where(rows: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return rows.filter(pc.is_in(rows[column], value_set=values))
