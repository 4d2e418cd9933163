"""Real logs that nobody here wrote, from file to verdict. The figures are told in docs/real-data.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from clonewatch import ScanResult
from clonewatch.lab.simulate import simulate
from clonewatch.model.schema import EXCHANGES
from clonewatch.pipeline.scan import ScanSettings, scan

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
MICRO = 1_000_000
DAY = 86_400 * MICRO
# Any day will do; the traces count from their own start.
EPOCH = 20_550 * DAY

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"the real data sets are not beside the checkout: {DATA.name}"
)


def data(name: str) -> Path:
    path = DATA / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"{path.name} is not in {DATA.name}")
    return path


def mapped(name: str, example: str) -> ScanResult:
    return scan(ScanSettings(paths=(str(data(name)),), mapping=str(ROOT / "examples" / f"{example}.toml"), threads=2))


def flagged(found: ScanResult) -> dict[str, set[str]]:
    """Accounts of every flagged campaign."""
    wanted = [r["campaign_id"] for r in found.tables["campaigns"].to_pylist() if r["flagged"]]
    members = found.tables["members"].to_pylist()
    return {c: {r["account_id"] for r in members if r["campaign_id"] == c} for c in wanted}


# ---- coordination that was there -----------------------------------------------------------------------------------


def test_the_ring_of_ten_reviewers_is_found_among_four_hundred_thousand() -> None:
    labels = pq.read_table(data("coord_elastic_anonreviews"), columns=["reviewerId", "ring"])
    ring = {str(a) for a in np.unique(labels["reviewerId"].to_numpy()[labels["ring"].to_numpy(zero_copy_only=False)])}
    assert len(ring) == 10
    found = mapped("coord_elastic_anonreviews", "review_ring")
    campaigns = list(flagged(found).values())
    assert ring in campaigns
    assert sum(len(c - ring) for c in campaigns) <= 5
    assert found.summary["counts"]["accounts"] > 400_000


def test_coordinated_retweets_meet_far_more_often_than_chance() -> None:
    found = mapped("coord_russian_retweets", "retweets")
    null = next(c["rows"] for c in found.summary["chance"] if c["signal"] == "synchrony")
    assert {row["scale_seconds"] for row in null} >= {600, 3600}
    for row in null:
        assert row["pairs"] >= 40 and row["pairs"] > 20 * max(row["null_pairs"], 1)
    assert found.tables["campaigns"].num_rows >= 3
    assert {r["signal"] for r in found.tables["evidence"].to_pylist() if r["kind"] == "link"} >= {"synchrony"}


# ---- honest traffic ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "example", "accounts"),
    [
        ("trace_ragpulse", "ragpulse", 3000),
        ("trace_claude_code_sessions", "claude_code", 500),
        ("trace_mooncake", "mooncake", 2),
    ],
)
def test_honest_serving_traces_raise_no_flag(name: str, example: str, accounts: int) -> None:
    found = mapped(name, example)
    assert found.summary["counts"]["accounts"] >= accounts and found.summary["counts"]["rejected"] == 0
    assert flagged(found) == {}


def arrivals(days: int, most: int, seed: int) -> pa.Table:
    """Requests of real API tenants, drawn from their measured rates: one account a tenant.

    The rates are requests a second in windows of ten minutes; the draw is Poisson inside a window, thinned so that at
    most about so many requests are left.
    """
    table = pq.read_table(data("trace_servegen_client_rates"), columns=["category", "model", "client", "t_s", "rate"])
    table = table.filter(pc.less(table["t_s"], days * 86_400))
    names = [f"{m}-{c}" for m, c in zip(table["model"].to_pylist(), table["client"].to_pylist(), strict=True)]
    rate = np.nan_to_num(table["rate"].to_numpy().astype(np.float64))
    draw = np.random.default_rng(seed)
    expected = rate * 600
    count = draw.poisson(expected * min(1.0, most / expected.sum()))
    window = np.repeat(np.arange(len(count)), count)
    ts = EPOCH + ((table["t_s"].to_numpy()[window] + draw.uniform(0, 600, len(window))) * MICRO).astype(np.int64)
    return pa.table(
        {
            "exchange_id": [f"r{i}" for i in range(len(window))],
            "ts": pa.array(ts, pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            "account_id": pa.array(np.array(names, object)[window], pa.string()),
            "model": pa.array(np.array(table["model"].to_pylist(), object)[window], pa.string()),
        }
    )


def test_a_crowd_under_a_news_shock_raises_no_flag_and_no_question() -> None:
    """22,031 people comment on the same events in the same hours, in the same words at times."""
    found = mapped("crowd_news_comments", "news_comments")
    assert found.summary["counts"]["accounts"] == 22_031
    assert not flagged(found) and not found.review.num_rows


def test_real_api_tenants_raise_no_flag(tmp_path: Path) -> None:
    log = arrivals(days=2, most=250_000, seed=11)
    assert 150_000 < log.num_rows < 300_000 and len(log["account_id"].unique()) > 200
    pq.write_table(log, tmp_path / "log.parquet")
    found = scan(ScanSettings(paths=(str(tmp_path / "log.parquet"),), threads=2))
    assert found.summary["counts"]["kept"] == log.num_rows
    assert flagged(found) == {}


# ---- a made-up campaign among real traffic -------------------------------------------------------------------------


def honest() -> pa.Table:
    """Real sessions of a retrieval service and real API tenants, with what they sent as far as it is known."""
    rag = pq.read_table(data("trace_ragpulse"), columns=["session_id", "ts_s", "in_tokens", "out_tokens"])
    ts = EPOCH + (rag["ts_s"].to_numpy() * MICRO).astype(np.int64)
    sessions = pa.table(
        {
            "exchange_id": [f"q{i}" for i in range(rag.num_rows)],
            "ts": pa.array(ts, pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            "account_id": rag["session_id"].cast(pa.string()),
            "input_tokens": rag["in_tokens"].cast(pa.int32()),
            "output_tokens": rag["out_tokens"].cast(pa.int32()),
        }
    )
    return pa.concat_tables([sessions, arrivals(days=7, most=60_000, seed=12)], promote_options="default")


def among_real(folder: Path, trusted: int) -> tuple[set[str], set[str], ScanResult]:
    """A campaign and its bystanders from the lab, on one clock with real traffic.

    trusted: every so-manyth real account is trusted by the operator; 0 for none of them.
    Returns the campaign's accounts, the accused ones, and the scan.
    """
    simulate("s01_shared_cards", folder / "lab", seed=3, scale=0.1)
    made = pq.read_table(folder / "lab" / "exchanges")
    ts = made["ts"].cast(pa.int64()).to_numpy()
    stamps = pa.array(ts - ts.min() + EPOCH).cast(pa.timestamp("us", tz="UTC"))
    made = made.set_column(made.column_names.index("ts"), "ts", stamps)
    real = honest()
    log = pa.concat_tables([made, real], promote_options="permissive")
    pq.write_table(log.select([n for n in EXCHANGES.names if n in log.column_names]), folder / "log.parquet")
    facts = pq.read_table(folder / "lab" / "accounts.parquet")
    names = real["account_id"].unique().sort()
    known = pa.array([bool(trusted) and i % trusted == 0 for i in range(len(names))])
    book = pa.concat_tables([facts, pa.table({"account_id": names, "anchor": known})], promote_options="default")
    pq.write_table(book, folder / "accounts.parquet")
    found = scan(ScanSettings(paths=(str(folder / "log.parquet"),), accounts=folder / "accounts.parquet", threads=2))
    truth = pq.read_table(folder / "lab" / "labels" / "accounts.parquet").to_pylist()
    members = {r["account_id"] for r in truth if r["role"] == "member"}
    return members, set().union(*flagged(found).values()), found


def test_a_made_up_campaign_is_found_among_real_traffic(tmp_path: Path) -> None:
    members, accused, found = among_real(tmp_path, trusted=4)
    assert found.summary["counts"]["accounts"] > 4000
    assert len(accused & members) >= 0.8 * len(members)
    assert len(accused - members) <= 0.1 * len(accused)


def test_accounts_of_which_nothing_is_known_do_not_hide_a_campaign(tmp_path: Path) -> None:
    members, accused, _ = among_real(tmp_path, trusted=0)
    assert len(accused & members) >= 0.8 * len(members)
