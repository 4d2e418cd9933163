"""The command that says before a scan what a log allows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from clonewatch.cli import output
from clonewatch.cli.options import Format, Json, Map, Paths

if TYPE_CHECKING:
    from clonewatch.ports.signal import Signal


def signals() -> list[Signal]:
    """Every signal of this version, linking ones first."""
    from clonewatch.pipeline.detection.signals import signals as every

    return every()


def doctor(paths: Paths, mapping: Map = None, format: Format = "auto", json: Json = False) -> None:
    """Say what a log allows before you scan it: columns filled, signals that can work, and what more would buy.

    Reads the first 50,000 rows and writes nothing.

    For example:

      clonewatch doctor logs/today.ndjson

      clonewatch doctor access.log --map nginx
    """
    from clonewatch.adapters.reading import open_log
    from clonewatch.pipeline.look import look

    log = open_log(paths, format=format, mapping=Path(mapping) if mapping else None)
    found = look(log)
    if json:
        output.as_json(found)
    else:
        _tell(found)


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
