"""The third generator: the same bytes twice, complete labels, every honest crowd, and logs that a scan can read."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # evals is no part of the installed package

from evals import third_worlds  # noqa: E402
from evals.third_generator import ranges  # noqa: E402
from evals.third_generator.crowds import KINDS, SIZES, gather  # noqa: E402
from evals.third_generator.generate import generate  # noqa: E402
from evals.third_generator.world import World  # noqa: E402

from clonewatch.cli.main import app  # noqa: E402
from clonewatch.model.schema import ACCOUNTS, EXCHANGES, FINGERPRINT_COLUMNS, TEXT_COLUMNS  # noqa: E402

# Seeds no figure is reported on: one log with text and a campaign, one with fingerprints.
TEXT, SKETCHED = 5, 2
SMALL = 0.1


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Path, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("third")
    return {s: (folder / str(s), generate(s, folder / str(s), SMALL)) for s in (TEXT, SKETCHED)}


def digest(folder: Path) -> str:
    sums = [
        f"{p.relative_to(folder)} {hashlib.sha256(p.read_bytes()).hexdigest()}"
        for p in sorted(folder.rglob("*.parquet"))
    ]
    return "\n".join(sums)


def test_the_same_seed_gives_the_same_bytes(worlds: dict[int, tuple[Path, dict[str, Any]]], tmp_path: Path) -> None:
    generate(TEXT, tmp_path / "again", SMALL)
    assert digest(tmp_path / "again") == digest(worlds[TEXT][0])
    assert digest(worlds[SKETCHED][0]) != digest(worlds[TEXT][0])


@pytest.mark.parametrize("seed", [TEXT, SKETCHED])
def test_every_account_of_the_log_has_a_label_and_only_members_harvest(
    worlds: dict[int, tuple[Path, dict[str, Any]]], seed: int
) -> None:
    folder, made = worlds[seed]
    exchanges = pq.read_table(folder / "exchanges", columns=["exchange_id", "account_id"]).to_pydict()
    owner = dict(zip(exchanges["exchange_id"], exchanges["account_id"], strict=True))
    labels = {r["account_id"]: r for r in pq.read_table(folder / "labels" / "accounts.parquet").to_pylist()}
    assert (
        set(labels) == set(owner.values()) == set(pq.read_table(folder / "accounts.parquet")["account_id"].to_pylist())
    )
    assert all((r["role"] == "member") == (r["campaign_id"] is not None) for r in labels.values())
    harvested = pq.read_table(folder / "labels" / "exchanges.parquet").to_pylist()
    assert all(labels[owner[h["exchange_id"]]]["campaign_id"] == h["campaign_id"] for h in harvested)
    assert {h["campaign_id"] for h in harvested} == {c["name"] for c in made["campaigns"]}


def test_the_campaigns_have_members_and_every_drawn_crowd_has_accounts(
    worlds: dict[int, tuple[Path, dict[str, Any]]],
) -> None:
    made = worlds[TEXT][1]
    assert made["campaigns"]
    assert made["roles"]["member"] >= ranges.MEMBERS[0] / 2
    assert len(made["crowds"]) == ranges.CROWDS
    assert set(made["crowds"]) <= set(made["roles"])


def test_every_honest_crowd_appears_over_some_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evals.third_generator.crowds.SIZES", {kind: (3, 5) for kind in SIZES})
    seen: set[str] = set()
    for seed in range(1, 6):
        world = World(seed)
        gather(world)
        seen |= {world.accounts[c.account].role for c in world.calls}
    assert seen == set(KINDS)


@pytest.mark.parametrize("seed", [TEXT, SKETCHED])
def test_the_doctor_reads_every_row(worlds: dict[int, tuple[Path, dict[str, Any]]], seed: int) -> None:
    folder, _ = worlds[seed]
    answer = CliRunner().invoke(app, ["doctor", str(folder)])
    assert answer.exit_code == 0
    assert " 0 were rejected" in answer.stdout
    assert set(pq.read_schema(folder / "exchanges" / "part-0.parquet").names) <= set(EXCHANGES.names)
    assert set(pq.read_schema(folder / "accounts.parquet").names) <= set(ACCOUNTS.names)


def test_half_of_the_worlds_log_text_and_the_others_fingerprints(
    worlds: dict[int, tuple[Path, dict[str, Any]]],
) -> None:
    text, sketched = (
        set(pq.read_schema(worlds[s][0] / "exchanges" / "part-0.parquet").names) for s in (TEXT, SKETCHED)
    )
    assert "messages" in text
    assert not text & set(FINGERPRINT_COLUMNS)
    assert not sketched & set(TEXT_COLUMNS)
    assert set(FINGERPRINT_COLUMNS) <= sketched


def run(line: int | None) -> third_worlds.Run:
    scores = {
        "counts": {"member_accounts": 50},
        "campaigns": {"found": {"harvest_0": 1}, "false_alarms": {}},
        "accounts": {
            "true_positive": 40, "false_positive": 2, "honest": 100,
            "honest_by_role": {"benign": 90, "class": 10}, "honest_flagged_by_role": {"class": 2},
        },
    }  # fmt: skip
    world = {
        "seed": 1,
        "accounts": 150,
        "exchanges": 900,
        "text": True,
        "campaigns": [{"name": "harvest_0", "size": 50}],
    }
    return {"scores": scores, "world": world, "lines": {"harvest_0": line}, "sizes": {"harvest_0": 50}}


def test_the_page_counts_first_lines_and_honest_accounts_by_crowd() -> None:
    figures = [third_worlds.counts(run(line)) for line in (1, 5, 6, None)]
    assert [(f["first"], f["five"]) for f in figures] == [(1, 1), (0, 1), (0, 0), (0, 0)]
    page = third_worlds.report([run(1), run(None)])
    assert "| class | 4 | 20 |" in page
    assert "50 members: 1" in page
    assert "50 members: -" in page
