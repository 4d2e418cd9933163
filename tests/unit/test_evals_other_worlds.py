"""The second generator: its processes, its harvests, and logs that a scan can read."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # evals is no part of the installed package

from evals import other_worlds  # noqa: E402
from evals.second_generator.campaigns import FAMILIES  # noqa: E402
from evals.second_generator.other_world import TASKS as MADE  # noqa: E402
from evals.second_generator.parameters import draw_parameters  # noqa: E402
from evals.second_generator.processes import DAY, Urn, Visitors, hawkes, renewal, turns  # noqa: E402

from clonewatch.model.schema import ACCOUNTS, EXCHANGES, TASKS  # noqa: E402

SMALL = 0.15


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One small world of every family, and one without a campaign; a seed no figure is reported on."""
    folder = tmp_path_factory.mktemp("worlds")
    for family in [*FAMILIES, "quiet"]:
        other_worlds.make(family, 5, SMALL, folder / family)
    return {family: folder / family for family in [*FAMILIES, "quiet"]}


def rows(log: Path, table: str) -> pa.Table:
    return pq.read_table(log / table)


def of_harvest(log: Path) -> pa.Table:
    exchanges = rows(log, "exchanges")
    return exchanges.filter(
        pc.is_in(exchanges["exchange_id"], rows(log, "labels/exchanges.parquet")["exchange_id"].combine_chunks())
    )


def roles(log: Path) -> dict[str, str]:
    labels = rows(log, "labels/accounts.parquet")
    return dict(zip(labels["account_id"].to_pylist(), labels["role"].to_pylist(), strict=True))


# ---- processes -----------------------------------------------------------------------------------------------------


def test_the_urn_has_the_number_of_dishes_that_pitman_and_yor_predict() -> None:
    discount, strength, n = 0.6, 30.0, 4000
    counts = [len(set(Urn(np.random.default_rng(s), discount, strength).draw(n).tolist())) for s in range(5)]
    # E[K] = theta/d * (prod_{i<n} (theta+d+i)/(theta+i) - 1)
    i = np.arange(n)
    expected = strength / discount * (np.exp(np.log((strength + discount + i) / (strength + i)).sum()) - 1)
    assert np.mean(counts) == pytest.approx(expected, rel=0.06)


def test_an_urn_with_a_base_draws_its_dishes_from_there() -> None:
    rng = np.random.default_rng(1)
    base = Urn(rng, 0.3, 2.0)
    first, second = Urn(rng, 0.3, 5.0, base=base), Urn(rng, 0.3, 5.0, base=base)
    assert set(first.draw(300).tolist()) & set(second.draw(300).tolist())


def test_visits_are_self_exciting_and_have_the_requested_volume() -> None:
    rng = np.random.default_rng(3)
    parameters = draw_parameters(rng)
    parameters = type(parameters)(**(parameters.__dict__ | {"excitation": 0.5, "weekend": 1.0, "lag_seconds": 30.0}))
    n, days = 200, 20
    visitors = Visitors(np.full(n, 6.0), np.zeros(n), np.full(n, days * DAY), np.zeros(n), np.full(n, 0.5))
    row, ts, session, turn = hawkes(rng, parameters, visitors)
    assert len(ts) / (n * days) == pytest.approx(6.0, rel=0.1)
    assert Counter(session.tolist()).most_common(1)[0][1] > 5
    own = ts[np.lexsort((ts, row))]
    gaps = np.diff(own)
    gaps = gaps[(gaps > 0) & (gaps < DAY)]
    assert gaps.std() / gaps.mean() > 1.3
    assert turn.min() == 0 and (turn[turns(session) == 0] == 0).all()


def test_renewals_range_from_bursty_to_regular() -> None:
    rng = np.random.default_rng(4)
    loose, tight = (np.diff(renewal(rng, 3000, 0.0, DAY, shape)) for shape in (0.5, 6.0))
    assert loose.std() / loose.mean() > 1.5 and tight.std() / tight.mean() < 0.3


def test_parameters_differ_between_seeds() -> None:
    drawn = [draw_parameters(np.random.default_rng(s)) for s in range(60)]
    shares = [one.trusted_share for one in drawn]
    assert min(shares) >= 0.03 and max(shares) <= 0.40 and max(shares) > 4 * min(shares)
    assert len({law.days for law in drawn}) > 10


# ---- logs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [*FAMILIES, "quiet"])
def test_a_log_has_the_columns_and_types_of_the_schema(logs: dict[str, Path], family: str) -> None:
    exchanges, accounts = rows(logs[family], "exchanges"), rows(logs[family], "accounts.parquet")
    assert set(exchanges.column_names) <= set(EXCHANGES.names) and set(accounts.column_names) <= set(ACCOUNTS.names)
    assert {"exchange_id", "ts", "account_id"} <= set(exchanges.column_names)
    assert len(pc.unique(exchanges["exchange_id"])) == exchanges.num_rows > 500
    assert set(pc.unique(exchanges["account_id"]).to_pylist()) <= set(accounts["account_id"].to_pylist())
    if "latency_ms" in exchanges.column_names:
        assert exchanges["latency_ms"].type == pa.int32() and pc.min(exchanges["latency_ms"]).as_py() > 0
    assert set(accounts["account_id"].to_pylist()) == roles(logs[family]).keys()
    if "created_at" in accounts.column_names:
        opened = dict(
            zip(accounts["account_id"].to_pylist(), accounts["created_at"].cast(pa.int64()).to_pylist(), strict=True)
        )
        sent = exchanges.group_by("account_id").aggregate([("ts", "min")]).to_pydict()
        early = [
            a for a, t in zip(sent["account_id"], sent["ts_min"], strict=True) if t.timestamp() * 1e6 < opened[a] - 1
        ]
        assert not early


@pytest.mark.parametrize("family", list(FAMILIES))
def test_exactly_the_harvested_exchanges_are_labelled(logs: dict[str, Path], family: str) -> None:
    role, harvest = roles(logs[family]), of_harvest(logs[family])
    assert harvest.num_rows == rows(logs[family], "labels/exchanges.parquet").num_rows > 100
    senders = Counter(role[a] for a in harvest["account_id"].to_pylist())
    assert set(senders) <= ({"member", "victim"} if family == "stolen_keys" else {"member"})
    campaigns = {
        r["campaign_id"] for r in rows(logs[family], "labels/accounts.parquet").to_pylist() if r["role"] == "member"
    }
    assert campaigns == {family}
    assert list(role.values()).count("member") >= 2


def test_an_attack_free_world_has_no_member_and_no_harvest(logs: dict[str, Path]) -> None:
    assert "member" not in roles(logs["quiet"]).values()
    assert rows(logs["quiet"], "labels/exchanges.parquet").num_rows == 0


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_world(
    tmp_path: Path, logs: dict[str, Path]
) -> None:
    other_worlds.make("slow_drip", 5, SMALL, tmp_path / "again")
    other_worlds.make("slow_drip", 6, SMALL, tmp_path / "other")
    part = Path("exchanges") / "part-0000.parquet"
    assert (tmp_path / "again" / part).read_bytes() == (logs["slow_drip"] / part).read_bytes()
    assert not set(roles(tmp_path / "other")) & set(roles(logs["slow_drip"]))


def test_operators_keep_different_columns(logs: dict[str, Path]) -> None:
    absent = [tuple(json.loads((log / "scenario.json").read_text())["absent_columns"]) for log in logs.values()]
    assert len(set(absent)) > len(absent) // 2
    for log in logs.values():
        said = json.loads((log / "scenario.json").read_text())
        assert not set(said["absent_columns"]) & set(rows(log, "exchanges").column_names)


def test_tasks_are_those_of_the_schema() -> None:
    assert MADE == TASKS


# ---- kinds of harvest ----------------------------------------------------------------------------------------------


def world_of(family: str) -> tuple[Any, dict[str, np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """A world before columns are lost: the world, its log and which rows are harvest."""
    world = other_worlds.OtherWorld(7, SMALL, 1 + list(FAMILIES).index(family))
    other_worlds.populate(world)
    FAMILIES[family](world, family)
    log = {k: np.concatenate([r[k] for r in world.log]) for k in world.log[0]}
    return world, log, log["harvest"].astype(bool)


def test_a_card_farm_retries_refused_requests_on_another_account_at_once() -> None:
    _, log, harvest = world_of("card_farm")
    refused = harvest & (log["status"] == 429)
    again = np.isin(log["prompt"], log["prompt"][refused]) & harvest & (log["status"] == 200)
    assert refused.sum() > 3 and again.sum() >= 0.9 * refused.sum()


def test_mobile_rotation_uses_a_new_exit_for_every_request() -> None:
    _, log, harvest = world_of("mobile_rotation")
    first = log["account"][harvest][0]
    own = harvest & (log["account"] == first)
    assert len(set(log["net"][own].tolist())) > 0.7 * own.sum()


def test_owners_of_stolen_keys_continue_to_work() -> None:
    world, log, harvest = world_of("stolen_keys")
    victims = np.flatnonzero(world.book["role"] == "victim")
    carried = np.isin(log["account"], victims)
    assert (carried & harvest).sum() > 50 and (carried & ~harvest).sum() > 10


def test_self_play_branches_from_one_opening_into_several_long_sessions() -> None:
    _, log, harvest = world_of("self_play")
    opening = harvest & (log["turn"] == 0)
    assert max(Counter(log["prompt"][opening].tolist()).values()) >= 2
    assert log["turn"][harvest].max() >= 4


def test_preference_pairs_are_two_temperatures_of_one_prompt() -> None:
    _, log, harvest = world_of("preference_pairs")
    twice = harvest & (log["n"] == 2)
    by_prompt: dict[int, set[float]] = {}
    for p, t in zip(log["prompt"][twice].tolist(), log["temperature"][twice].tolist(), strict=True):
        by_prompt.setdefault(p, set()).add(round(t, 1))
    assert sum(len(t) == 2 for t in by_prompt.values()) > 0.8 * len(by_prompt)


def test_a_slow_drip_never_hurries() -> None:
    world, log, harvest = world_of("slow_drip")
    per_day = Counter(log["account"][harvest].tolist())
    assert np.mean(list(per_day.values())) / world.parameters.days < 2.5
    assert len(per_day) > 30


def test_weekly_pools_use_different_accounts_every_week() -> None:
    world, log, harvest = world_of("weekly_pools")
    weeks = max(2, world.parameters.days // 7)
    week = np.minimum((log["ts"][harvest] / (world.end / weeks)).astype(int), weeks - 1)
    pools = [set(log["account"][harvest][week == w].tolist()) for w in range(weeks)]
    assert all(pools) and len(set().union(*pools)) > 0.7 * sum(map(len, pools))


def test_a_curriculum_repeats_its_items() -> None:
    _, log, harvest = world_of("curriculum")
    rolls = np.array(list(Counter(log["prompt"][harvest].tolist()).values()))
    assert rolls.mean() > 2 and rolls.std() > 0.5


def test_80_percent_of_a_covert_resellers_requests_are_its_customers() -> None:
    world, log, harvest = world_of("mixed_reseller")
    members = np.isin(log["account"], np.flatnonzero(world.book["role"] == "member"))
    assert 0.1 < harvest.sum() / members.sum() < 0.5


def test_a_crowd_works_from_home_with_its_own_cards() -> None:
    world, log, harvest = world_of("crowd")
    members = np.flatnonzero(world.book["role"] == "member")
    assert len(set(log["account"][harvest].tolist())) > 5
    owners = Counter(world.book["pay"][members].tolist())
    assert max(owners.values()) <= 3


# ---- measuring -----------------------------------------------------------------------------------------------------


def test_a_run_is_scanned_scored_kept_and_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    run = other_worlds.one(other_worlds.make, "slow_drip", 5, SMALL, "here", kept)
    assert run["scores"]["counts"]["true_campaigns"] == 1 and run["world"]["harvested"] > 0
    monkeypatch.setattr(other_worlds, "fingerprint", lambda: "here")
    monkeypatch.setattr(other_worlds, "one", None)
    assert list(other_worlds.measure(other_worlds.make, [("slow_drip", 5)], SMALL, 1, kept)) == [run]
    monkeypatch.setattr(other_worlds, "fingerprint", lambda: "other source")
    assert other_worlds._kept_run(kept, "slow_drip", 5, SMALL, "other source") is None
    text = other_worlds.report([run])
    assert text.startswith("## A second simulator\n") and "| slow_drip | 5 |" in text
    assert sorted(p.name for p in kept.iterdir()) == [f"slow_drip-5-{SMALL:g}.json"]


def test_sums_count_attack_free_worlds_separately() -> None:
    def made(family: str, found: list[str], flagged: int, wrongly: dict[str, int]) -> dict[str, Any]:
        return {
            "family": family,
            "candidates": [{"roles": {"member": 1, "private": 5}}],
            "world": {"trusted": 5, "accounts": 100 if flagged else 20},
            "scores": {
                "accounts": {
                    "honest_by_role": {"private": 10},
                    "honest_flagged_by_role": wrongly,
                    "honest": 10,
                    "true_positive": 2 * len(found),
                    "false_positive": sum(wrongly.values()),
                },
                "campaigns": {"found": found, "false_alarms": []},
                "counts": {"member_accounts": 2, "flagged_campaigns": flagged},
            },
        }

    total = other_worlds.sums(
        [made("crowd", ["crowd"], 1, {}), made("quiet", [], 1, {"private": 3}), made("quiet", [], 0, {})]
    )
    assert (total["worlds"], total["found"], total["quiet_worlds"], total["quiet_worlds_with_alarm"]) == (1, 1, 2, 1)
    assert total["found_by_trusted_share"] == {"few": [1, 1], "more": [0, 0]}
    assert other_worlds.linked(made("crowd", [], 0, {})) == 0.5
    assert total["honest_flagged_by_role"] == {"private": [3, 30]} and total["quiet_honest_flagged"] == 3
