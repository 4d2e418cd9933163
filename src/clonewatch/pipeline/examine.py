"""From what was taken in to what is told: campaigns found, tables built. A scan and a state both end here."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from clonewatch import __version__
from clonewatch.campaigns import fusion
from clonewatch.campaigns.calibration import FALSE_DISCOVERIES, Calibration
from clonewatch.graph import fragments
from clonewatch.pipeline import provenance, results
from clonewatch.pipeline.clock import Clock
from clonewatch.pipeline.detect import INTENTS, LINKS, attribute, describe, detect
from clonewatch.pipeline.findings import Findings
from clonewatch.pipeline.plan import Plan
from clonewatch.pipeline.replay import first_crossings
from clonewatch.pipeline.staging import EXCHANGE_SCHEMA, STAGED_FROM
from clonewatch.pipeline.writing import ResultFolder
from clonewatch.ports.channel import Channel
from clonewatch.ports.engine import Query
from clonewatch.report.render import render

SUMMARY_VERSION = "clonewatch.scan.v1"
# What is there before a log is examined; `families` are templates that go under another's name.
STAGED = ("arrivals", "accounts", "events", "families")


class Intake(NamedTuple):
    """What was taken in. It lies in the `STAGED` tables; this says the rest.

    ids: account ids by code. filled: values that are not null by staged column, such as `exchanges.network`. first_ts,
    last_ts: microseconds since 1970. inputs: what each file gave. chosen: the settings, as they are told.
    """

    ids: list[str]
    filled: Mapping[str, int]
    first_ts: int
    last_ts: int
    read: int
    rejected: int
    accounts: int
    inputs: Sequence[Mapping[str, Any]]
    warnings: Sequence[str]
    chosen: Mapping[str, Any]


@dataclass(frozen=True)
class ScanResult:
    """The tables of a scan by name, what `scan.json` holds, and where it was written.

    `attribution`, which may be as long as the log, is among the tables only where nothing was written.
    """

    directory: Path | None
    tables: dict[str, pa.Table]
    summary: dict[str, Any]


def filled(table: str, held: pa.Table) -> dict[str, int]:
    """How many values of each column of a small staged table are not null."""
    return {f"{table}.{name}": held.num_rows - held[name].null_count for name in held.column_names}


def examine(
    plan: Plan, intake: Intake, calibration: Calibration, clock: Clock, folder: ResultFolder | None, *, seed: int,
    replay: bool,
) -> ScanResult:  # fmt: skip
    """Find campaigns in the staged tables and build what is told; `publish` puts it in place.

    folder: where attribution is written as it comes.
    """
    duplicates = settle(plan, intake.read)
    found = detect(plan, seed, calibration, clock)
    attribute(plan, found, clock)
    if replay:
        found.crossings = first_crossings(plan, found, seed, calibration, clock)
    tables = results.build(plan, found, intake.ids)
    attributed = results.attribution_of(plan, found, intake.ids)
    if folder:
        folder.stream("attribution", results.ATTRIBUTED, attributed)
        folder.list_inputs(intake.inputs)
    else:
        tables["attribution"] = pa.Table.from_batches(attributed, results.ATTRIBUTED)
    counts = {
        "read": intake.read, "rejected": intake.rejected, "duplicate": duplicates, "kept": plan.rows["exchanges"],
        "accounts": intake.accounts, "entities": found.population, "anchors": found.anchors.number,
    }  # fmt: skip
    packages = plan.engine.packages
    summary = _summary(intake, found, counts, calibration, clock, packages)
    return ScanResult(folder.place if folder else None, tables, summary)


def publish(result: ScanResult, folder: ResultFolder) -> None:
    """Write the tables, the summary and the report, and move them into place."""
    folder.publish(result.tables, result.summary, render(result.tables, result.summary, channels()))


def settle(plan: Plan, read: int) -> int:
    """Table `exchanges`: the first of each exchange id, near-identical templates under one name; returns duplicates.

    read: how many arrived.
    """
    plan.run(Query("repeated", ("arrivals",), "SELECT xid FROM arrivals GROUP BY xid HAVING COUNT(*) > 1"))
    if not plan.rows["repeated"] and not plan.engine.fetch("SELECT COUNT(*) AS n FROM families")["n"][0].as_py():
        plan.rename("arrivals", "exchanges", read)
        return 0
    columns = ", ".join(
        "COALESCE(f.family, x.template) AS template" if n == "template" else f'x."{n}"' for n in EXCHANGE_SCHEMA.names
    )
    plan.run(
        Query(
            "exchanges",
            ("arrivals", "repeated", "families"),
            f'WITH first AS (SELECT a.xid, MIN(a."row") AS keep FROM arrivals a JOIN repeated r ON r.xid = a.xid'
            f" GROUP BY a.xid) SELECT {columns} FROM arrivals x LEFT JOIN first d ON d.xid = x.xid"
            ' LEFT JOIN families f ON f.template = x.template WHERE d.keep IS NULL OR d.keep = x."row"',
        )
    )
    return read - plan.rows["exchanges"]


def channels() -> list[Channel]:
    """Every channel of this version, linking ones first."""
    links = [*(LINKS.load(n) for n in LINKS.names()), fragments.LINK]
    return [link.channel for link in links] + [INTENTS.load(n).channel for n in INTENTS.names()]


def _summary(
    intake: Intake, found: Findings, counts: dict[str, int], calibration: Calibration, clock: Clock,
    packages: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    """What `scan.json` holds."""
    return {
        "schema": SUMMARY_VERSION,
        "version": __version__,
        "window": {"first": _iso(intake.first_ts), "last": _iso(intake.last_ts)},
        **provenance.folded(intake.inputs),
        "settings": dict(intake.chosen),
        "versions": {"python": platform.python_version()}
        | {p: version(p) for p in (*packages, "pyarrow", "numpy", "scipy", "numba", "graspologic-native")},
        "counts": counts,
        "anchors": describe(found),
        "stages": clock.stages,
        "peak_memory_mb": clock.peak_memory_mb(),
        "channels": [_channel(c, intake, found) for c in channels()],
        "synchrony_null": found.synchrony_null,
        "calibration": calibration.describe(),
        "linked_groups": [[g.trust, g.parties, g.margin] for g in found.linked],
        "clustering_seeds": found.seeds,
        "thresholds": {
            "line_bits": fusion.LINE_BITS, "family_bits": fusion.FAMILY_BITS, "link_bans": fusion.LINK_BANS,
            "families": fusion.LEAST_FAMILIES[found.anchors.source], "max_rejected": intake.chosen.get("max_rejected"),
            "false_discoveries": found.bound,
        },
        "warnings": [*intake.warnings, *_unresolved(found)],
    }  # fmt: skip


def _unresolved(found: Findings) -> list[str]:
    """What is said where the false discovery rate cannot be bounded as it should be."""
    if found.bound <= FALSE_DISCOVERIES:
        return []
    return [
        f"{len(found.linked):,} linked groups were compared with too few honest ones: false discoveries are bounded at"
        f" {found.bound:.0%}, not at {FALSE_DISCOVERIES:.0%}. `clonewatch calibrate` on quiet logs of yours adds some."
    ]


def _channel(channel: Channel, intake: Intake, found: Findings) -> dict[str, Any]:
    """Whether a channel had what it needs, and what it found."""
    lacking = [[n for n in needs if not intake.filled.get(STAGED_FROM.get(n, n))] for needs in channel.needs]
    return {
        "name": channel.name,
        "kind": channel.kind,
        "family": channel.card.family,
        "used": any(not missing for missing in lacking),
        "missing": min(lacking, key=len) if lacking else [],
        "tokens": found.token_counts.get(channel.name),
    }


def _iso(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat()
