"""Every signal, discovered by name: its card, its columns, and that it tells an operation from its innocent twin."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from clonewatch.behaviour import slices as slicing
from clonewatch.campaigns.fusion import Reading, measure_tests
from clonewatch.engines.duckdb import DuckDB
from clonewatch.entities import ownership
from clonewatch.entities.ownership import trusted_set
from clonewatch.graph import communities, weights
from clonewatch.graph.clusters import cluster
from clonewatch.graph.leiden import SMALLEST
from clonewatch.links import prompts
from clonewatch.model import schema
from clonewatch.pipeline.detection.signals import SIGNALS, TESTS
from clonewatch.pipeline.intake.staging import ACCOUNT_SCHEMA, EVENT_SCHEMA, EXCHANGE_SCHEMA
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.behaviour import BehaviouralTest
from clonewatch.ports.engine import Step
from clonewatch.ports.linking import MOST_BITS, LinkingSignal
from clonewatch.ports.signal import Signal

SECOND, MINUTE, HOUR, DAY = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000
START = 20_000 * DAY
LOADED: dict[str, LinkingSignal | BehaviouralTest] = {
    **{f"link:{n}": SIGNALS.load(n) for n in SIGNALS.names()},
    **{f"behaviour:{n}": TESTS.load(n) for n in TESTS.names()},
}
TABLES = {t.name: t for t in (schema.EXCHANGES, schema.ACCOUNTS, schema.EVENTS)}


# ---- every signal -------------------------------------------------------------------------------------------------


@pytest.fixture(params=sorted(LOADED))
def plugin(request: pytest.FixtureRequest) -> LinkingSignal | BehaviouralTest:
    return LOADED[request.param]


@pytest.fixture
def signal(plugin: LinkingSignal | BehaviouralTest) -> Signal:
    return plugin.signal


def test_a_signal_is_named_after_its_module_and_kind(request: pytest.FixtureRequest, signal: Signal) -> None:
    assert request.node.callspec.params["plugin"] == f"{signal.kind}:{signal.name}"


def test_the_first_line_of_a_signals_module_says_what_it_is(signal: Signal) -> None:
    package = (SIGNALS if signal.kind == "link" else TESTS).package
    docstring = importlib.import_module(f"{package}.{signal.name}").__doc__
    assert docstring and docstring.splitlines()[0].strip().endswith(".")


def test_every_field_of_a_card_is_filled(signal: Signal) -> None:
    assert all(field.strip() for field in signal.card)
    assert signal.card.family.isidentifier()


def test_a_signal_needs_columns_that_exist(signal: Signal) -> None:
    assert signal.needs
    for alternative in signal.needs:
        assert alternative
        for need in alternative:
            table, column = need.split(".")
            assert column in TABLES[table].names


def test_a_linking_signal_has_a_cap_and_a_behavioural_test_writes_its_table(
    plugin: LinkingSignal | BehaviouralTest,
) -> None:
    if isinstance(plugin, LinkingSignal):
        assert 0 < plugin.cap <= MOST_BITS
        assert not (plugin.weak and plugin.deceptive), "a signal that only corroborates shows no deception"
        assert not plugin.column or plugin.column in EXCHANGE_SCHEMA.names
        assert not plugin.content or plugin.column, "content attributes select exchanges, so they need a column"
        return
    assert plugin.steps[-1].writes == f"behaviour_{plugin.signal.name}"
    assert plugin.spread > 0 and plugin.least > 0 and (plugin.effect > 0 or plugin.in_bits)
    assert plugin.against is None or plugin.against < 0


# ---- behavioural tests: an operation above its innocent twin ---------------------------------------------------------


class Slice(NamedTuple):
    """The exchanges of one group: entity and time in microseconds, and any other column of the table `slices`."""

    entity: np.ndarray
    ts: np.ndarray
    columns: dict[str, Any]


class Scene(NamedTuple):
    """Both slices and the other tables that a test reads.

    starts: of each slice, the start of its entities in microseconds. trusted: trusted entities of each slice.
    """

    attack: Slice
    twin: Slice
    events: tuple[dict[str, Any], ...] = ()
    starts: tuple[dict[int, int], dict[int, int]] = ({}, {})
    trusted: tuple[int, int] = (0, 0)


ENTITIES, EACH = 30, 60
SLICE_SCHEMA = pa.schema(
    [
        ("cluster", pa.int32()),
        ("entity", pa.int32()),
        ("row", pa.int64()),
        ("ts", pa.int64()),
        ("turn", pa.int16()),
        ("model", pa.int64()),
        ("prompt", pa.int64()),
        ("cell", pa.int32()),
        ("task", pa.int8()),
        ("elicitation", pa.float32()),
        ("answers", pa.int16()),
        ("input_octave", pa.int8()),
        ("output_octave", pa.int8()),
        ("logprobs", pa.bool_()),
    ]
)
BACKGROUND_SCHEMA = pa.schema([f for f in SLICE_SCHEMA if f.name not in ("cluster", "row", "ts", "model")])
# The staged name of an exchange column where the slice goes by another.
STAGED = {
    "n": "answers",
    "prompt_id": "prompt",
    "input_tokens": "input_octave",
    "output_tokens": "output_octave",
}


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def steady(entities: int = ENTITIES, each: int = EACH) -> tuple[np.ndarray, np.ndarray]:
    """Entity and time of exchanges: entities of equal volume with one exchange about every quarter of an hour."""
    gaps = rng().uniform(10, 20, (entities, each)).cumsum(axis=1) * MINUTE
    return np.repeat(np.arange(entities), each), (START + gaps.ravel()).astype(np.int64)


def bursts(entities: int = ENTITIES, each: int = EACH) -> tuple[np.ndarray, np.ndarray]:
    """Entity and time of exchanges: entities of unequal volume that ask a few times within minutes, then pause."""
    draw = rng()
    times, volume = [], np.maximum(10, draw.lognormal(np.log(each), 1.2, entities)).astype(int)
    for n in volume.tolist():
        gap = np.where(draw.random(n) < 0.75, draw.exponential(1.0, n), draw.exponential(400, n)).cumsum()
        times.append(START + gap / gap[-1] * 20 * DAY)
    return np.repeat(np.arange(entities), volume), np.concatenate(times).astype(np.int64)


def popular(size: int, kinds: int, salt: int = 0) -> np.ndarray:
    """A sample of things by popularity: the k-th occurs 1/k times as often as the first."""
    share = 1 / np.arange(1, kinds + 1)
    return np.random.default_rng(salt).choice(kinds, size, p=share / share.sum())


def slice_of(times: tuple[np.ndarray, np.ndarray], **columns: Any) -> Slice:
    return Slice(times[0], times[1], columns)


def labelled(hit: dict[str, Any], miss: dict[str, Any], attack: float, twin: float) -> Scene:
    """Slices that differ only in the share of exchanges with one property."""

    def drawn(share: float) -> dict[str, Any]:
        mask = rng().random(ENTITIES * EACH) < share
        return {k: np.where(mask, hit[k], miss[k]) for k in hit}

    return Scene(slice_of(steady(), **drawn(attack)), slice_of(steady(), **drawn(twin)))


def elicitation() -> Scene:
    return labelled({"elicitation": 0.9}, {"elicitation": 0.1}, 0.8, 0.03)


def single_turn() -> Scene:
    return labelled({"turn": 0}, {"turn": 3}, 0.99, 0.5)


def sampling() -> Scene:
    return labelled({"answers": 4, "logprobs": True}, {"answers": 1, "logprobs": False}, 0.9, 0.01)


def release() -> Scene:
    scene = labelled({"model": 5}, {"model": 4}, 0.9, 0.1)
    return scene._replace(events=({"kind": "model_release", "ts": START, "model": 5},))


def coverage_uniformity() -> Scene:
    size = ENTITIES * EACH
    even = rng().integers(0, 500, size)
    return Scene(
        slice_of(steady(), cell=even, prompt=np.arange(size)),
        slice_of(steady(), cell=popular(size, 500), prompt=popular(size, 3000, 1)),
    )


def work_partition() -> Scene:
    """Both slices ask about the same few topics; only the twin's entities ask the same questions."""
    size = ENTITIES * EACH
    cell = popular(size, 60)
    return Scene(
        slice_of(steady(), cell=cell, prompt=np.arange(size)),
        slice_of(steady(), cell=cell, prompt=cell * 10 + popular(size, 10, 1)),
    )


def under_dispersion() -> Scene:
    """The attack sends every prompt from exactly three accounts; the twin sends prompts by popularity."""
    deals = ENTITIES * EACH // 3
    entity = np.concatenate(
        [rng().permutation(ENTITIES)[:3] if i < 0 else (np.arange(3) + i) % ENTITIES for i in range(deals)]
    )
    attack = Slice(entity, START + np.arange(len(entity)) * MINUTE, {"prompt": np.repeat(np.arange(deals), 3)})
    draw = rng()
    size = ENTITIES * EACH
    twin = Slice(
        draw.integers(0, ENTITIES, size), START + np.arange(size) * MINUTE, {"prompt": popular(size, 100_000, 3)}
    )
    return Scene(attack, twin)


def fixed_order() -> Scene:
    """Six entities send the same prompt once per day for three weeks: in the order of a list, or in random order."""
    draw = rng()
    days, members = 21, 6
    entity = np.tile(np.arange(members), days)
    day = np.repeat(np.arange(days), members)
    listed = START + day * DAY + entity * 5 * MINUTE
    drawn = START + day * DAY + np.concatenate([draw.permutation(members) for _ in range(days)]) * 5 * MINUTE
    thing = {"prompt": 100 + day % 5}
    return Scene(Slice(entity, listed, thing), Slice(entity, drawn, thing))


def individuality() -> Scene:
    """Both slices hold the same topics, lengths and days; only the twin's entities return to two of their own."""
    draw = rng()
    entity, ts = steady()
    ts = START + (ts - START) * 20
    own = draw.integers(0, 40, (ENTITIES, 2))[entity % ENTITIES, draw.integers(0, 2, len(entity))]
    dealt = draw.permutation(own)
    return Scene(
        slice_of((entity, ts), cell=dealt, output_octave=5 + dealt % 6),
        slice_of((entity, ts), cell=own, output_octave=5 + own % 6),
    )


def load_balance() -> Scene:
    return Scene(slice_of(steady()), slice_of(bursts()))


def regularity() -> Scene:
    return Scene(slice_of(steady()), slice_of(bursts()))


def anticorrelation() -> Scene:
    """Ten calls every ten minutes, each to a free entity; or as many calls by independent entities."""
    draw = rng()
    members, bins, calls = 10, 14 * 144, 10
    entity = np.concatenate([draw.permutation(members) for _ in range(bins)])
    bin_ = np.repeat(np.arange(bins), calls)
    ts = START + bin_ * 10 * MINUTE + np.tile(np.arange(calls), bins) * SECOND
    dealt = np.concatenate([draw.choice(members, calls) for _ in range(bins)])
    size = len(entity)
    alone = START + draw.integers(0, bins * 10 * MINUTE, size)
    return Scene(Slice(dealt, ts, {}), Slice(draw.integers(0, members, size), alone, {}))


def replenishment() -> Scene:
    """Three waves of bans hit twelve members, and twelve more start: within hours of a wave, or days from any."""
    bans = [START + (6 + 12 * (i % 3)) * DAY for i in range(12)]
    events = tuple({"kind": "ban", "ts": ts, "account": i + n * APART} for n in (0, 1) for i, ts in enumerate(bans))
    after = {12 + i: ts + (4 + i) * HOUR for i, ts in enumerate(bans)}
    apart = {12 + i: ts + (80 + i) * HOUR for i, ts in enumerate(bans)}
    span = slice_of((np.repeat(np.arange(24), 2), np.tile([START, START + 40 * DAY], 24).astype(np.int64)))
    return Scene(span, span, events, (after, apart))


def trusted_members() -> Scene:
    """One in four is trusted in the log and among the twin's entities; in the pool no entity is."""
    return Scene(slice_of(steady()), slice_of(steady()), trusted=(0, 8))


SCENES: dict[str, Callable[[], Scene]] = {
    scene.__name__: scene
    for scene in (
        under_dispersion,
        work_partition,
        elicitation,
        coverage_uniformity,
        fixed_order,
        individuality,
        load_balance,
        regularity,
        release,
        sampling,
        anticorrelation,
        single_turn,
        replenishment,
        trusted_members,
    )
}
# Tests that only count against a campaign.
ONLY_AGAINST = {"trusted_members"}
ATTACK, TWIN, APART = 0, 1, 1000


@contextmanager
def running() -> Iterator[StepRunner]:
    engine = DuckDB(threads=1)
    try:
        yield StepRunner(engine)
    finally:
        engine.close()


def put(runner: StepRunner, name: str, table: pa.Table) -> None:
    runner.engine.put(name, table)
    runner.wrote(name, table.num_rows)


def filled(columns: dict[str, Any], size: int, target: pa.Schema) -> pa.Table:
    """A table with this schema. Columns that are not given are null."""
    return pa.table(
        [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(size, f.type) for f in target],
        schema=target,
    )


def staged(cut: Slice, number: int, first_row: int) -> pa.Table:
    size = len(cut.entity)
    entity = cut.entity + number * APART
    columns = {"cluster": np.full(size, number), "entity": entity, "row": np.arange(size) + first_row, "ts": cut.ts}
    return filled({**columns, **cut.columns}, size, SLICE_SCHEMA)


def background() -> pa.Table:
    """What unlinked honest entities do: topics and questions by popularity."""
    size = 6000
    cell = popular(size, 500, 11)
    columns = {
        "entity": 50_000 + np.arange(size) % 300,
        "cell": cell,
        "prompt": cell * 40 + popular(size, 40, 12),
        "turn": np.arange(size) % 4,
        "elicitation": np.zeros(size),
    }
    return filled(columns, size, BACKGROUND_SCHEMA)


def measure(
    test: BehaviouralTest, scene: Scene, without: tuple[str, ...] = (), events: bool = True, source: int = 1
) -> dict[int, Reading]:
    """The test's reading of both slices against its shipped reference, by cluster.

    without: columns set to null. source: where the trusted set came from, 1 for the operator.
    """
    with running() as runner:
        both = pa.concat_tables([staged(scene.attack, ATTACK, 0), staged(scene.twin, TWIN, 10**6)])
        for name in without:
            empty = pa.nulls(both.num_rows, both[name].type)
            both = both.set_column(both.column_names.index(name), both.field(name), empty)
        put(runner, "slices", both)
        put(runner, "background", background())
        groups = both.group_by(["cluster", "entity"]).aggregate([])
        put(runner, "candidate_groups", groups)
        put(runner, "tested", groups)
        entity = np.arange(int(groups["entity"].to_numpy().max()) + 1)
        starts = {**scene.starts[0], **{k + APART: v for k, v in scene.starts[1].items()}}
        first = [starts.get(int(e), START) for e in entity]
        last = np.full(len(entity), START + 40 * DAY)
        # One in four is trusted, except for the entities of both slices.
        anchor = (entity % 4 == 0) & (entity >= APART // 2) & (entity < APART)
        for slice_, count in zip((ATTACK, TWIN), scene.trusted, strict=True):
            anchor[slice_ * APART : slice_ * APART + count] = True
        facts = {
            "first_ts": first,
            "last_ts": last,
            "anchor": pa.array(anchor.astype(np.int8)),
            "trust_source": pa.array(np.full(len(entity), source, np.int8)),
            "exempt": np.isin(entity, np.arange(ENTITIES, APART // 2)),
        }
        put(runner, "entities", pa.table({"entity": pa.array(entity, pa.int32()), **facts}))
        put(
            runner,
            "owners",
            pa.table({"account": pa.array(entity, pa.int32()), "entity": pa.array(entity, pa.int32())}),
        )
        happened = pa.Table.from_pylist(list(scene.events) if events else [], schema=EVENT_SCHEMA)
        put(runner, "events", happened)
        runner.run_all([*slicing.of_clusters(True), *slicing.of_background(True), *test.steps])
        table = runner.engine.fetch(f'SELECT * FROM "behaviour_{test.signal.name}" ORDER BY cluster')
    readings = measure_tests({test.signal.name: table}, [test], communities.FIRST)
    return {r.cluster: r for r in readings}


behavioural_tests = pytest.mark.parametrize("test", [TESTS.load(n) for n in TESTS.names()], ids=TESTS.names())


def test_every_behavioural_test_has_a_scene_here() -> None:
    assert sorted(SCENES) == TESTS.names()


@behavioural_tests
def test_an_operation_is_above_its_innocent_twin(test: BehaviouralTest) -> None:
    found = measure(test, SCENES[test.signal.name]())
    twin = found.get(TWIN)
    if test.signal.name in ONLY_AGAINST:
        assert found[ATTACK].bits == 0 and twin is not None and twin.bits < -2
        return
    assert found[ATTACK].bits > 2, "the operation is not found"
    assert twin is None or (twin.bits < 1 and twin.value < found[ATTACK].value)


def lacking(test: BehaviouralTest) -> tuple[tuple[str, ...], bool]:
    """Slice columns to leave empty, and whether to keep events, so that a test lacks everything that it needs."""
    names = {need for needs in test.signal.needs for need in needs}
    columns = {STAGED.get(c, c) for t, c in (n.split(".") for n in names) if t == "exchanges" and c != "messages"}
    return tuple(sorted(columns - {"ts"})), not any(need.startswith("events.") for need in names)


# The other tests need only the time, which every exchange has.
@pytest.mark.parametrize("name", [n for n in TESTS.names() if lacking(TESTS.load(n)) != ((), True)])
def test_a_behavioural_test_without_its_columns_is_neutral(name: str) -> None:
    """Missing values never raise suspicion: there is no row, or a reading of no bits."""
    found = measure(TESTS.load(name), SCENES[name](), *lacking(TESTS.load(name)))
    assert all(reading.bits <= 0 for reading in found.values())


@pytest.mark.parametrize("trusted", [0, 2, 4, 8, 30])
def test_trusted_members_only_count_against_a_campaign(trusted: int) -> None:
    """A pool with few trusted members gets no bits; a group trusted as often as anyone counts as honest."""
    signal = TESTS.load("trusted_members")
    found = measure(signal, trusted_members()._replace(trusted=(trusted, trusted)))
    for reading in found.values():
        assert (reading.bits == 0) if trusted <= 2 else (reading.bits < -2) if trusted >= 8 else reading.bits <= 0


@pytest.mark.parametrize("source", [0, 2])
def test_trusted_members_are_neutral_where_the_provider_names_no_trusted_accounts(source: int) -> None:
    """Trust inferred from bursts formed the cluster: it must not be evidence a second time."""
    assert measure(TESTS.load("trusted_members"), trusted_members(), source=source) == {}


@behavioural_tests
def test_a_behavioural_test_is_neutral_on_too_few_exchanges(test: BehaviouralTest) -> None:
    scene = SCENES[test.signal.name]()
    few = Slice(scene.attack.entity[:3], scene.attack.ts[:3], {k: v[:3] for k, v in scene.attack.columns.items()})
    starts = {p: t for p, t in list(scene.starts[0].items())[:1]}
    found = measure(test, scene._replace(attack=few, starts=(starts, scene.starts[1])))
    assert ATTACK not in found or found[ATTACK].bits <= 0


# ---- linking signals: what trusted accounts share as usual links nobody ----------------------------------------------

POPULATION, TRUSTED, GROUP = 1000, 4, 24  # one in four is trusted
VALUE = 4242
# Signals that read one fact about accounts, and the staged column that holds it, as their SELECT names it.
ACCOUNT_FACTS = {
    name: found[1]
    for name in SIGNALS.names()
    if (found := re.search(r"SELECT o\.entity, a\.(\w+) AS attribute, 0 AS n", SIGNALS.load(name).sql))
}


class Log(NamedTuple):
    """Staged rows of a small log: exchanges, account facts and events, as columns."""

    exchanges: dict[str, Any]
    accounts: dict[str, Any]
    events: tuple[dict[str, Any], ...] = ()


def ordinary() -> Log:
    """A thousand accounts with twelve exchanges each and nothing in common; every fourth is trusted."""
    account = np.repeat(np.arange(POPULATION), 12)
    ts = START + rng().integers(0, 20 * DAY, len(account))
    # Accounts start in the order of their numbers, so that entities are numbered like them.
    ts[np.unique(account, return_index=True)[1]] = START - DAY + np.arange(POPULATION) * SECOND
    created = START - 200 * DAY + np.arange(POPULATION) * 5 * HOUR
    return Log(
        {"account": account, "ts": ts},
        {
            "account": np.arange(POPULATION),
            "anchor": np.arange(POPULATION) % TRUSTED == 0,
            "created": created,
        },
    )


def group(trusted: bool) -> np.ndarray:
    """Accounts that share something: none of them trusted, or the usual share."""
    everyone = np.arange(200, 200 + 2 * GROUP)
    return everyone[:GROUP] if trusted else everyone[everyone % TRUSTED != 0][:GROUP]


def with_column(name: str, trusted: bool) -> Log:
    log = ordinary()
    carries = np.isin(log.exchanges["account"], group(trusted))
    values = pa.array(np.full(len(carries), VALUE), mask=~carries)
    return log._replace(exchanges={**log.exchanges, name: values})


def with_fact(name: str, trusted: bool) -> Log:
    log = ordinary()
    carries = np.isin(log.accounts["account"], group(trusted))
    return log._replace(accounts={**log.accounts, name: pa.array(np.full(POPULATION, VALUE), mask=~carries)})


def more(log: Log, account: np.ndarray, ts: np.ndarray, **columns: pa.Array) -> Log:
    """The log with exchanges added. columns: values of the new exchanges, null in the others."""
    before = len(log.exchanges["account"])
    merged: dict[str, Any] = {
        "account": np.concatenate([log.exchanges["account"], account]),
        "ts": np.concatenate([log.exchanges["ts"], ts]),
    }
    for name, values in columns.items():
        merged[name] = pa.concat_arrays([pa.nulls(before, pa.int64()), values.cast(pa.int64())])
    return log._replace(exchanges=merged)


def rare_prompt(trusted: bool) -> Log:
    """Every prompt goes to six of the members, so that any two of them share several."""
    members, prompts_dealt = group(trusted), 150
    draw = rng()
    account = np.concatenate([draw.choice(members, 6, replace=False) for _ in range(prompts_dealt)])
    ts = START + np.arange(len(account)) * HOUR
    return more(ordinary(), account, ts, prompt=pa.array(np.repeat(np.arange(prompts_dealt), 6)))


def signature_replay(trusted: bool) -> Log:
    """Every member redeems signatures that were issued in the sessions of half of the others."""
    members = group(trusted)
    size = len(members)
    account = np.concatenate([members, np.repeat(members, size // 2)])
    issued = np.arange(len(account)) < size
    draw = rng()
    from_whom = np.concatenate([members, *(draw.choice(members, size // 2, replace=False) for _ in range(size))])
    session = pa.array(np.where(issued, account, 0), mask=~issued)
    redeemed = pa.array(from_whom, mask=issued)
    ts = START + np.arange(len(account)) * MINUTE
    return more(ordinary(), account, ts, session=session, signature_session=redeemed)


def signup_burst(trusted: bool) -> Log:
    log = ordinary()
    created = log.accounts["created"].copy()
    created[group(trusted)] = START - 300 * DAY + np.arange(GROUP) * MINUTE
    return log._replace(accounts={**log.accounts, "created": created})


def succession_link(trusted: bool) -> Log:
    """One account is banned; the others start hours later with its template."""
    log = ordinary()
    members = group(trusted)
    late = np.isin(log.exchanges["account"], members[1:])
    ts = np.where(late, START + 10 * DAY + 3 * HOUR + log.exchanges["ts"] % DAY, log.exchanges["ts"])
    carries = np.isin(log.exchanges["account"], members)
    template = pa.array(np.full(len(carries), VALUE), mask=~carries)
    event = {"kind": "ban", "ts": START + 10 * DAY, "account": int(members[0])}
    return Log({**log.exchanges, "ts": ts, "template": template}, log.accounts, (event,))


def synchrony(by_chance: bool) -> Log:
    """Six of twelve accounts send the same prompt within a minute every day; by_chance: at any time of the day."""
    draw = rng()
    members, days, each_day = group(False)[:12], 24, 6
    account = np.concatenate([draw.choice(members, each_day, replace=False) for _ in range(days)])
    day = np.repeat(np.arange(days), each_day)
    within = draw.integers(0, DAY if by_chance else MINUTE, len(account))
    return more(ordinary(), account, START + day * DAY + 3 * HOUR + within, prompt=pa.array(day % 6 + 50))


def session_chain(trusted: bool) -> Log:
    """Every member continues a conversation of the one before it."""
    members = group(trusted)
    account = np.concatenate([members, members[1:]])
    session = np.concatenate([members, members[:-1]])
    return more(ordinary(), account, START + np.arange(len(account)) * MINUTE, session=pa.array(session))


SPECIAL: dict[str, Callable[[bool], Log]] = {
    "session_chain": session_chain,
    "rare_prompt": rare_prompt,
    "signature_replay": signature_replay,
    "signup_burst": signup_burst,
    "succession": succession_link,
    "synchrony": synchrony,
}


def scene_of(link: LinkingSignal, innocent: bool) -> Log:
    name = link.signal.name
    if name in SPECIAL:
        return SPECIAL[name](innocent)
    return with_fact(ACCOUNT_FACTS[name], innocent) if name in ACCOUNT_FACTS else with_column(link.column, innocent)


def put_log(runner: StepRunner, log: Log) -> None:
    size = len(log.exchanges["account"])
    rows = {"row": np.arange(size), "xid": np.arange(size), **log.exchanges}
    put(runner, "exchanges", filled(rows, size, EXCHANGE_SCHEMA))
    put(runner, "accounts", filled(log.accounts, POPULATION, ACCOUNT_SCHEMA))
    put(runner, "events", pa.Table.from_pylist(list(log.events), schema=EVENT_SCHEMA))


def carried_before(link: LinkingSignal) -> list[Step]:
    """The steps of the signals whose attributes this one connects."""
    read = sorted({table for step in link.steps for table in step.reads if table.startswith("carried_")})
    others = [SIGNALS.load(table.removeprefix("carried_")) for table in read]
    return [step for other in others for step in (*other.steps, weights.carried(other))]


def linked(link: LinkingSignal, log: Log, weak: tuple[str, ...] = ()) -> set[int]:
    """Accounts in the clusters that this signal alone forms."""
    with running() as runner:
        put_log(runner, log)
        runner.run_all([*ownership.STEPS, ownership.DECLARED, *prompts.STEPS, *carried_before(link), *link.steps])
        trusted = trusted_set(runner.engine.fetch("SELECT * FROM entities"))
        assert trusted.source == "declared"
        runner.run_all((weights.carried(link), weights.rare(link, trusted.share, POPULATION)))
        name = link.signal.name
        rare = runner.engine.fetch(f'SELECT * FROM "rare_{name}" ORDER BY attribute, entity')
        owner = runner.engine.fetch("SELECT * FROM owners").to_pylist()
    attributes = weights.weigh({name: rare}.__getitem__, [link], trusted.share, POPULATION)
    inside = set(cluster(attributes, weak, 0).clusters.groups["entity"].to_pylist())
    return {row["account"] for row in owner if row["entity"] in inside}


links = pytest.mark.parametrize("link", [SIGNALS.load(n) for n in SIGNALS.names()], ids=SIGNALS.names())


@links
def test_untrusted_accounts_that_share_an_attribute_are_linked(link: LinkingSignal) -> None:
    found = linked(link, scene_of(link, innocent=False))
    assert found <= set(group(False).tolist())
    assert len(found) >= (SMALLEST if link.signal.name == "synchrony" else GROUP - 1)


@links
def test_an_attribute_that_trusted_accounts_share_as_usual_links_nobody(link: LinkingSignal) -> None:
    """Signals with a chance model of their own get chance instead: the same meetings at any time of the day."""
    assert linked(link, scene_of(link, innocent=True)) == set()


def test_sessions_of_many_users_connect_nobody_in_a_chain() -> None:
    """What more than a handful share stands for itself: two such sessions with users in common are no ring."""
    members = np.concatenate([group(False), group(False) + 300])
    account = np.concatenate([members[:40], members[20:]])
    session = pa.array(np.repeat([1, 2], [40, len(members) - 20]))
    log = more(ordinary(), account, START + np.arange(len(account)) * MINUTE, session=session)
    assert linked(SIGNALS.load("session_chain"), log) == set()


@pytest.mark.parametrize("name", [n for n in SIGNALS.names() if SIGNALS.load(n).weak])
def test_a_weak_signal_links_nobody_by_itself(name: str) -> None:
    link = SIGNALS.load(name)
    assert linked(link, scene_of(link, innocent=False), weak=(name,)) == set()


@links
def test_a_log_without_the_columns_links_nobody(link: LinkingSignal) -> None:
    log = ordinary()
    facts = {k: v for k, v in log.accounts.items() if k != "created"}
    assert linked(link, log._replace(accounts=facts)) == set()


@pytest.mark.parametrize("name", [n for n in SIGNALS.names() if SIGNALS.load(n).hashed])
def test_a_signal_of_hashes_states_where_each_value_first_occurred(name: str) -> None:
    """Another key changes the hashes, so nothing may be ordered by them."""
    link = SIGNALS.load(name)
    log = scene_of(link, innocent=False)
    with running() as runner:
        put_log(runner, log)
        runner.run_all([*ownership.STEPS, *prompts.STEPS, *link.steps, weights.carried(link)])
        firsts = runner.engine.fetch(f'SELECT attribute, MIN(first) AS first FROM "carried_{name}" GROUP BY attribute')[
            "first"
        ]
    assert firsts.null_count == 0 and len(firsts) == len(firsts.unique()) > 0


def test_every_linking_signal_has_a_log_here() -> None:
    one_column = {n for n in SIGNALS.names() if SIGNALS.load(n).column or n in ACCOUNT_FACTS}
    assert one_column | set(SPECIAL) == set(SIGNALS.names())


def test_errors_that_the_operator_caused_say_nothing_of_an_account() -> None:
    """A refusal, a block or a ban is the operator's doing: no signal reads the status or the error of an exchange."""
    assert "status" not in EXCHANGE_SCHEMA.names
    needs = {need for plug in LOADED.values() for group in plug.signal.needs for need in group}
    assert "exchanges.status" not in needs and "exchanges.stop_reason" not in needs
