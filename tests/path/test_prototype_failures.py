"""Every failure of the study that came before this program, as a test that would have caught it.

Small logs of known truth. Where a test says that something is not flagged, another line shows that it is examined.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from clonewatch import ScanResult
from clonewatch.campaigns.fusion import measure_tests
from clonewatch.engines.duckdb import DuckDB
from clonewatch.graph import weights
from clonewatch.graph.communities import FIRST
from clonewatch.kernels.rarity import lower_tail
from clonewatch.lab import scenarios
from clonewatch.lab.lookalikes import organisations
from clonewatch.lab.simulate import simulate
from clonewatch.pipeline.detection.signals import SIGNALS, TESTS
from clonewatch.pipeline.scan import ScanSettings, scan
from clonewatch.pipeline.steps import StepRunner

START = datetime.fromisoformat("2026-05-01T00:00:00+00:00")


class World(NamedTuple):
    """A simulated log on disk and the role of every account."""

    folder: Path
    roles: dict[str, str]

    def of(self, *roles: str) -> set[str]:
        return {a for a, r in self.roles.items() if r in roles}

    @property
    def members(self) -> set[str]:
        return self.of("member")


Making = Callable[..., World]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Making:
    """Simulates a scenario, each one only once."""

    @cache
    def simulated(name: str, seed: int, scale: float) -> World:
        folder = tmp_path_factory.mktemp("world") / "log"
        simulate(name, folder, seed=seed, scale=scale)
        labels = pq.read_table(folder / "labels" / "accounts.parquet").to_pylist()
        return World(folder, {r["account_id"]: r["role"] for r in labels})

    return simulated


@pytest.fixture(scope="module")
def seen(made: Making) -> Callable[..., ScanResult]:
    """The scan of a scenario, once."""

    @cache
    def found(name: str, seed: int, scale: float) -> ScanResult:
        return scanned(made(name, seed, scale).folder)

    return found


def scanned(folder: Path, **settings: Any) -> ScanResult:
    return scan(ScanSettings(paths=(str(folder),), threads=1, **settings))


def changed(world: World, folder: Path, **tables: pa.Table | None) -> Path:
    """The log with some of its tables replaced; None drops one."""
    (folder / "exchanges").mkdir(parents=True)
    for name, place in (
        ("exchanges", "exchanges/all.parquet"),
        ("accounts", "accounts.parquet"),
        ("events", "events.parquet"),
    ):
        source = world.folder / (name if name == "exchanges" else place)
        table = tables[name] if name in tables else pq.read_table(source)
        if table is not None:
            pq.write_table(table, folder / place)
    return folder


def accused(found: ScanResult, roles: tuple[str, ...] = ("core", "fringe")) -> set[str]:
    """Accounts of flagged campaigns, in these roles."""
    flagged = {c["campaign_id"] for c in found.tables["campaigns"].to_pylist() if c["flagged"]}
    members = found.tables["members"].to_pylist()
    return {m["account_id"] for m in members if m["campaign_id"] in flagged and m["role"] in roles}


def linked(found: ScanResult) -> set[str]:
    return {m["account_id"] for m in found.tables["members"].to_pylist() if m["role"] != "proxy_customer"}


# ---- linking -------------------------------------------------------------------------------------------------------


def crowd(accounts: int, each: int = 6) -> pa.Table:
    """Accounts that all use one public template, one client and one network, and send one viral prompt."""
    size = accounts * each
    row = np.arange(size)
    second = np.random.default_rng(1).integers(0, 20 * 86_400, size)
    prompt = np.where(row % each == 0, 7, 1000 + row)
    return pa.table(
        {
            "exchange_id": [f"x{i}" for i in row.tolist()],
            "ts": pa.array([START + timedelta(seconds=s) for s in second.tolist()], pa.timestamp("us", tz="UTC")),
            "account_id": [f"a{i}" for i in (row // each).tolist()],
            "client_ip": ["192.0.2.7"] * size,
            "user_agent": ["agent/1"] * size,
            "template_id": pa.array(np.full(size, 5), pa.uint64()),
            "prompt_id": pa.array(prompt, pa.uint64()),
            "cell": pa.array(row % 50, pa.int32()),
        }
    )


def test_a_template_that_all_accounts_use_makes_no_pairs_of_accounts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Pair projection: 317,000 incidences became 683 million pairs, nearly all of a few popular templates."""
    rows: dict[str, int] = {}
    wrote = StepRunner.wrote

    def noted(plan: StepRunner, table: str, count: int) -> None:
        rows[table] = count
        wrote(plan, table, count)

    monkeypatch.setattr(StepRunner, "wrote", noted)
    totals = []
    for accounts in (300, 1200):
        rows.clear()
        path = tmp_path / f"{accounts}.parquet"
        pq.write_table(crowd(accounts), path)
        found = scan(ScanSettings(paths=(str(path),), threads=1))
        assert found.summary["counts"]["kept"] == accounts * 6 == rows["exchanges"]
        assert rows["carried_template"] == accounts, "the template is examined"
        assert max(rows.values()) <= 3 * rows["exchanges"], "nor are there pairs by the way"
        totals.append(sum(rows.values()))
    assert totals[1] <= 4.5 * totals[0], "four times the accounts make about four times the rows"


def with_entities(size: int, trusted: np.ndarray, carriers: int) -> StepRunner:
    """Entities of which the first ones carry one template."""
    plan = StepRunner(DuckDB(threads=1))
    entity = pa.array(range(size), pa.int32())
    columns = {"anchor": trusted.astype(np.int8), "exempt": np.zeros(size, bool), "declared": np.zeros(size, bool)}
    carried = {"entity": entity.slice(0, carriers), "attribute": [1] * carriers, "n": [5] * carriers}
    for name, table in (("entities", {"entity": entity, **columns}), ("carried_template", carried)):
        plan.engine.put(name, pa.table(table))
        plan.wrote(name, 0)
    return plan


@pytest.mark.parametrize(("fond", "kept"), [(0.20, False), (0.19, False), (0.0, True)])
def test_seven_thousand_users_of_an_agent_are_not_linked_for_one_trusted_in_a_hundred_less(
    fond: float, kept: bool
) -> None:
    """Effect gate: 19 % trusted where 20 % are is "significant" among so many, and linked the whole agent."""
    users, size = 7000, 35_000
    trusted = np.arange(size) % 5 == 0
    trusted[:users] = np.arange(users) < fond * users
    if fond == 0.19:
        assert float(lower_tail(users, int(fond * users), 0.2)) > 1.5, "significant it is"
    plan = with_entities(size, trusted, users)
    try:
        link = SIGNALS.load("template")
        plan.run(weights.rare(link, 0.2, size))
        rare = plan.engine.fetch('SELECT * FROM "rare_template"')
    finally:
        plan.engine.close()
    assert (len(weights.weigh({"template": rare}.__getitem__, [link], 0.2, size)) > 0) == kept


def test_the_largest_campaign_is_not_lost_for_being_popular(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Document frequency as rarity dropped the templates of the largest campaigns, whose recall was zero."""
    plans = scenarios.plans()
    pool = plans["s01_shared_cards"]
    plans["s01_shared_cards"] = replace(
        pool, accounts=(2400, 2400), rate=(1.5, 1.5), templates=(2, 2), paraphrase=(0, 0), per_card=(22, 28)
    )
    monkeypatch.setattr(scenarios, "plans", lambda: plans)
    simulate("s01_shared_cards", tmp_path / "log", seed=71, scale=0.1)
    labels = pq.read_table(tmp_path / "log" / "labels" / "accounts.parquet").to_pylist()
    members = {r["account_id"] for r in labels if r["role"] == "member"}
    log = pq.read_table(tmp_path / "log" / "exchanges", columns=["account_id", "template_id"])
    users = log.group_by("template_id").aggregate([("account_id", "count_distinct")]).drop_null()
    top = users.sort_by([("account_id_count_distinct", "descending")])["template_id"][0]
    fond = set(log.filter(pc.equal(log["template_id"], top))["account_id"].to_pylist())
    assert len(fond & members) > 0.9 * len(fond), "no template of the log is more popular than theirs"
    found = accused(scanned(tmp_path / "log"))
    assert len(found & members) >= 0.8 * len(members) and not found - members


def test_a_single_heavy_user_is_neither_linked_nor_flagged(made: Making, tmp_path: Path) -> None:
    """Volume as a signal: a quarter of the log from one account, steady, even and all single questions."""
    world = made("s01_shared_cards", 3, 0.03)
    log = pq.read_table(world.folder / "exchanges")
    size = log.num_rows // 3
    draw = np.random.default_rng(0)
    rows = {name: log[name].take(pa.array(draw.integers(0, log.num_rows, size))) for name in log.column_names}
    ts = log["ts"].cast(pa.int64()).to_numpy()
    steady = np.linspace(ts.min(), ts.max(), size).astype(np.int64)
    rows |= {
        "exchange_id": pa.array([f"heavy-{i}" for i in range(size)]),
        "account_id": pa.array(["heavy"] * size),
        "ts": pa.array(steady).cast(log.schema.field("ts").type),
        "turn": pa.array([0] * size, pa.int16()),
        "elicitation": pa.array([0.9] * size, pa.float32()),
        "prompt_id": pa.array(np.arange(size) + 10**15, log.schema.field("prompt_id").type),
        "cell": pa.array(np.arange(size) % 2000, pa.int32()),
    }
    own = {
        "org_id",
        "api_key_id",
        "end_user_id",
        "session_id",
        "signature_id",
        "signature_session_id",
        "client_ip",
        "user_agent",
        "tls_fingerprint",
        "sdk",
        "system_hash",
        "tools_hash",
        "template_id",
        "format_hash",
    }
    heavy = pa.table([pa.nulls(size, f.type) if f.name in own else rows[f.name] for f in log.schema], schema=log.schema)
    found = scanned(changed(world, tmp_path / "log", exchanges=pa.concat_tables([log, heavy])))
    assert found.summary["counts"]["kept"] == log.num_rows + size
    assert "heavy" not in {m["account_id"] for m in found.tables["members"].to_pylist()}
    assert accused(found) and accused(found) <= world.members


# ---- honest logs ---------------------------------------------------------------------------------------------------


HONEST = [("quiet", 4, 0.3), ("quiet", 5, 0.05), ("quiet_mixed", 3, 0.2)]


@pytest.mark.parametrize(("name", "seed", "scale"), HONEST)
def test_attack_free_logs_raise_no_flag_though_groups_are_linked(
    made: Making, seen: Callable[..., ScanResult], name: str, seed: int, scale: float
) -> None:
    """Random accounts as the null: a 3,000-seat enterprise, a batch customer and a build fleet were "significant"."""
    found = seen(name, seed, scale)
    assert accused(found) == set()
    assert linked(found), "nothing is linked, so that nothing could be flagged"
    threshold_ratios = found.tables["campaigns"]["threshold_ratio"].to_pylist()
    assert threshold_ratios and max(threshold_ratios) < 1
    customers = made(name, seed, scale).of("enterprise", "batch_customer", "ci_fleet", "coding_agent", "eval_lab")
    assert not linked(found) & customers


def test_a_customer_of_many_accounts_is_one_entity_by_declaration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ownership collapse switched off: the batch customer was flagged in every log."""
    monkeypatch.setitem(scenarios.LOOKALIKES, "batch_customer", (organisations.batch_customer, 30, 30, 30))
    simulate("quiet", tmp_path / "log", seed=4, scale=0.1)
    labels = pq.read_table(tmp_path / "log" / "labels" / "accounts.parquet").to_pylist()
    world = World(tmp_path / "log", {r["account_id"]: r["role"] for r in labels})
    accounts = pq.read_table(world.folder / "accounts.parquet")
    batch = world.of("batch_customer")
    mine = pc.is_in(accounts["account_id"], pa.array(sorted(batch)))

    def told(**facts: Any) -> Path:
        """The same accounts, none of the customer's trusted, with other facts about them."""
        table = accounts
        for name, value in {"anchor": False, **facts}.items():
            field = table.schema.field(name)
            column = pc.if_else(mine, pa.scalar(value, field.type), table[name])
            table = table.set_column(table.column_names.index(name), field, column)
        return changed(world, tmp_path / "-".join(facts or ["declared"]), accounts=table)

    assert len(batch) >= 20
    assert not linked(scanned(told())) & batch
    hidden = scanned(told(org_declared=False))
    assert len(linked(hidden) & batch) > len(batch) / 2, "collapse is what keeps them apart from a pool"


# ---- missing values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TESTS.names())
def test_a_missing_statistic_is_neutral_and_hides_no_other(name: str) -> None:
    """A missing value scored as zero read as six sigma; a single NaN silenced every alarm of 25 days."""
    test = TESTS.load(name)
    numbers = [0, 1, 2, *range(FIRST, FIRST + 12)]
    loud = test.usual + 20 * max(test.spread, test.effect) if not test.in_bits else -5.0
    honest = [test.usual] * 11 + [float("nan")]
    table = pa.table(
        {
            "cluster": pa.array(numbers, pa.int32()),
            "value": pa.array([float("nan"), None, loud, *honest], pa.float64(), from_pandas=False),
            "error": [0.01] * len(numbers),
            "n": [test.least + 100] * len(numbers),
        }
    )
    readings = {r.cluster: r for r in measure_tests({name: table}, [test], FIRST)}
    assert 0 not in readings and 1 not in readings
    assert abs(readings[2].bits) > 1 and np.isfinite(readings[2].bits)


@pytest.fixture(scope="module")
def release(made: Making) -> World:
    return made("s13_release_jump", 3, 0.1)


def test_a_log_without_releases_is_judged_by_the_rest(
    release: World, seen: Callable[..., ScanResult], tmp_path: Path
) -> None:
    """Where no model came out, reaction to a release must count as neutral: not as slow, and not as quick."""
    found = seen("s13_release_jump", 3, 0.1)
    without = scanned(changed(release, tmp_path / "log", events=None))
    signals = [{e["signal"] for e in f.tables["evidence"].to_pylist()} for f in (found, without)]
    assert "release" in signals[0] and "release" not in signals[1]
    for one in (found, without):
        assert len(accused(one) & release.members) >= 0.8 * len(release.members)
        assert accused(one) <= release.members


@pytest.mark.parametrize("column", ["cell", "prompt_id"])
def test_a_log_without_a_column_flags_no_other_account(release: World, tmp_path: Path, column: str) -> None:
    log = pq.read_table(release.folder / "exchanges")
    found = scanned(changed(release, tmp_path / "log", exchanges=log.drop_columns([column])))
    assert accused(found) <= release.members
    assert all(np.isfinite(c["threshold_ratio"]) for c in found.tables["campaigns"].to_pylist())


# ---- membership ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cover", [0.0, 0.9, 0.97])
def test_customers_of_a_proxy_are_never_members_however_much_cover_it_mixes_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cover: float
) -> None:
    """Unstable membership: at 97 % cover all 300 users of the proxy's network became members."""
    plans = scenarios.plans()
    plans["s02_mixing_proxy"] = replace(plans["s02_mixing_proxy"], cover=(cover, cover))
    monkeypatch.setattr(scenarios, "plans", lambda: plans)
    simulate("s02_mixing_proxy", tmp_path / "log", seed=7, scale=0.15)
    labels = pq.read_table(tmp_path / "log" / "labels" / "accounts.parquet").to_pylist()
    roles = {r["account_id"]: r["role"] for r in labels}
    result = scanned(tmp_path / "log")
    found = accused(result)
    members = {a for a, r in roles.items() if r == "member"}
    customers = {a for a, r in roles.items() if r == "proxy_customer"}
    log = pq.read_table(tmp_path / "log" / "exchanges", columns=["account_id", "client_ip"]).to_pylist()
    exits = {row["client_ip"] for row in log if row["account_id"] in members}
    assert {row["account_id"] for row in log if row["client_ip"] in exits} & customers, "they share the proxy's network"
    assert not found & customers
    assert not found - members
    assert len(found) >= 0.7 * len(members)


@pytest.mark.parametrize("days", [1, 3, 12])
def test_no_honest_account_is_a_member_however_short_the_log(made: Making, days: int) -> None:
    """Users of the proxy's network were collateral after 2, 4 and 14 days of exposure, and not after 7."""
    world = made("s02_mixing_proxy", 3, 0.1)
    first = pc.min(pq.read_table(world.folder / "exchanges", columns=["ts"])["ts"]).as_py()
    found = accused(scanned(world.folder, as_of=first + timedelta(days=days)))
    assert found <= world.members
    if days >= 12:
        assert len(found) >= 0.5 * len(world.members)


# ---- scale, and what was missed ------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.03, 0.3])
def test_a_world_a_tenth_as_large_gets_the_same_verdict(
    made: Making, seen: Callable[..., ScanResult], scale: float
) -> None:
    """Calibration did not transfer: at a tenth of the size growth ran away, and 427 honest accounts were flagged."""
    world, found = made("s01_shared_cards", 3, scale), seen("s01_shared_cards", 3, scale)
    told = found.tables["campaigns"].to_pylist()
    assert [c["flagged"] for c in told].count(True) == 1
    assert accused(found) <= world.members
    assert len(accused(found)) >= 0.9 * len(world.members)


def test_growth_does_not_run_away_where_a_stealthy_campaign_is_small(
    made: Making, seen: Callable[..., ScanResult]
) -> None:
    world, found = made("s04_stealth", 3, 0.1), seen("s04_stealth", 3, 0.1)
    assert accused(found) <= world.members and len(accused(found)) >= 0.5 * len(world.members)
    told = accused(found, ("core", "fringe", "proxy_customer"))
    assert len(told - world.members) <= 0.01 * len(world.roles) + 2, "even those named as customers are few"


@pytest.mark.parametrize("seed", [3, 4])
def test_a_campaign_that_mimics_an_agent_is_found(made: Making, seen: Callable[..., ScanResult], seed: int) -> None:
    """The mimic was found in two of five logs, and every honest user of the agent is one of its look-alikes."""
    world, found = made("s05_agent_mimic", seed, 0.3), seen("s05_agent_mimic", seed, 0.3)
    assert len(accused(found) & world.members) >= 0.8 * len(world.members)
    assert not accused(found) - world.members
    agent = world.of("coding_agent")
    assert len(agent) >= 20 and not accused(found, ("core", "fringe", "proxy_customer")) & agent
