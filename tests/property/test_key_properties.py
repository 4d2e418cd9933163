"""Another key gives other names and changes nothing else: not one score, member or posterior, to the last digit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from clonewatch.lab.simulate import simulate
from clonewatch.model.schema import RESULTS
from clonewatch.pipeline.examine import ScanResult
from clonewatch.pipeline.scan import ScanSettings, scan

KEYS = ("00" * 32, "c3" * 32, bytes(range(32)).hex())
# Signals whose names are keyed hashes in every log.
KEYED = ("payment", "device", "egress", "client", "key_sharing")
# The one column that shows values of hashes, and what a run measures of itself.
HASHED, MEASURED = ("attribute", "model"), ("stages", "peak_memory_mb")


@pytest.fixture(scope="module", params=[True, False], ids=["text", "fingerprints of its own"])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[ScanResult]:
    """One log, scanned under every key: with accounts, events, addresses, and with text or without."""
    folder = tmp_path_factory.mktemp("keys")
    simulate("demo", folder / "log", seed=1, scale=0.3, text=request.param)
    return [scanned(folder, key) for key in KEYS]


def scanned(folder: Path, key: str) -> ScanResult:
    file = folder / f"{key[:6]}.key"
    file.write_text(key)
    file.chmod(0o600)
    return scan(ScanSettings(paths=(str(folder / "log"),), key_file=file, threads=2))


def nameless(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of a table in order, without columns that show a hash."""
    rows: list[dict[str, Any]] = table.drop_columns([n for n in table.column_names if n in HASHED]).to_pylist()
    return rows


def carriers(result: ScanResult) -> dict[tuple[str, str, str], set[str]]:
    """Which accounts carry each attribute of each campaign."""
    out: dict[tuple[str, str, str], set[str]] = {}
    for row in result.tables["attribute_accounts"].to_pylist():
        out.setdefault((row["campaign_id"], row["signal"], row["attribute"]), set()).add(row["account_id"])
    return out


def test_a_key_changes_no_row_of_any_table(results: list[ScanResult]) -> None:
    first, *others = results
    assert any(row["flagged"] for row in first.tables["campaigns"].to_pylist()), "nothing that could change"
    for other in others:
        assert other.tables.keys() == first.tables.keys() == {table.name for table in RESULTS}
        for name, table in first.tables.items():
            assert nameless(other.tables[name]) == nameless(table), name


def test_a_key_does_not_change_the_summary(results: list[ScanResult]) -> None:
    told = [json.dumps({k: v for k, v in result.summary.items() if k not in MEASURED}) for result in results]
    assert told[1:] == told[:-1]


def test_a_key_changes_every_hash_and_not_who_carries_it(results: list[ScanResult]) -> None:
    one, *others = (carriers(result) for result in results)
    for other in others:
        assert sorted(map(sorted, other.values())) == sorted(map(sorted, one.values()))
        hashed = [{t for _, signal, t in held if signal in KEYED} for held in (one, other)]
        assert all(hashed) and not hashed[0] & hashed[1]
