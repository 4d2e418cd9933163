"""The command that says before a scan what a log allows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clonewatch.cli import output
from clonewatch.cli.options import Format, Json, Map, Paths
from clonewatch.model import schema as tables
from clonewatch.model.errors import ClonewatchError, InputError, MappingError

if TYPE_CHECKING:
    import pyarrow as pa

    from clonewatch.adapters.reading import Log
    from clonewatch.ports.signal import Signal

# Enough rows to see which columns a log fills, few enough to answer in seconds.
ROWS_LOOKED_AT = 50_000
REASONS_SHOWN = 5


def signals() -> list[Signal]:
    """Every signal of this version, linking ones first."""
    from clonewatch.pipeline.detection.signals import signals as every

    return every()


def doctor(paths: Paths, mapping: Map = None, format: Format = "auto", json: Json = False) -> None:
    """Say what a log allows before you scan it: columns filled, signals that can work, and what more would buy.

    Reads the first 50,000 rows and writes nothing. For a log of no known format it lists the keys that it saw, with
    types and shapes and never a value, and prints a first field map to save and check.

    For example:

      clonewatch doctor logs/today.ndjson

      clonewatch doctor access.log --map nginx
    """
    from clonewatch.adapters.reading import open_log

    try:
        found = look(open_log(paths, format=format, mapping=Path(mapping) if mapping else None))
    except (InputError, MappingError) as error:
        if not mapping:
            _survey(paths, error, json)
        raise
    if json:
        output.as_json(found)
    else:
        _tell(found)


def _survey(paths: list[str], error: ClonewatchError, json: bool) -> None:
    """Say what an unknown log holds, and a first map for it; nothing where it is no JSON, CSV or Parquet."""
    from clonewatch.adapters.starter_map import guesses, starter
    from clonewatch.adapters.survey import kind, shape, shown, survey

    found = survey(paths)
    if found is None:
        return
    guessed = guesses(found)
    toml = starter(found, guessed)
    keys = [
        {
            "key": shown(key.path),
            "share": len(key.values) / found.rows,
            "type": kind(key),
            "shape": shape(key.values[0]),
        }
        for key in found.keys
    ]
    if json:
        columns = {guess.column: guess.path for guess in guessed}
        output.as_json({
            "problem": error.what, "file": found.file, "rows": found.rows, "keys": keys, "guessed": columns, "map": toml
        })  # fmt: skip
        return
    output.say(
        f"This log cannot be read as it is. These are the keys of the first {found.rows:,} rows of {found.file}:"
    )
    rows = ((one["key"], f"{one['share']:.0%}", one["type"], one["shape"]) for one in keys)
    output.table("", ("Key", "Rows filled", "Type", "Shape of a value"), rows, right=(1,))
    output.say("", "Save this as map.toml, check it, then: clonewatch doctor LOG --map map.toml", "")
    output.say(*toml.splitlines())


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
    output.table(
        "Signals that can work",
        ("Signal", "Kind", "Family", "Catches"),
        ((c["name"], c["kind"], c["family"], c["catches"]) for c in on),
    )
    output.table(
        "Signals that cannot, and what adding the columns would buy",
        ("Signal", "Kind", "Family", "Add", "Would catch"),
        ((c["name"], c["kind"], c["family"], ", ".join(c["missing"]), c["catches"]) for c in off),
    )
    families = sorted({c["family"] for c in on})
    output.say(f"Independent families of evidence within reach: {len(families)} ({', '.join(families) or 'none'}).")
    if not found["trusted_accounts"]:
        output.say(
            "No trusted accounts: add `anchor` or `created_at` to an accounts file and pass it with --accounts. Without"
        )
        output.say("them nothing tells what a ring shares from what is merely popular.")
    for warning in found["warnings"]:
        output.say(f"Warning: {warning}")
