"""Individuality: people and firms have habits; a dispatcher's accounts have none, nor has a real ring."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from clonewatch.behaviour.tests.individuality import FEATURES, Individuality, added_up, individuality, sampled

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
DAYS = 20


def habits(rng: np.random.Generator, size: int, own: float, volumes: float = 1.0) -> list[np.ndarray]:
    """Exchanges of accounts that choose one of their three topics with this chance, else any of 50."""
    volume = np.exp(rng.normal(2.5, volumes, size)).astype(int) + 2
    who = np.repeat(np.arange(size), volume)
    mine = rng.integers(50, size=(size, 3))[who, rng.integers(3, size=len(who))]
    topic = np.where(rng.random(len(who)) < own, mine, rng.integers(50, size=len(who)))
    return [who, rng.integers(DAYS, size=len(who)), topic]


def measured(rows: list[np.ndarray]) -> Individuality:
    found, n = np.unique(np.column_stack(rows), axis=0, return_counts=True)
    result = individuality(found[:, 0], found[:, 1], found[:, 2], n)
    assert result is not None
    return result


def bits(rows: list[np.ndarray]) -> float:
    return measured(rows).bits


@pytest.mark.parametrize("size", [12, 60, 300])
@pytest.mark.parametrize("volumes", [0.1, 1.5])
def test_a_dispatchers_accounts_have_no_habits_however_unequal_their_shares(size: int, volumes: float) -> None:
    rng = np.random.default_rng(size)
    dealt = measured(habits(rng, size, own=0.0, volumes=volumes))
    assert abs(dealt.bits) < max(0.1, 2 * dealt.error) and dealt.error < 1.0
    assert bits(habits(rng, size, own=0.6, volumes=volumes)) > 1.5


def test_an_event_of_one_day_is_no_habit() -> None:
    rng = np.random.default_rng(1)
    who, day, topic = habits(rng, 40, own=0.6)
    alike = rng.random(len(who)) < 0.5
    event = [who, day, np.where(alike, 100 + day, topic)]
    assert bits(event) > 1.0


def test_one_busy_day_weighs_no_more_than_a_quiet_one() -> None:
    rng = np.random.default_rng(2)
    who, day, topic = habits(rng, 40, own=0.6)
    busy = [np.concatenate([a, np.full(5000, b)]) for a, b in ((who, 0), (day, 0), (topic, 7))]
    assert abs(bits(busy) - bits([who, day, topic])) < 0.3


def test_accounts_seen_on_one_day_only_say_nothing() -> None:
    ones = np.ones(30, np.int64)
    assert individuality(np.arange(30), ones, np.arange(30) % 4, ones) is None


def values(groups: dict[int, dict[int, list[np.ndarray]]]) -> pa.Table:
    """Rows of `self_values`. groups: cluster -> feature -> exchanges."""
    parts = []
    for cluster, features in groups.items():
        for feature, rows in features.items():
            found, n = np.unique(np.column_stack(rows), axis=0, return_counts=True)
            names = ("entity", "day", "value")
            columns = {name: found[:, i] for i, name in enumerate(names)}
            parts.append(pa.table({"cluster": [cluster] * len(n), "feature": [feature] * len(n), **columns, "n": n}))
    return pa.concat_tables(parts)


def test_a_group_that_lacks_what_the_others_show_stays_neutral() -> None:
    rng = np.random.default_rng(3)
    whole = {feature: habits(rng, 20, own=0.5) for feature in range(len(FEATURES))}
    few = {0: habits(rng, 20, own=0.0)}
    assert added_up(values({1: whole, 2: whole, 3: few}))["cluster"].to_pylist() == [1, 2]


def test_a_feature_that_the_log_lacks_is_left_out_for_all() -> None:
    rng = np.random.default_rng(4)
    found = added_up(values({c: {f: habits(rng, 20, own=0.5 * (c == 1)) for f in (2, 3)} for c in (1, 2)}))
    assert found["cluster"].to_pylist() == [1, 2] and found["value"][0].as_py() < found["value"][1].as_py() <= 0


def test_one_feature_alone_gives_no_row() -> None:
    rng = np.random.default_rng(5)
    assert added_up(values({c: {3: habits(rng, 20, own=0.5)} for c in (1, 2)})).num_rows == 0


def test_a_log_without_any_feature_gives_no_row() -> None:
    empty = pa.table({name: pa.array([], pa.int64()) for name in ("cluster", "feature", "entity", "day", "value", "n")})
    assert added_up(empty).num_rows == 0


def test_a_large_group_is_compared_by_a_sample_spread_over_its_entities() -> None:
    groups = pa.table({"cluster": np.repeat([1, 2], [5000, 8]), "entity": np.arange(5008)})
    kept = sampled(groups)
    one = kept.filter(pc.equal(kept["cluster"], 1))["entity"].to_numpy()
    assert len(one) == 300 and np.diff(one).max() <= 18 and kept.num_rows == 308


@pytest.mark.skipif(not DATA.is_dir(), reason="no folder shared/data beside the checkout")
def test_a_real_ring_of_reviewers_has_no_habits_and_honest_reviewers_have() -> None:
    table = pq.read_table(DATA / "coord_elastic_anonreviews.parquet")
    ring = np.asarray(table["ring"].to_numpy(zero_copy_only=False), bool)
    account, vendor = (
        table[c].combine_chunks().dictionary_encode().indices.to_numpy() for c in ("reviewerId", "vendorId")
    )
    day = table["ts"].to_numpy() // 86_400
    busy = np.bincount(account) >= 8
    honest = busy[account] & ~ring
    assert abs(bits([account[ring], day[ring], vendor[ring]])) < 0.2
    assert bits([account[honest], day[honest], vendor[honest]]) > 2.0


@pytest.mark.skipif(not DATA.is_dir(), reason="no folder shared/data beside the checkout")
def test_a_real_crowd_under_a_news_shock_keeps_its_habits() -> None:
    table = pq.read_table(DATA / "crowd_news_comments.parquet")
    account, media = (table[c].combine_chunks().dictionary_encode().indices.to_numpy() for c in ("account", "media"))
    hours = pc.strptime(table["ts"], "%Y-%m-%d %H:%M:%S", "s").cast(pa.int64()).to_numpy() // 3600
    assert bits([account, hours // 24, media]) > 2.0
    assert bits([account, hours // 24, hours % 24 // 3]) > 0.3
