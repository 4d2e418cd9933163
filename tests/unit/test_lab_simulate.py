"""Simulated logs: shape, determinism, labels that agree with the log, and campaigns that behave as they are called."""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from clonewatch.kernels.arrow import arrow_schema
from clonewatch.lab.scenarios import LOOKALIKES, catalogue, plans
from clonewatch.lab.simulate import scenarios, simulate
from clonewatch.model.errors import OutputError, SetupError
from clonewatch.model.schema import (
    ACCOUNTS,
    CHANNELS,
    EGRESS,
    EVENT_KINDS,
    EVENTS,
    EXCHANGES,
    FINGERPRINT_COLUMNS,
    LABEL_ACCOUNTS,
    LABEL_EXCHANGES,
    OPERATIONS,
    TASKS,
)
from clonewatch.ports.progress import Silent

SMALL = 0.1


class Log:
    """A simulated log, read back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.exchanges = pq.read_table(folder / "exchanges" / "part-0000.parquet")
        self.accounts = pq.read_table(folder / "accounts.parquet")
        self.events = pq.read_table(folder / "events.parquet")
        self.labels = pq.read_table(folder / "labels" / "accounts.parquet")
        self.harvested = pq.read_table(folder / "labels" / "exchanges.parquet")
        self.said: dict[str, Any] = json.loads((folder / "scenario.json").read_text())

    def of(self, *roles: str) -> pa.Table:
        """Exchanges of accounts with one of these roles."""
        ids = self.labels.filter(pc.is_in(self.labels["role"], pa.array(roles)))["account_id"]
        return self.exchanges.filter(pc.is_in(self.exchanges["account_id"], ids.combine_chunks()))

    def harvest(self, campaign: str | None = None) -> pa.Table:
        """Harvested exchanges."""
        found = (
            self.harvested
            if campaign is None
            else self.harvested.filter(pc.equal(self.harvested["campaign_id"], campaign))
        )
        return self.exchanges.filter(pc.is_in(self.exchanges["exchange_id"], found["exchange_id"].combine_chunks()))


def made(folder: Path, name: str, **said: Any) -> Log:
    simulate(name, folder / name, **({"scale": SMALL} | said))
    return Log(folder / name)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Log]:
    """Logs by name and arguments, each simulated once."""
    folder = tmp_path_factory.mktemp("logs")

    @cache
    def kept(name: str, scale: float, seed: int, text: bool) -> Log:
        return made(folder / f"{scale}-{seed}-{text}", name, scale=scale, seed=seed, text=text)

    return lambda name, scale=SMALL, seed=0, text=False: kept(name, scale, seed, text)


@pytest.fixture(scope="module")
def demo(logs: Callable[..., Log]) -> Log:
    return logs("demo", 0.15)


def days(table: pa.Table) -> Any:
    return pc.floor_temporal(table["ts"], unit="day").cast(pa.int64()).to_numpy() // 86_400_000_000


def test_every_table_follows_the_schema(demo: Log) -> None:
    for path, table in (
        ("accounts", ACCOUNTS),
        ("events", EVENTS),
        ("labels/accounts", LABEL_ACCOUNTS),
        ("labels/exchanges", LABEL_EXCHANGES),
    ):
        known = [f for f in arrow_schema(table) if not f.name.startswith(("verified_", "verification_"))]
        assert pq.read_schema(demo.folder / f"{path}.parquet").remove_metadata().equals(pa.schema(known)), path
    wanted = {f.name: f for f in arrow_schema(EXCHANGES)}
    assert all(wanted[f.name].equals(f) for f in demo.exchanges.schema)
    lacking = {"sketch", "system_text", "messages", "response_text", "end_user_provenance"}
    assert set(wanted) - set(demo.exchanges.schema.names) == lacking


def test_exchanges_are_in_order_and_ids_are_unique(demo: Log) -> None:
    ts = demo.exchanges["ts"].cast(pa.int64()).to_numpy()
    assert (np.diff(ts) >= 0).all()
    assert len(demo.exchanges["exchange_id"].unique()) == len(demo.exchanges)


def test_words_come_from_the_agreed_lists(demo: Log) -> None:
    for column, words in (("channel", CHANNELS), ("operation", OPERATIONS), ("egress", EGRESS), ("task", TASKS)):
        assert set(demo.exchanges[column].unique().to_pylist()) <= set(words), column
    assert set(demo.events["kind"].unique().to_pylist()) <= set(EVENT_KINDS)


def test_every_exchange_belongs_to_a_labelled_account_and_every_label_to_an_account(demo: Log) -> None:
    accounts = set(demo.accounts["account_id"].to_pylist())
    assert set(demo.exchanges["account_id"].unique().to_pylist()) <= accounts
    assert demo.labels["account_id"].to_pylist() == demo.accounts["account_id"].to_pylist()


def test_harvested_exchanges_are_all_sent_by_members_of_that_campaign(demo: Log) -> None:
    owner = dict(zip(demo.labels["account_id"].to_pylist(), demo.labels["campaign_id"].to_pylist(), strict=True))
    for campaign in demo.said["campaigns"]:
        senders = demo.harvest(campaign)["account_id"].unique().to_pylist()
        assert senders and {owner[a] for a in senders} == {campaign}


def test_only_members_have_a_campaign(demo: Log) -> None:
    named = pc.is_valid(demo.labels["campaign_id"])
    assert named.to_pylist() == pc.equal(demo.labels["role"], "member").to_pylist()


def test_every_look_alike_is_there_under_its_own_name(demo: Log) -> None:
    roles = set(demo.labels["role"].to_pylist())
    assert roles >= {*LOOKALIKES, "benign", "member", "proxy_customer"}
    assert len(LOOKALIKES) >= 12


def test_every_look_alike_sends_something(demo: Log) -> None:
    assert not [r for r, n in demo.said["exchanges_by_role"].items() if n == 0]


def test_scenario_json_counts_what_is_in_the_log(demo: Log) -> None:
    assert demo.said["exchanges"] == len(demo.exchanges) == sum(demo.said["exchanges_by_role"].values())
    assert demo.said["accounts"] == len(demo.accounts) == sum(demo.said["roles"].values())
    assert sum(c["harvested"] for c in demo.said["campaigns"].values()) == len(demo.harvested)
    assert demo.said["knobs"]


def test_nobody_sends_anything_before_signing_up(demo: Log) -> None:
    born = dict(zip(demo.accounts["account_id"].to_pylist(), demo.accounts["created_at"].to_pylist(), strict=True))
    first = demo.exchanges.group_by("account_id").aggregate([("ts", "min")])
    late = [a for a, t in zip(first["account_id"].to_pylist(), first["ts_min"].to_pylist(), strict=True) if t < born[a]]
    assert late == []


def test_trusted_accounts_are_aged_honest_and_a_fair_share(demo: Log) -> None:
    table = demo.accounts.append_column("role", demo.labels["role"])
    anchors = table.filter(table["anchor"])
    start = pc.min(demo.exchanges["ts"]).as_py()
    assert all((start - c).days >= 119 for c in anchors["created_at"].to_pylist())
    assert "member" not in anchors["role"].to_pylist()
    assert 0.04 <= len(anchors) / len(table) <= 0.5


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    def digest(folder: Path) -> dict[str, str]:
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    seeds = enumerate((3, 3, 4))
    one, two, other = (made(tmp_path / str(i), "s05_agent_mimic", seed=s, scale=0.02).folder for i, s in seeds)
    assert digest(one) == digest(two)
    assert not set(digest(one).values()) & set(digest(other).values())


def test_seeds_differ_in_their_knobs(logs: Callable[..., Log]) -> None:
    knobs = [logs("s01_shared_cards", 0.02, seed=s).said["knobs"] for s in range(2)]
    differ = [k for k in knobs[0] if knobs[0][k] != knobs[1].get(k)]
    assert len(differ) > 0.5 * len(knobs[0])


def test_a_quiet_log_has_no_harvest(logs: Callable[..., Log]) -> None:
    log = logs("quiet")
    assert len(log.harvested) == 0 and "member" not in log.said["roles"]
    assert set(logs("quiet_plain").said["roles"]) == {"benign"}


@pytest.mark.parametrize("name", sorted(set(scenarios()) - {"headline", "mixed", "quiet", "quiet_plain", "demo"}))
def test_every_scenario_harvests_under_its_label(logs: Callable[..., Log], name: str) -> None:
    said = logs(name).said
    assert set(said["campaigns"]) == {label for label, _ in catalogue()[name].campaigns}
    assert all(c["harvested"] > 0 and c["accounts"] > 1 for c in said["campaigns"].values())


def test_the_headline_keeps_its_published_rates_at_any_scale(logs: Callable[..., Log]) -> None:
    said = logs("headline", 0.002).said
    campaign = said["campaigns"]["headline"]
    assert said["days"] == 44 and campaign["accounts"] == round(24_975 * 0.002)
    assert campaign["harvested"] / campaign["accounts"] / 44 == pytest.approx(26.2, rel=0.05)


def test_mixing_proxies_are_mostly_customers(logs: Callable[..., Log]) -> None:
    for name, low, high in (("s02_mixing_proxy", 0.55, 0.85), ("s03_mixing_proxy_95", 0.9, 0.98)):
        log = logs(name)
        assert low < 1 - len(log.harvested) / len(log.of("member")) < high
        proxied = set(log.of("proxy_customer")["client_ip"].unique().to_pylist())
        assert proxied & set(log.harvest()["client_ip"].unique().to_pylist())


def test_shared_cards_are_shared_and_unrelated_accounts_share_none(logs: Callable[..., Log]) -> None:
    def cards(name: str) -> float:
        log = logs(name)
        own = log.accounts.filter(pc.equal(log.labels["role"], "member"))["payment_fingerprint"]
        return len(own) / len(own.unique())

    assert cards("s01_shared_cards") > 5
    assert cards("s04_stealth") == 1


def test_rollouts_ask_each_question_eight_times_over_several_accounts(logs: Callable[..., Log]) -> None:
    harvest = logs("s06_rollouts").harvest()
    asked = harvest.group_by("prompt_id").aggregate([("exchange_id", "count"), ("account_id", "count_distinct")])
    assert np.median(asked["exchange_id_count"].to_numpy()) == 8
    assert np.median(asked["account_id_count_distinct"].to_numpy()) >= 4


def test_deduplicated_harvests_ask_nothing_twice_while_people_do(logs: Callable[..., Log]) -> None:
    log = logs("s01_shared_cards")
    answered = log.harvest().filter(pc.equal(log.harvest()["status"], 200))
    harvest, people = answered["prompt_id"], log.of("benign")["prompt_id"]
    assert len(harvest.unique()) == len(harvest)
    assert len(people.unique()) < 0.98 * len(people)


def test_failed_questions_are_asked_again_word_for_word_by_other_accounts(logs: Callable[..., Log]) -> None:
    harvest = logs("s01_shared_cards").harvest()
    failed = harvest.filter(pc.not_equal(harvest["status"], 200))
    asked = harvest.filter(pc.is_in(harvest["prompt_id"], failed["prompt_id"].combine_chunks()))
    tries = asked.group_by("prompt_id").aggregate([("exchange_id", "count"), ("account_id", "count_distinct")])
    assert len(failed) > 20
    assert np.mean(tries["exchange_id_count"].to_numpy() >= 2) > 0.9
    assert np.mean(tries["account_id_count_distinct"].to_numpy() >= 2) > 0.8


def test_the_release_jump_moves_within_a_day_and_people_do_not(logs: Callable[..., Log]) -> None:
    log = logs("s13_release_jump")
    release = log.events.filter(pc.equal(log.events["kind"], "model_release"))["ts"][0].as_py()

    def moved(table: pa.Table) -> float:
        since = pc.subtract(table["ts"], pa.scalar(release, table["ts"].type)).cast(pa.int64()).to_numpy() / 3.6e9
        new = pc.equal(table["model"], "lumen-large-4").to_numpy()
        return float(new[(since > 24) & (since < 72)].mean())

    assert moved(log.harvest()) > 0.8 > 0.3 > moved(log.of("benign"))


def test_bans_end_an_account_and_another_takes_over(logs: Callable[..., Log]) -> None:
    log = logs("s09_hydra")
    bans = log.events.filter(pc.equal(log.events["kind"], "ban"))
    members = set(log.labels.filter(pc.equal(log.labels["role"], "member"))["account_id"].to_pylist())
    bans = bans.filter(pc.is_in(bans["account_id"], pa.array(sorted(members))))
    assert len(bans) >= 10
    last = log.of("member").group_by("account_id").aggregate([("ts", "max")])
    seen = dict(zip(last["account_id"].to_pylist(), last["ts_max"].to_pylist(), strict=True))
    grace = timedelta(minutes=21)
    assert all(
        seen[a] <= t + grace
        for a, t in zip(bans["account_id"].to_pylist(), bans["ts"].to_pylist(), strict=True)
        if a in seen
    )
    active = np.unique(days(log.harvest()))
    assert len(active) > 0.8 * log.said["days"]


def test_a_banned_account_is_refused_for_a_while_and_delivers_nothing(logs: Callable[..., Log]) -> None:
    log = logs("s09_hydra")
    refused = log.exchanges.filter(pc.equal(log.exchanges["status"], 403))
    assert len(refused) > 3 and pc.max(refused["output_tokens"]).as_py() == 0
    harvested = set(log.harvested["exchange_id"].to_pylist())
    assert not harvested & set(refused["exchange_id"].to_pylist())


def test_no_single_column_gives_a_harvest_away(logs: Callable[..., Log]) -> None:
    log = logs("quiet", 0.5)
    honest = {
        c: set(log.exchanges[c].unique().to_pylist()) for c in ("egress", "channel", "model", "country", "status")
    }
    told = log.accounts
    for name in ("s01_shared_cards", "s09_hydra", "s16_human_sessions", "p2_fat_pool"):
        other = logs(name)
        for column, words in honest.items():
            assert set(other.of("member")[column].unique().to_pylist()) <= words | {403}, (name, column)
        members = other.accounts.filter(pc.equal(other.labels["role"], "member"))
        for column in ("email_domain", "email_pattern", "payment_class", "issuer_class", "programme", "phone_prefix"):
            strange = set(members[column].unique().to_pylist()) - set(told[column].unique().to_pylist())
            assert not strange, (name, column, strange)


def test_the_fat_pool_is_banned_at_mid_window_and_replaced_within_a_day(logs: Callable[..., Log]) -> None:
    log = logs("p2_fat_pool")
    harvest, half = log.harvest(), log.said["days"] // 2
    day = days(harvest) - days(log.exchanges)[0]
    sender = np.array(harvest["account_id"].to_pylist())
    before, after = set(sender[day < half - 1]), set(sender[day > half + 1])
    assert before and after and not before & after
    assert len(harvest["template_id"].unique()) == 1
    per_day = len(harvest) / log.said["days"] / len(before)
    assert 600 < per_day < 900


def test_topic_shards_keep_accounts_to_few_cells(logs: Callable[..., Log]) -> None:
    def cells(name: str) -> float:
        table = logs(name).harvest().group_by("account_id").aggregate([("cell", "count_distinct"), ("cell", "count")])
        return float(np.median(table["cell_count_distinct"].to_numpy() / table["cell_count"].to_numpy()))

    assert cells("s08_topic_sharded") < 0.5 * cells("s01_shared_cards")


def test_disjoint_cells_share_no_card_and_no_template(logs: Callable[..., Log]) -> None:
    log = logs("s12_disjoint_cells")
    harvest = log.harvest()
    cards = dict(
        zip(log.accounts["account_id"].to_pylist(), log.accounts["payment_fingerprint"].to_pylist(), strict=True)
    )
    used: dict[int, set[str]] = {}
    for account, template in zip(harvest["account_id"].to_pylist(), harvest["template_id"].to_pylist(), strict=True):
        used.setdefault(template, set()).add(account)
    widest = max(len(a) for a in used.values())
    assert widest <= log.said["campaigns"]["s12_disjoint_cells"]["accounts"] / 20 + 6
    assert len({cards[a] for a in harvest["account_id"].unique().to_pylist()}) >= 20


def test_signatures_are_redeemed_elsewhere_only_where_they_should_be(logs: Callable[..., Log]) -> None:
    log = logs("p9_signature_replay")

    def foreign(table: pa.Table) -> float:
        used = table.filter(pc.is_valid(table["signature_id"]))
        return float(pc.mean(pc.not_equal(used["signature_session_id"], used["session_id"])).as_py())

    assert foreign(log.harvest()) > 0.95
    assert foreign(log.of("benign", "coding_agent")) < 0.05


def test_aged_accounts_include_some_trusted_ones(logs: Callable[..., Log]) -> None:
    log = logs("s11_aged_accounts")
    anchors = log.accounts.filter(pc.equal(log.labels["role"], "member"))["anchor"]
    assert 0.02 < float(pc.mean(anchors).as_py()) < 0.25


def test_look_alikes_differ_in_declarations_from_harvests(demo: Log) -> None:
    table = demo.accounts.append_column("role", demo.labels["role"])
    for role in ("enterprise", "reseller", "batch_customer", "annotation_vendor", "synthetic_data_firm"):
        rows = table.filter(pc.equal(table["role"], role))
        assert all(rows["org_declared"].to_pylist()) and len(rows["org_id"].unique()) == 1
    assert all(table.filter(pc.equal(table["role"], "synthetic_data_firm"))["training_permitted"].to_pylist())
    assert not any(table.filter(pc.equal(table["role"], "member"))["org_declared"].to_pylist())


def test_unrelated_accounts_start_together_after_an_outage(logs: Callable[..., Log]) -> None:
    log = logs("quiet_plain", 0.5)
    outage = log.events.filter(pc.equal(log.events["kind"], "outage")).to_pylist()[0]
    ts = log.exchanges["ts"].cast(pa.int64()).to_numpy() / 6e7
    begin, until = (outage[k].timestamp() / 60 for k in ("ts", "until"))
    during = ((ts >= begin) & (ts < until)).sum() / (until - begin)
    rush = ((ts >= until) & (ts < until + 6)).sum() / 6
    assert rush > 3 * during


def test_text_takes_the_place_of_fingerprints(logs: Callable[..., Log]) -> None:
    log = logs("demo", 0.03, text=True)
    assert not (set(FINGERPRINT_COLUMNS) - {"tools_hash"}) & set(log.exchanges.schema.names)
    for raw in log.exchanges["messages"].to_pylist()[:500]:
        talk = json.loads(raw)
        assert talk[-1]["role"] == "user" and talk[-1]["content"].strip()
        assert "{" + "thing" not in raw and "{n}" not in raw


def test_text_repeats_where_the_ids_repeat(logs: Callable[..., Log]) -> None:
    hashed, worded = logs("s06_rollouts", 0.02), logs("s06_rollouts", 0.02, text=True)
    key = pa.array(hashed.harvested["exchange_id"].to_pylist())
    assert worded.harvested["exchange_id"].to_pylist() == key.to_pylist()
    texts = dict(
        zip(worded.exchanges["exchange_id"].to_pylist(), worded.exchanges["messages"].to_pylist(), strict=True)
    )
    harvest = hashed.harvest()
    seen: dict[tuple[int, int], set[str]] = {}
    for x, p, t in zip(*(harvest[c].to_pylist() for c in ("exchange_id", "prompt_id", "template_id")), strict=True):
        seen.setdefault((p, t), set()).add(json.loads(texts[x])[-1]["content"])
    same = [len(s) == 1 for s in seen.values()]
    assert all(same)
    questions = {json.loads(t)[-1]["content"] for t in texts.values()}
    assert len(questions) > 0.5 * len(texts)


def test_given_prompts_are_placed_with_their_owners(tmp_path: Path) -> None:
    prompts = {
        "campaign": [f"harvest number {i}" for i in range(40)],
        "honest": [f"honest number {i}" for i in range(90)],
    }
    simulate("s01_shared_cards", tmp_path / "log", scale=0.02, text=prompts)
    log = Log(tmp_path / "log")
    said = [json.loads(m)[-1]["content"] for m in log.harvest()["messages"].to_pylist()]
    assert set(said) == set(prompts["campaign"])
    others = {json.loads(m)[-1]["content"] for m in log.of("benign")["messages"].to_pylist()}
    assert len(others & set(prompts["honest"])) > 60 and not others & set(prompts["campaign"])


def test_wrong_arguments_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="unknown scenario 's99'"):
        simulate("s99", tmp_path / "a")
    with pytest.raises(SetupError, match="scale must be positive"):
        simulate("quiet", tmp_path / "a", scale=0)
    with pytest.raises(SetupError, match="lists under"):
        simulate("quiet", tmp_path / "a", scale=SMALL, text={"honest": []})
    assert not (tmp_path / "a").exists()


def test_a_folder_that_is_not_empty_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        simulate("quiet", tmp_path, scale=SMALL)
    assert [p.name for p in tmp_path.iterdir()] == ["kept.txt"]


def test_every_plan_on_the_shelf_is_used_by_a_scenario() -> None:
    used = {plan for scenario in catalogue().values() for _, plan in scenario.campaigns}
    assert set(plans()) <= used


def test_the_documentation_names_every_scenario_and_look_alike() -> None:
    said = (Path(__file__).resolve().parents[2] / "docs" / "scenarios.md").read_text(encoding="utf-8")
    assert [name for name in [*scenarios(), *LOOKALIKES] if f"`{name}`" not in said] == []


class Notes(Silent):
    """Progress that keeps the notes on the outcome of stages."""

    def __init__(self) -> None:
        self.held: list[str] = []

    def end(self, note: str = "") -> None:
        self.held.append(note)


def test_the_outcome_says_how_many_of_the_accounts_sent_anything(tmp_path: Path) -> None:
    notes = Notes()
    said = simulate("quiet", tmp_path / "log", seed=1, scale=0.02, progress=notes)
    sent = len(pq.read_table(tmp_path / "log" / "exchanges", columns=["account_id"])["account_id"].unique())
    assert sent < said["accounts"]
    assert notes.held[0].startswith(f"{said['exchanges']:,} exchanges by {sent:,} of {said['accounts']:,} accounts; ")
