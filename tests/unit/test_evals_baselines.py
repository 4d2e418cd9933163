"""Each baseline finds a group planted for it, and finds nothing among accounts that share nothing."""

import sys
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # evals is no part of the installed package

from evals.baselines import (  # noqa: E402
    BASELINES,
    Logged,
    densest,
    discrepancy,
    infrastructure,
    open_log,
    projection,
    synchrony,
    volume,
)
from evals.groups import components, levels, peel  # noqa: E402

HONEST, PLANTED, SENT = 150, 20, 30
START = 1_770_000_000_000_000


def write(folder: Path, seed: int, planted: bool) -> Path:
    """A log of accounts that each ask their own questions from their own network; the last PLANTED act as one."""
    rng = np.random.default_rng(seed)
    accounts = HONEST + PLANTED
    own = np.repeat(np.arange(accounts), SENT)
    ring = (own >= HONEST) & planted
    n = len(own)
    ts = START + rng.integers(0, 20 * 86_400_000_000, n)
    # The planted ones work through the same hours, behind two networks, with three templates and long answers.
    ts = np.where(ring, START + np.arange(n) % SENT * 7_200_000_000, ts)
    template = np.where(ring, rng.integers(0, 3, n), 1_000 + np.arange(n))
    prompt = np.where(ring, rng.integers(0, 40, n), 100_000 + np.arange(n))
    ip = [
        f"10.0.{i % 2}.{i % 200}" if r else f"172.{16 + a // 250}.{a % 250}.7"
        for i, (a, r) in enumerate(zip(own, ring, strict=True))
    ]
    table = pa.table(
        {
            "exchange_id": [f"x{i}" for i in range(n)],
            "ts": pa.array(ts, pa.timestamp("us")),
            "account_id": [f"a{a:04d}" for a in own],
            "template_id": pa.array(template, pa.uint64()),
            "prompt_id": pa.array(prompt, pa.uint64()),
            "client_ip": ip,
            "system_hash": pa.nulls(n, pa.uint64()),
            "user_agent": [f"agent {a}" for a in own],
            "turn": pa.array(np.zeros(n), pa.int16()),
            "input_tokens": pa.array(rng.poisson(300, n), pa.int32()),
            "output_tokens": pa.array(rng.poisson(np.where(ring, 3000, 300)), pa.int32()),
            "reasoning_tokens": pa.array(rng.poisson(np.where(ring, 900, 20)), pa.int32()),
            "cached_tokens": pa.array(np.zeros(n), pa.int32()),
            "max_tokens": pa.nulls(n, pa.int32()),
            "temperature": pa.nulls(n, pa.float32()),
            "elicitation": pa.array(np.where(ring, 0.9, 0.1), pa.float32()),
            "tools_count": pa.array(np.zeros(n), pa.int16()),
            "stream": pa.array([True] * n),
            "n": pa.array(np.ones(n), pa.int16()),
            "task": ["chat"] * n,
        }
    )
    (folder / "exchanges").mkdir(parents=True)
    pq.write_table(table, folder / "exchanges" / "part-0000.parquet")
    cards = ["the ring's" if planted and a >= HONEST else f"card {a}" for a in range(accounts)]
    facts = {
        "account_id": [f"a{a:04d}" for a in range(accounts)],
        "payment_fingerprint": cards,
        "device_fingerprint": cards,
    }
    pq.write_table(pa.table(facts), folder / "accounts.parquet")
    return folder


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    folder = tmp_path_factory.mktemp("planted")
    return open_log(write(folder / "log", 1, planted=True), write(folder / "attack_free", 2, planted=False))


@pytest.fixture(scope="module")
def random(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    folder = tmp_path_factory.mktemp("random")
    return open_log(write(folder / "log", 3, planted=False), write(folder / "attack_free", 2, planted=False))


@pytest.mark.parametrize("method", [infrastructure, projection, synchrony, densest, discrepancy])
def test_a_planted_group_ranks_above_every_honest_account(method, planted: Logged) -> None:  # type: ignore[no-untyped-def]
    score = method(planted).score
    assert score[HONEST:].min() > score[:HONEST].max()


@pytest.mark.parametrize("method", [infrastructure, synchrony, densest])
def test_half_of_the_planted_accounts_are_in_groups_of_their_own(method, planted: Logged) -> None:  # type: ignore[no-untyped-def]
    ring = set(range(HONEST, HONEST + PLANTED))
    groups = [set(g.tolist()) for g in method(planted).groups or []]
    own = [g & ring for g in groups if len(g & ring) >= 0.8 * len(g)]
    assert len(set().union(*own)) >= 0.5 * PLANTED


def test_the_projection_keeps_only_pairs_above_its_percentile_and_only_planted_ones(planted: Logged) -> None:
    # Its threshold is a percentile: if only the planted accounts are similar, most of their pairs are dropped too.
    held = [a for g in projection(planted).groups or [] for a in g.tolist()]
    assert len(held) < PLANTED and all(a >= HONEST for a in held)


@pytest.mark.parametrize("method", [infrastructure, projection, synchrony, densest])
def test_accounts_that_share_nothing_are_in_no_group(method, random: Logged) -> None:  # type: ignore[no-untyped-def]
    ranking = method(random)
    assert ranking.groups == [] and np.isneginf(ranking.score).all()


def test_honest_exchanges_are_equally_distant_in_two_attack_free_logs(random: Logged) -> None:
    score = discrepancy(random).score
    assert np.isfinite(score).all() and abs(np.median(score)) < 1 and score.max() < 8


def test_volume_counts_requests_and_scores_zero_for_silent_accounts(tmp_path: Path) -> None:
    folder = write(tmp_path / "log", 4, planted=True)
    accounts = pq.read_table(folder / "accounts.parquet")
    more = pa.table({c: ["silent"] for c in accounts.column_names})
    pq.write_table(pa.concat_tables([accounts, more]), folder / "accounts.parquet")
    assert volume(open_log(folder)).score.tolist() == [float(SENT)] * (HONEST + PLANTED) + [0.0]


def test_every_baseline_is_deterministic(planted: Logged) -> None:
    for name, method in BASELINES.items():
        first, second = method(planted), method(planted)
        assert first.score.shape == (HONEST + PLANTED,), name
        np.testing.assert_array_equal(first.score, second.score, err_msg=name)


def test_accounts_are_numbered_in_the_order_of_their_ids(planted: Logged) -> None:
    rows = planted.base.execute("SELECT account_id FROM accounts ORDER BY number").fetchall()
    assert [r[0] for r in rows] == planted.ids == sorted(planted.ids)
    assert isinstance(planted.base, duckdb.DuckDBPyConnection)


def test_peeling_keeps_the_dense_corner() -> None:
    # Accounts 0..3 use attributes 0..3 all; accounts 4..13 one attribute each of their own.
    left = np.r_[np.repeat(np.arange(4), 4), np.arange(4, 14)]
    right = np.r_[np.tile(np.arange(4), 4), np.arange(4, 14)]
    kept, density = peel(left, right, np.ones(len(left)))
    assert np.flatnonzero(kept[0]).tolist() == [0, 1, 2, 3] and np.flatnonzero(kept[1]).tolist() == [0, 1, 2, 3]
    assert density == pytest.approx(16 / 8)


def test_levels_equal_those_of_brute_force_single_linkage() -> None:
    rng = np.random.default_rng(5)
    size, pairs = 30, 60
    left, right = rng.integers(0, size, (2, pairs))
    keep = left != right
    left, right, alike = left[keep], right[keep], rng.random(int(keep.sum()))
    found = levels(size, left, right, alike)
    for account in range(size):
        reached = [line for line in alike if any(account in g for g in components(size, left, right, alike >= line))]
        assert found[account] == max(reached, default=-np.inf)
