"""The content of `dossier.json`, made of nothing but the other files of the bundle."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa

from clonewatch.cases.records import Case, Entry
from clonewatch.cases.sentences import said
from clonewatch.dossier import audits, wording
from clonewatch.dossier.crosswalk import crosswalk
from clonewatch.dossier.figures import Value, computed, definition
from clonewatch.dossier.prices import Prices
from clonewatch.model.version import __version__
from clonewatch.report import phrases
from clonewatch.report.numerals import visible

SCHEMA = "clonewatch.dossier.v1"
_NOTE = 2_000  # characters of a note
_METHOD = ("version", "window", "settings", "versions", "calibration", "thresholds", "trust", "counts", "warnings")


class Sources(NamedTuple):
    """What a dossier is made of. entries, notes: of the log about the case, without its export. scan: `scan.json`.

    audits: the files of audits, by path in the bundle.
    """

    case: Case
    entries: Mapping[int, Entry]
    notes: Mapping[int, str]
    tables: Mapping[str, pa.Table]
    scan: Mapping[str, Any]
    prices: Prices | None
    audits: Mapping[str, bytes] = MappingProxyType({})


def content(sources: Sources, made_at: str) -> dict[str, Any]:
    """The dossier as `dossier.json` holds it. made_at: ISO 8601, UTC."""
    case, tables, scan = sources.case, sources.tables, sources.scan
    row = tables["campaigns"].to_pylist()[0]
    rows = tables["evidence"].to_pylist()
    figures = computed(tables, scan, sources.prices)
    status = wording.status(case, row)
    return {
        "schema": SCHEMA,
        "version": __version__,
        "made_at": made_at,
        "case": _case(case),
        "group": {"scan": case.seen.scan, "campaign_id": row["campaign_id"], "outcome": row["outcome"]},
        "status": status,
        "summary": wording.summary(status["said"], row, figures, scan["window"]),
        "observation": [visible(one["reason"], 600) for one in sorted(rows, key=lambda r: -abs(r["bits"] or 0.0))],
        "inference": _inference(row, figures),
        "attribution": "None is made. " + phrases.NEVER_SAID,
        "ladder": wording.ladder(row),
        "method": {name: scan.get(name) for name in _METHOD} | {"inputs": scan.get("inputs") or []},
        "figures": [_figure(name, value, sources) for name, value in figures.items()],
        "evidence": wording.evidence(rows),
        "alternatives": {
            "questions": wording.questions(row),
            "twins": wording.twins(rows),
            "untested": list(wording.UNTESTED),
        },
        "purpose": {
            "source": wording.FACTORS_SOURCE,
            "factors": wording.purpose(row, rows, figures, scan.get("signals") or []),
            "not_shown": list(wording.NOT_SHOWN),
        },
        "uncertainty": wording.uncertainty(row, figures),
        "worth": wording.worth(figures, sources.prices),
        "audits": audits.told(sources.audits, case.case),
        "crosswalk": crosswalk(row, figures),
        "history": [_entry(n, one, case.case, sources.notes.get(n)) for n, one in sorted(sources.entries.items())],
    }


def _case(case: Case) -> dict[str, Any]:
    ruling = case.ruling
    told = None
    if ruling:
        kept = ("ruling", "explanation", "scope", "until", "at", "by")
        told = {name: visible(getattr(ruling, name)) if name == "by" else getattr(ruling, name) for name in kept}
    return {
        "id": case.case,
        "version": case.version,
        "status": case.status,
        "ruling": told,
        "accounts_sha256": case.accounts,
        "absorbed": list(case.absorbed),
        "split_from": case.split_from,
    }


def _inference(row: Mapping[str, Any], figures: Mapping[str, Value]) -> list[str]:
    rung = phrases.level(row["level"])
    return [
        f"Level {rung.code}, {rung.name}: {rung.says} {rung.not_said}",
        f"What would lower it: {rung.lowered_by}",
        *wording.uncertainty(row, figures)[3:-1],
    ]


def _figure(name: str, value: Value, sources: Sources) -> dict[str, Any]:
    told = definition(name, sources.prices.currency if sources.prices else "")
    window = sources.scan["window"]
    return {
        "name": name,
        "value": value,
        "unit": told.unit,
        "counts": told.counts,
        "table": told.table,
        "window": {"first": window["first"], "last": window["last"]},
    }


def _entry(number: int, entry: Entry, case: str, note: str | None) -> dict[str, Any]:
    return {
        "entry": number,
        "at": entry.at,
        "by": visible(entry.by),
        "what": entry.what,
        "said": visible(said(entry, case), _NOTE),
        "note": visible(note, _NOTE) if note else "",
    }
