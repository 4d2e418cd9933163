"""Where an operator marks very few trusted accounts, a second set is added, and each verdict states its set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clonewatch import ScanResult
from clonewatch.entities.ownership import FEW_TRUSTED
from clonewatch.lab.simulate import simulate
from clonewatch.pipeline.scan import ScanSettings, scan


def trusting(folder: Path, scenario: str, scale: float, kept: int, seed: int = 3) -> tuple[ScanResult, set[str]]:
    """The scan of a log of whose trusted accounts only some are marked, and the members of its harvest."""
    simulate(scenario, folder, seed=seed, scale=scale)
    accounts = pq.read_table(folder / "accounts.parquet")
    named = np.flatnonzero([bool(a) for a in accounts["anchor"].to_pylist()])
    assert len(named) > 2 * kept
    held = np.isin(np.arange(accounts.num_rows), np.random.default_rng(0).permutation(named)[:kept])
    place = accounts.column_names.index("anchor")
    pq.write_table(accounts.set_column(place, "anchor", pa.array(held)), folder / "accounts.parquet")
    labels = pq.read_table(folder / "labels" / "accounts.parquet").to_pylist()
    members = {r["account_id"] for r in labels if r["role"] == "member"}
    return scan(ScanSettings(paths=(str(folder),), threads=1)), members


def sources(found: ScanResult) -> set[str]:
    """The trusted sets that the linked groups rest on."""
    return {trust for trust, _, _ in found.summary["linked_groups"]}


def accused(found: ScanResult) -> set[str]:
    flagged = {c["campaign_id"] for c in found.tables["campaigns"].to_pylist() if c["flagged"]}
    members = found.tables["members"].to_pylist()
    return {m["account_id"] for m in members if m["campaign_id"] in flagged and m["role"] != "proxy_customer"}


def test_a_campaign_that_a_small_trusted_set_misses_is_found_with_the_second(tmp_path: Path) -> None:
    found, members = trusting(tmp_path / "log", "s04_stealth", 0.1, kept=35)
    assert found.summary["trust"]["source"] == "declared"
    assert found.summary["trust"]["share"] < FEW_TRUSTED
    assert sources(found) == {"behaviour"}
    assert accused(found) <= members and len(accused(found)) >= 0.8 * len(members)


def test_each_group_states_the_trusted_set_of_its_links(tmp_path: Path) -> None:
    """The operator's few accounts suffice for the pool on shared cards; a class needs the second set."""
    found, members = trusting(tmp_path / "log", "s01_shared_cards", 0.1, kept=25)
    assert found.summary["trust"]["share"] < FEW_TRUSTED
    assert sources(found) == {"declared", "behaviour"}
    assert accused(found) <= members and len(accused(found)) >= 0.8 * len(members)


@pytest.mark.parametrize("kept", [35, 0])
def test_the_second_set_flags_no_account_in_a_log_without_an_attack(tmp_path: Path, kept: int) -> None:
    found, _ = trusting(tmp_path / "log", "quiet", 0.2, kept)
    assert found.summary["trust"]["source"] == ("declared" if kept else "behaviour")
    assert sources(found) == {"behaviour"} and accused(found) == set()
