"""The commands that look before a scan: what a log allows, and what the tables mean."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clonewatch.cli import output
from clonewatch.model import schema as tables
from clonewatch.model.errors import SetupError

if TYPE_CHECKING:
    import pyarrow as pa

    from clonewatch.adapters.reading import Log
    from clonewatch.ports.signal import Signal

# Enough rows to see which columns a log fills, few enough to answer in seconds.
ROWS_LOOKED_AT = 50_000
REASONS_SHOWN = 5
_WIRE = (tables.EXCHANGES, tables.ACCOUNTS, tables.EVENTS, tables.LABEL_ACCOUNTS, tables.LABEL_EXCHANGES)


def signals() -> list[Signal]:
    """Every signal of this version, linking ones first."""
    from clonewatch.pipeline.detection.signals import signals as every

    return every()


def doctor(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Log files, folders of them, globs, or - for standard input.")
    ],
    mapping: Annotated[
        str | None, typer.Option("--map", metavar="FILE", help="TOML field map, or a preset's name.")
    ] = None,
    format: Annotated[
        str, typer.Option("--format", metavar="NAME", help="Log format; told from the file when auto.")
    ] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Write the answer as JSON.")] = False,
) -> None:
    """Say what a log allows before you scan it: columns filled, signals that can work, and what more would buy.

    Reads the first 50,000 rows and writes nothing.

    For example:

      clonewatch doctor logs/today.ndjson

      clonewatch doctor access.log --map nginx
    """
    from clonewatch.adapters.reading import open_log

    log = open_log(paths, format=format, mapping=Path(mapping) if mapping else None)
    found = look(log)
    if json:
        output.as_json(found)
    else:
        _tell(found)


def look(log: Log) -> dict[str, Any]:
    """What the first rows of a log fill, which signals can work on it, and why rows were rejected."""
    filled: Counter[str] = Counter()
    reasons: Counter[str] = Counter()

    def reject(rows: Any) -> None:
        reasons.update(row.reason for row in rows)

    rows = 0
    for batch in log.batches(reject):
        part = batch.slice(0, ROWS_LOOKED_AT - rows)
        rows += part.num_rows
        filled.update({f"exchanges.{n}": part.num_rows - part.column(n).null_count for n in part.schema.names})
        if rows >= ROWS_LOOKED_AT:
            break
    shares = {name: n / rows for name, n in filled.items() if n} if rows else {}
    for name, side in (("accounts", log.accounts()), ("events", log.events())):
        shares |= _side_shares(name, side)
    return {
        "formats": log.formats,
        "rows": rows,
        "rejected": sum(reasons.values()),
        "reasons": dict(reasons.most_common(REASONS_SHOWN)),
        "columns": {
            f"{t.name}.{c.name}": shares.get(f"{t.name}.{c.name}", 0.0)
            for t in (tables.EXCHANGES, tables.ACCOUNTS, tables.EVENTS)
            for c in t.columns
        },
        "signals": [_can(signal, _with_fingerprints(set(shares))) for signal in signals()],
        "trusted_accounts": bool(shares.get("accounts.anchor") or shares.get("accounts.created_at")),
        "warnings": list(log.warnings),
    }


def _side_shares(name: str, side: pa.Table | None) -> dict[str, float]:
    if side is None or not side.num_rows:
        return {}
    shares = {f"{name}.{n}": 1 - side[n].null_count / side.num_rows for n in side.column_names}
    return {n: share for n, share in shares.items() if share}


def _with_fingerprints(there: set[str]) -> set[str]:
    """The columns that a scan will have: those of the log, and those it computes from text.

    >>> "exchanges.template_id" in _with_fingerprints({"exchanges.messages"})
    True
    """
    if "exchanges.messages" in there:
        there = there | {f"exchanges.{name}" for name in tables.FINGERPRINT_COLUMNS}
    if "exchanges.system_text" in there:
        there = there | {"exchanges.system_hash"}
    return there


def _can(signal: Signal, there: set[str]) -> dict[str, Any]:
    """Whether a signal can work; if not, the smallest set of columns that would make it."""
    lacking = [[need for need in needs if need not in there] for needs in signal.needs]
    missing = min(lacking, key=len, default=[])
    card = signal.card._asdict()
    return {"name": signal.name, "kind": signal.kind, "works": not missing, "missing": missing, **card}


def _tell(found: dict[str, Any]) -> None:
    from clonewatch.report.numerals import share

    output.say(
        f"Looked at {found['rows']:,} rows of {', '.join(found['formats'])}; {found['rejected']:,} were rejected."
    )
    for reason, n in found["reasons"].items():
        output.say(f"  {n:,} times: {reason}")
    there = [(name, share(part, 1)) for name, part in found["columns"].items() if part]
    output.table("Columns with values", ("Column", "Rows filled"), there, right=(1,))
    on, off = ([c for c in found["signals"] if c["works"] is works] for works in (True, False))
    output.table("Signals that can work", ("Signal", "Kind", "Family", "Catches"),
                 ((c["name"], c["kind"], c["family"], c["catches"]) for c in on))  # fmt: skip
    output.table("Signals that cannot, and what adding the columns would buy",
                 ("Signal", "Kind", "Family", "Add", "Would catch"),
                 ((c["name"], c["kind"], c["family"], ", ".join(c["missing"]), c["catches"]) for c in off))  # fmt: skip
    families = sorted({c["family"] for c in on})
    output.say(f"Independent families of evidence within reach: {len(families)} ({', '.join(families) or 'none'}).")
    if not found["trusted_accounts"]:
        output.say(
            "No trusted accounts: add `anchor` or `created_at` to an accounts file and pass it with --accounts. Without"
        )
        output.say("them nothing tells what a ring shares from what is merely popular.")
    for warning in found["warnings"]:
        output.say(f"Warning: {warning}")


def schema(
    table: Annotated[str | None, typer.Argument(metavar="TABLE", help="One table; all when left out.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Write the answer as JSON.")] = False,
) -> None:
    """Print the tables: what a scan reads (exchanges, accounts, events, labels) and what it writes.

    Only three columns are required. A missing value lowers confidence; it never raises suspicion.

    For example:

      clonewatch schema exchanges

      clonewatch schema --json
    """
    every = {t.name: t for t in (*_WIRE, *tables.RESULTS)}
    if table is not None and table not in every:
        raise SetupError(f"no table {table!r}", mend=f"There are: {', '.join(every)}")
    chosen = [every[table]] if table is not None else list(every.values())
    if json:
        output.as_json({
            "schema": tables.VERSION,
            "tables": {t.name: [c._asdict() for c in t.columns] for t in chosen},
        })  # fmt: skip
        return
    for t in chosen:
        output.table(t.name, ("Column", "Type", "", "Meaning"),
                     ((c.name, c.type, "required" if c.required else "", c.meaning) for c in t.columns))  # fmt: skip
