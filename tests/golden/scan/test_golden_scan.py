"""A golden sample of a complete scan: what is found in a small simulated log with three harvests.

When a change is meant, run this file with `CLONEWATCH_GOLDEN=write` in the environment and read the diff.
"""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from clonewatch import ScanResult
from clonewatch.kernels.arrow import arrow_schema
from clonewatch.lab.simulate import simulate
from clonewatch.model.schema import RESULTS
from clonewatch.pipeline.scan import ScanSettings, scan

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden") / "log"
    simulate("demo", folder, seed=2, scale=0.4)
    return folder


@pytest.fixture(scope="module")
def found(log: Path) -> ScanResult:
    return scan(ScanSettings(paths=(str(log),), threads=2))


def told(found: ScanResult, log: Path) -> dict[str, Any]:
    """Campaigns with their evidence, rounded so that another processor's last digit changes nothing."""
    labels = {r["account_id"]: r["role"] for r in pq.read_table(log / "labels" / "accounts.parquet").to_pylist()}
    members = found.tables["members"].to_pylist()
    evidence = found.tables["evidence"].to_pylist()
    campaigns = []
    for row in found.tables["campaigns"].to_pylist():
        name = row["campaign_id"]
        inside = [labels[m["account_id"]] for m in members if m["campaign_id"] == name]
        held = [e for e in evidence if e["campaign_id"] == name]
        campaigns.append(
            {
                "campaign": name,
                "flagged": row["flagged"],
                "level": row["level"],
                "score": round(row["score"], 1),
                "accounts": row["accounts"],
                "harvested": row["harvested_exchanges"],
                "who they are": {role: inside.count(role) for role in sorted(set(inside))},
                "evidence": {e["kind"] + " " + e["signal"]: round(e["bits"], 1) for e in held},
            }
        )
    return {"trust": found.summary["trust"], "counts": found.summary["counts"], "campaigns": campaigns}


def test_a_small_demo_log_is_judged_as_before(found: ScanResult, log: Path) -> None:
    path, text = HERE / "demo.json", json.dumps(told(found, log), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("CLONEWATCH_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
        pytest.skip("demo.json written anew")
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(text)


def test_the_same_scan_with_two_threads_gives_the_same_tables(found: ScanResult, log: Path) -> None:
    for _ in range(2):
        again = scan(ScanSettings(paths=(str(log),), threads=2))
        for name, table in found.tables.items():
            assert again.tables[name].equals(table), name


def test_every_result_has_the_documented_columns(found: ScanResult) -> None:
    assert set(found.tables) == {table.name for table in RESULTS}
    for table in RESULTS:
        held = found.tables[table.name].schema
        wanted = arrow_schema(table)
        assert [(f.name, f.type) for f in held] == [(f.name, f.type) for f in wanted], table.name


def test_the_tables_of_a_scan_agree_with_each_other(found: ScanResult) -> None:
    campaigns = {r["campaign_id"]: r for r in found.tables["campaigns"].to_pylist()}
    for name in ("members", "attribution", "evidence", "attributes", "attribute_accounts", "timeline", "models"):
        assert set(found.tables[name]["campaign_id"].to_pylist()) <= set(campaigns), name
    members = found.tables["members"].to_pylist()
    for name, row in campaigns.items():
        inside = [m for m in members if m["campaign_id"] == name and m["role"] != "proxy_customer"]
        assert len(inside) == row["accounts"]
        assert sum(m["harvested_exchanges"] for m in inside) <= row["exchanges"]
        assert row["p_value"] is None or 0 < row["p_value"] <= 1
    for e in found.tables["evidence"].to_pylist():
        assert (e["bits"] < 0) == (e["kind"] == "against")
        assert e["reason"] and e["innocent"] and e["ruled_out"]
    for m in members:
        assert m["first_ts"] <= m["last_ts"] and m["harvested_exchanges"] <= m["exchanges"]
        assert m["created_ts"] is None or m["created_ts"] <= m["first_ts"]
    for name, row in campaigns.items():
        daily = [t for t in found.tables["models"].to_pylist() if t["campaign_id"] == name]
        assert sum(t["exchanges"] for t in daily) == row["exchanges"]
        assert sum(t["harvested"] for t in daily) == row["harvested_exchanges"]
    posterior = found.tables["attribution"]["posterior"].to_numpy()
    assert ((posterior >= 0) & (posterior <= 1)).all()
    carried = {(t["campaign_id"], t["signal"], t["attribute"]) for t in found.tables["attribute_accounts"].to_pylist()}
    assert carried <= {(t["campaign_id"], t["signal"], t["attribute"]) for t in found.tables["attributes"].to_pylist()}
