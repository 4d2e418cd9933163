"""A scan of the past sees the log as it was: `--as-of`, `--since` and the first flag against logs cut by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from clonewatch import ScanResult
from clonewatch.cli.main import app
from clonewatch.lab.simulate import simulate
from clonewatch.model.schema import RESULTS
from clonewatch.pipeline.scan import ScanSettings, scan

HOUR = timedelta(hours=1)
# What a scan of a cut log says differently: where it read, what it was asked, and what it cost.
ABOUT_THE_RUN = ("settings", "inputs", "stages", "peak_memory_mb")


class Made(NamedTuple):
    """A simulated log and the accounts of the harvest in it."""

    folder: Path
    first: datetime
    last: datetime
    members: frozenset[str]


def simulated(folder: Path, scenario: str, scale: float) -> Made:
    simulate(scenario, folder, seed=3, scale=scale)
    ts = pq.read_table(folder / "exchanges", columns=["ts"])["ts"]
    labels = pq.read_table(folder / "labels" / "accounts.parquet").to_pylist()
    members = frozenset(r["account_id"] for r in labels if r["role"] == "member")
    return Made(folder, pc.min(ts).as_py(), pc.max(ts).as_py(), members)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A naive harvest of a dozen accounts among a few hundred honest ones."""
    return simulated(tmp_path_factory.mktemp("in-time") / "log", "s01_shared_cards", 0.03)


def cut(log: Made, folder: Path, start: datetime | None = None, end: datetime | None = None) -> Path:
    """The same log with the exchanges of a span, and the events before its end."""
    (folder / "exchanges").mkdir(parents=True)
    for name in ("exchanges", "events.parquet"):
        table = pq.read_table(log.folder / name)
        keep = pa.array([True] * table.num_rows)
        if end:
            keep = pc.and_(keep, pc.less(table["ts"], pa.scalar(end, table["ts"].type)))
        if start and name == "exchanges":
            keep = pc.and_(keep, pc.greater_equal(table["ts"], pa.scalar(start, table["ts"].type)))
        place = folder / name if name.endswith(".parquet") else folder / name / "part.parquet"
        pq.write_table(table.filter(keep), place)
    pq.write_table(pq.read_table(log.folder / "accounts.parquet"), folder / "accounts.parquet")
    return folder


def contents(out: Path) -> dict[str, bytes]:
    return {t.name: (out / f"{t.name}.parquet").read_bytes() for t in RESULTS}


def told(out: Path) -> dict[str, Any]:
    return {k: v for k, v in json.loads((out / "scan.json").read_text()).items() if k not in ABOUT_THE_RUN}


def scanned(folder: Path, out: Path | None = None, **settings: Any) -> ScanResult:
    return scan(ScanSettings(paths=(str(folder),), out=out, threads=1, **settings))


def accused(found: ScanResult) -> set[str]:
    """Member accounts of all flagged campaigns."""
    flagged = {c["campaign_id"] for c in found.tables["campaigns"].to_pylist() if c["flagged"]}
    members = found.tables["members"].to_pylist()
    return {m["account_id"] for m in members if m["campaign_id"] in flagged and m["role"] != "proxy_customer"}


def test_a_scan_as_of_a_time_equals_the_scan_of_the_log_cut_there(tmp_path: Path) -> None:
    """Cut at the exact microsecond of an exchange, a week after a release: that exchange is no longer used."""
    log = simulated(tmp_path / "whole", "s13_release_jump", 0.05)
    events = pq.read_table(log.folder / "events.parquet").to_pylist()
    released = next(e["ts"] for e in events if e["kind"] == "model_release")
    ts = pc.unique(pq.read_table(log.folder / "exchanges", columns=["ts"])["ts"]).sort()
    instant = next(t for t in ts.to_pylist() if t > released + timedelta(days=7))
    assert any(e["ts"] >= instant for e in events), "there is an event that must not be known yet"
    found = scanned(log.folder, tmp_path / "then", as_of=instant)
    scanned(cut(log, tmp_path / "log", end=instant), tmp_path / "cut")
    assert contents(tmp_path / "then") == contents(tmp_path / "cut")
    assert told(tmp_path / "then") == told(tmp_path / "cut")
    assert datetime.fromisoformat(told(tmp_path / "then")["window"]["last"]) < instant
    assert "release" in {e["signal"] for e in found.tables["evidence"].to_pylist()}, "events before it are known"


def test_a_scan_since_a_day_equals_the_scan_of_the_rest_of_the_log(log: Made, tmp_path: Path) -> None:
    """Both ends from the command line, where a time without a zone is UTC."""
    start, end = ((log.first + (log.last - log.first) * part).date() for part in (0.3, 0.8))
    words = ["--since", start.isoformat(), "--as-of", f"{end}T00:00", "--quiet", "--threads", "1"]
    key = ["--key", str(tmp_path / "key")]
    done = CliRunner().invoke(app, ["scan", str(log.folder), "--out", str(tmp_path / "part"), *key, *words])
    assert done.exit_code == 0, done.output
    span = [datetime(d.year, d.month, d.day, tzinfo=UTC) for d in (start, end)]
    scanned(cut(log, tmp_path / "log", *span), tmp_path / "cut", key_file=tmp_path / "key")
    assert contents(tmp_path / "part") == contents(tmp_path / "cut")
    assert told(tmp_path / "part") == told(tmp_path / "cut")
    said = json.loads((tmp_path / "part" / "scan.json").read_text())
    assert said["settings"]["as_of"] == f"{end} 00:00:00+00:00"
    assert start.isoformat() <= said["window"]["first"] < said["window"]["last"] < end.isoformat()


def test_a_span_without_exchanges_reports_that_rows_were_skipped(log: Made, tmp_path: Path) -> None:
    words = ["scan", str(log.folder), "--out", str(tmp_path / "none"), "--as-of", "2001-01-01", "--quiet"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2 and "--as-of were skipped" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "none" / "scan.json").exists()


@pytest.fixture(scope="module")
def dated(log: Made) -> ScanResult:
    return scanned(log.folder, first_flag=True)


def test_the_first_flag_is_the_hour_at_which_a_scan_would_first_have_flagged(log: Made, dated: ScanResult) -> None:
    """A scan as of that hour flags the harvest, and one as of the hour before does not."""
    found = dated
    (campaign,) = (c for c in found.tables["campaigns"].to_pylist() if c["flagged"])
    assert campaign["visible_is_first_flag"] and accused(found) <= log.members
    hour = campaign["visible_ts"].astimezone(UTC)
    assert (hour.minute, hour.second, hour.microsecond) == (0, 0, 0)
    assert campaign["first_ts"] < hour < campaign["last_ts"]
    then = accused(scanned(log.folder, as_of=hour))
    assert then and len(then & log.members) >= 0.5 * len(then)
    before = accused(scanned(log.folder, as_of=hour - HOUR))
    assert not before & log.members


def test_looking_for_the_first_flag_changes_only_when_a_campaign_was_visible(log: Made, dated: ScanResult) -> None:
    plain, first = scanned(log.folder).tables, dated.tables
    moved = ("visible_ts", "visible_exchanges", "visible_is_first_flag")
    for name, table in plain.items():
        columns = [c for c in table.column_names if c not in moved]
        assert table.select(columns).equals(first[name].select(columns)), name
    assert plain["campaigns"]["visible_is_first_flag"].to_pylist().count(True) == 0
    unflagged = [r for r in first["campaigns"].to_pylist() if not r["flagged"]]
    assert unflagged and not any(r["visible_is_first_flag"] for r in unflagged), (
        "only flagged campaigns have a first flag"
    )
