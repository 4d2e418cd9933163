"""Campaigns of the laboratory in traces: one clock, labels for everybody, look-alikes only when asked for."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # evals is no part of the installed package

from evals import semi_synthetic  # noqa: E402

from clonewatch.model.schema import ACCOUNTS, EXCHANGES  # noqa: E402

WEEK = 7 * 86_400


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small made-up files of the shape of the real traces, so that this needs none of them."""
    folder = tmp_path_factory.mktemp("traces")
    rng = np.random.default_rng(1)
    n = 200
    pq.write_table(
        pa.table(
            {
                "session_id": [f"s{i // 2}" for i in range(n)],
                "ts_s": np.sort(rng.uniform(0, WEEK, n)),
                "in_tokens": rng.integers(100, 4000, n),
                "out_tokens": rng.integers(10, 400, n),
                "sys_prompt": [[1, 2]] * n,
                "user_input": [[int(i)] if i % 5 else [] for i in rng.integers(0, 90, n)],
            }
        ),
        folder / "trace_ragpulse.parquet",
    )
    clients, windows = 4, 14 * 144
    pq.write_table(
        pa.table(
            {
                "model": ["m-small"] * (clients * windows),
                "client": np.repeat(np.arange(clients), windows),
                "t_s": np.tile(np.arange(windows) * 600, clients),
                "rate": rng.gamma(1, 0.01, clients * windows),
            }
        ),
        folder / "trace_servegen_client_rates.parquet",
    )
    pq.write_table(
        pa.table(
            {
                "trace": [f"t{i // 40}" for i in range(n)],
                "t": np.tile(np.arange(40.0) * 20, 5),
                "model": ["m"] * n,
                "in_tokens": rng.integers(1000, 9000, n),
                "out_tokens": rng.integers(10, 400, n),
                "session_dup_group": np.repeat([1, 2, 2, 3, 4], 40),
            }
        ),
        folder / "trace_claude_code_sessions.parquet",
    )
    return folder


def test_the_log_contains_the_campaign_and_the_traces_on_one_time_axis(tmp_path: Path, traces: Path) -> None:
    out = tmp_path / "log"
    said = semi_synthetic.make("s01_shared_cards", 5, 0.1, out, data=traces, lookalikes=False)
    log, book = pq.read_table(out / "exchanges"), pq.read_table(out / "accounts.parquet")
    labels = pq.read_table(out / "labels" / "accounts.parquet")
    assert set(log.column_names) <= set(EXCHANGES.names) and set(book.column_names) <= set(ACCOUNTS.names)
    assert set(labels["role"].to_pylist()) <= {"member", "proxy_customer", "real"}
    assert set(pc.unique(log["account_id"]).to_pylist()) <= set(labels["account_id"].to_pylist())
    assert sorted(book["account_id"].to_pylist()) == sorted(labels["account_id"].to_pylist())
    assert len(pc.unique(log["exchange_id"])) == log.num_rows == said["exchanges"]
    harvested = pq.read_table(out / "labels" / "exchanges.parquet")["exchange_id"]
    assert pc.all(pc.is_in(harvested, log["exchange_id"].combine_chunks())).as_py() and len(harvested) > 1000
    real = pc.is_in(log["account_id"], labels.filter(pc.equal(labels["role"], "real"))["account_id"].combine_chunks())
    spans = [pc.min_max(log.filter(part)["ts"].cast(pa.int64())).as_py() for part in (real, pc.invert(real))]
    overlap = min(s["max"] for s in spans) - max(s["min"] for s in spans)
    assert overlap > 0.8 * (spans[1]["max"] - spans[1]["min"])


def test_the_laboratorys_other_accounts_are_included_on_request(tmp_path: Path, traces: Path) -> None:
    few = semi_synthetic.make("s01_shared_cards", 5, 0.1, tmp_path / "a" / "log", data=traces, lookalikes=False)
    many = semi_synthetic.make("s01_shared_cards", 5, 0.1, tmp_path / "b" / "log", data=traces, lookalikes=True)
    assert many["real_accounts"] == few["real_accounts"] and many["accounts"] > few["accounts"] + 50
    roles = pq.read_table(tmp_path / "b" / "log" / "labels" / "accounts.parquet")["role"].to_pylist()
    assert len(set(roles)) > 4


def test_a_replayed_session_counts_once(traces: Path) -> None:
    found = semi_synthetic.agents(traces, np.random.default_rng(1), 0, 2)
    assert found.num_rows == 160 and set(pc.unique(found["account_id"]).to_pylist()) == {"t0", "t1", "t3", "t4"}


def test_tenants_are_thinned_and_keep_their_shares(traces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semi_synthetic, "TENANT_REQUESTS", 5_000)
    found = semi_synthetic.tenants(traces, np.random.default_rng(2), 0, 3)
    assert found.num_rows == pytest.approx(15_000, rel=0.05)
    rates = pq.read_table(traces / "trace_servegen_client_rates.parquet")
    first = rates.filter(pc.less(rates["t_s"], WEEK))
    rate, client = first["rate"].to_numpy(), first["client"].to_numpy()
    for c in range(4):
        share = pc.sum(pc.equal(found["account_id"], f"m-small-{c}")).as_py() / found.num_rows
        assert share == pytest.approx(rate[client == c].sum() / rate.sum(), abs=0.02)
    seconds = found["ts"].cast(pa.int64()).to_numpy() / 1e6
    assert seconds.min() >= 0 and seconds.max() < 3 * WEEK


def test_equal_prompts_stay_equal_and_empty_ones_are_null(traces: Path) -> None:
    found = semi_synthetic.retrieval(traces, np.random.default_rng(3), 0, 1)
    raw = pq.read_table(traces / "trace_ragpulse.parquet")["user_input"].to_pylist()
    assert found["prompt_id"].null_count == sum(not r for r in raw)
    assert len(set(found["prompt_id"].drop_null().to_pylist())) == len({tuple(r) for r in raw if r})
    assert len(set(found["system_hash"].to_pylist())) == 1


def test_sessions_keep_their_hour_and_weekday_in_any_week(traces: Path) -> None:
    once = semi_synthetic.retrieval(traces, np.random.default_rng(3), 0, 1)["ts"].cast(pa.int64()).to_numpy()
    spread = semi_synthetic.retrieval(traces, np.random.default_rng(3), 0, 4)["ts"].cast(pa.int64()).to_numpy()
    moved = (spread - once) / 1e6 / WEEK
    assert np.allclose(moved, np.round(moved)) and set(np.round(moved).astype(int).tolist()) == {0, 1, 2, 3}
