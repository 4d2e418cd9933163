"""Repeats the scan behind a bundle on the raw log, and compares what it finds about the group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.dossier import tables
from clonewatch.dossier.figures import computed, inside
from clonewatch.dossier.verification import Bundle
from clonewatch.model import limits
from clonewatch.model.errors import SetupError
from clonewatch.pipeline.scan import ScanSettings, scan
from clonewatch.ports.progress import Progress

# The columns that do not depend on the key of the hashes, nor on what the log was called.
_COMPARED: dict[str, tuple[str, ...]] = {
    "members": ("account_id", "membership", "role", "harvested_exchanges"),
    "attribution": ("exchange_id", "posterior", "account_id"),
    "evidence": ("signal", "family", "kind", "bits", "value", "n"),
    "timeline": ("day", "task", "exchanges", "harvested", "accounts"),
}
# What a scan may be given beside the log, by its setting.
_OPTIONS = {
    "mapping": "--map FILE",
    "accounts": "--accounts FILE",
    "events": "--events FILE",
    "calibration": "--calibration FILE",
    "answers": "--answers FILE",
}
_SAME = ("seed", "since", "as_of", "first_flag", "embed", "max_rejected", "max_repeated")


class RawLog(NamedTuple):
    """The raw log and what else the scan was given: see `ScanSettings`."""

    paths: Sequence[str]
    mapping: str | None
    accounts: Path | None
    events: Path | None
    key_file: Path | None
    calibration: Path | None
    answers: Path | None


def differences(bundle: Bundle, log: RawLog, progress: Progress) -> list[str]:
    """What a scan of the log says otherwise than the bundle, one sentence each.

    Raises SetupError where it cannot be repeated so, and whatever a scan raises.
    """
    chosen = bundle.scan["settings"]
    if "paths" not in chosen:
        raise SetupError(
            "this result comes from a state (detect), not from one log: its scan cannot be repeated",
            fix="Leave out --log: everything else is checked without it",
        )
    given = {name: chosen[name] for name in _SAME} | {"limits": limits.chosen(chosen.get("limits"))}
    for name in ("since", "as_of"):
        given[name] = datetime.fromisoformat(given[name]) if given[name] else None
    lacking = [name for name in _OPTIONS if chosen.get(name) and not getattr(log, name)]
    if lacking:
        raise SetupError(
            f"the scan was given files that were not named now: {', '.join(str(chosen[name]) for name in lacking)}",
            fix=f"Pass {' and '.join(_OPTIONS[name] for name in lacking)}",
        )
    with TemporaryDirectory(prefix="clonewatch-") as folder:
        files = {name: value for name, value in log._asdict().items() if name != "paths"}
        done = scan(
            ScanSettings(
                tuple(log.paths), Path(folder) / "result", format=chosen.get("format") or "auto", **files, **given
            ),
            progress,
        )
        faults = _inputs(bundle.scan, done.summary)
        group = _group(done.tables["members"], bundle.tables["members"])
        if group is None:
            return [*faults, "the scan finds no group of these accounts"]
        anew = tables.of_group(Path(folder) / "result", group, bundle.tables["case_accounts"]["account_id"].to_pylist())
        return faults + _tables(bundle.tables, anew) + _figures(bundle, anew, done.summary)


def _inputs(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    def digests(summary: Mapping[str, Any]) -> Counter[str]:
        return Counter(one["sha256"] for one in summary["inputs"])

    lacking, more = digests(then) - digests(now), digests(now) - digests(then)
    named = {one["sha256"]: one["path"] for one in (*then["inputs"], *now["inputs"])}
    return [
        *(f"an input of the scan is not in this log: {named[digest]}" for digest in sorted(lacking)),
        *(f"this log holds what the scan had not read: {named[digest]}" for digest in sorted(more)),
    ]


def _group(members: pa.Table, wanted: pa.Table) -> str | None:
    """The group that has exactly the wanted member accounts."""
    accounts = set(inside(wanted).to_pylist())
    for name in members["campaign_id"].unique().to_pylist():
        mine = members.filter(pc.equal(members["campaign_id"], name))
        if set(inside(mine).to_pylist()) == accounts:
            return str(name)
    return None


def _tables(then: Mapping[str, pa.Table], now: Mapping[str, pa.Table]) -> list[str]:
    def rows(table: pa.Table, columns: tuple[str, ...]) -> list[Any]:
        return sorted(map(repr, table.select(list(columns)).to_pylist()))

    return [
        f"table {name} differs from what the scan finds now"
        for name, columns in _COMPARED.items()
        if rows(then[name], columns) != rows(now[name], columns)
    ]


def _figures(bundle: Bundle, anew: Mapping[str, pa.Table], summary: Mapping[str, Any]) -> list[str]:
    told = {one["name"]: one["value"] for one in bundle.dossier["figures"]}
    return [
        f"figure {name}: the dossier says {told.get(name)}, the scan says {value}"
        for name, value in computed(anew, summary).items()
        if told.get(name) != value
    ]
