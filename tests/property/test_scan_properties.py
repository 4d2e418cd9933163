"""A scan finds the same campaigns whatever the order of rows, the packing of files and the names of accounts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clonewatch import ScanResult
from clonewatch.lab.simulate import simulate
from clonewatch.model.schema import RESULTS
from clonewatch.pipeline.scan import ScanSettings, scan


class Tables(NamedTuple):
    """The three tables of a log folder."""

    exchanges: pa.Table
    accounts: pa.Table
    events: pa.Table


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """A naive harvest among a few hundred honest accounts."""
    folder = tmp_path_factory.mktemp("simulated") / "log"
    simulate("s01_shared_cards", folder, seed=0, scale=0.1)
    names = ("exchanges", "accounts.parquet", "events.parquet")
    return Tables(*(pq.read_table(folder / name) for name in names))


def written(folder: Path, log: Tables, shards: int = 1) -> Path:
    (folder / "exchanges").mkdir(parents=True)
    size = -(-log.exchanges.num_rows // shards)
    for i in range(shards):
        pq.write_table(log.exchanges.slice(i * size, size), folder / "exchanges" / f"part-{i:03d}.parquet")
    pq.write_table(log.accounts, folder / "accounts.parquet")
    pq.write_table(log.events, folder / "events.parquet")
    return folder


def scanned(folder: Path, out: Path | None = None, seed: int = 0) -> ScanResult:
    return scan(ScanSettings(paths=(str(folder),), out=out, threads=2, seed=seed))


Campaigns = list[tuple[bool, float, frozenset[tuple[str, str]], int]]


def campaigns(found: ScanResult, name: Callable[[str], str] = str) -> Campaigns:
    """Every campaign without its number: flag, score, its accounts with their roles, harvested exchanges."""
    members: dict[str, set[tuple[str, str]]] = {}
    for row in found.tables["members"].to_pylist():
        members.setdefault(row["campaign_id"], set()).add((name(row["account_id"]), row["role"]))
    rows = found.tables["campaigns"].to_pylist()
    told = [
        (r["flagged"], round(r["score"], 6), frozenset(members[r["campaign_id"]]), r["harvested_exchanges"])
        for r in rows
    ]
    return sorted(told, key=lambda c: (-c[1], sorted(c[2])))


@pytest.fixture(scope="module")
def found(log: Tables, tmp_path_factory: pytest.TempPathFactory) -> Campaigns:
    told = campaigns(scanned(written(tmp_path_factory.mktemp("plain") / "log", log)))
    assert any(flagged for flagged, *_ in told), "nothing is flagged, so that nothing can change"
    return told


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_the_rows_changes_no_campaign(log: Tables, found: Campaigns, tmp_path: Path, seed: int) -> None:
    draw = np.random.default_rng(seed)
    mixed = Tables(*(table.take(draw.permutation(table.num_rows)) for table in log))
    assert campaigns(scanned(written(tmp_path / "log", mixed))) == found


@pytest.mark.parametrize("shards", [7])
def test_the_packing_of_the_log_changes_no_campaign(log: Tables, found: Campaigns, tmp_path: Path, shards: int) -> None:
    assert campaigns(scanned(written(tmp_path / "log", log, shards))) == found


def test_exchanges_logged_twice_change_no_campaign(log: Tables, found: Campaigns, tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    again = log.exchanges.take(draw.choice(log.exchanges.num_rows, log.exchanges.num_rows // 5, replace=False))
    doubled = log._replace(exchanges=pa.concat_tables([log.exchanges, again]))
    result = scanned(written(tmp_path / "log", doubled, 3))
    assert campaigns(result) == found
    assert result.summary["counts"]["duplicate"] == again.num_rows
    assert result.summary["counts"]["kept"] == log.exchanges.num_rows


def test_other_names_for_accounts_and_exchanges_change_no_campaign(
    log: Tables, found: Campaigns, tmp_path: Path
) -> None:
    ids = np.unique(np.concatenate([t["account_id"].drop_null().to_numpy(zero_copy_only=False) for t in log]))
    new = {old: f"renamed-{i:06d}" for i, old in zip(np.random.default_rng(4).permutation(len(ids)), ids, strict=True)}
    old = {v: k for k, v in new.items()}

    def renamed(table: pa.Table) -> pa.Table:
        names = [None if a is None else new[a] for a in table["account_id"].to_pylist()]
        return table.set_column(table.column_names.index("account_id"), "account_id", pa.array(names, pa.string()))

    again = Tables(*(renamed(table) for table in log))
    place = again.exchanges.column_names.index("exchange_id")
    numbers = [f"other-{i}" for i in range(again.exchanges.num_rows)]
    again = again._replace(exchanges=again.exchanges.set_column(place, "exchange_id", pa.array(numbers)))
    result = scanned(written(tmp_path / "log", again))
    assert campaigns(result, old.__getitem__) == found


def test_the_same_scan_twice_gives_the_same_bytes(log: Tables, tmp_path: Path) -> None:
    folder = written(tmp_path / "log", log)
    one, two = tmp_path / "one", tmp_path / "two"
    for out in (one, two):
        scanned(folder, out)
    for table in RESULTS:
        assert (one / f"{table.name}.parquet").read_bytes() == (two / f"{table.name}.parquet").read_bytes(), table.name
    told = [json.loads((out / "scan.json").read_text()) for out in (one, two)]
    measured = ("stages", "peak_memory_mb")
    assert [{k: v for k, v in t.items() if k not in measured} for t in told[:1]] == [
        {k: v for k, v in t.items() if k not in measured} for t in told[1:]
    ]


def test_without_accounts_and_events_no_other_account_is_flagged(log: Tables, found: Campaigns, tmp_path: Path) -> None:
    """Less data never adds suspicion: an account that is flagged now was linked and flagged before."""
    (tmp_path / "log").mkdir()
    pq.write_table(log.exchanges, tmp_path / "log" / "exchanges.parquet")
    guilty = {account for flagged, _, members, _ in found if flagged for account, _ in members}
    bare = campaigns(scanned(tmp_path / "log"))
    assert {account for flagged, _, members, _ in bare if flagged for account, _ in members} <= guilty
