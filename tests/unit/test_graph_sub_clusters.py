"""Sub-clusters of one dealt-out list are merged; teams in the same trade, benchmarks and unrelated groups are not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scipy.stats import binom
from tests.unit.incidences import incidences

from clonewatch.graph import sub_clusters
from clonewatch.graph.clusters import Clusters, cluster
from clonewatch.kernels.rarity import lower_tail

CELLS, PHRASINGS = 400, 50  # topics in all, and questions that the public asks about each
RATE = 1 / PHRASINGS
HONEST, FIRST = 24, 1_000_000


class Asked(NamedTuple):
    """What one group asked: topic and question of every exchange, and the task of all of them."""

    cell: np.ndarray
    prompt: np.ndarray
    task: int = 0


def topics(draw: np.random.Generator, size: int) -> np.ndarray:
    """Topics as the public asks about them: the k-th 1/k times as often as the first."""
    share = 1 / np.arange(1, CELLS + 1)
    return draw.choice(CELLS, size, p=share / share.sum())


def question(draw: np.random.Generator, cell: np.ndarray) -> np.ndarray:
    """For each topic, one of the questions that the public asks about it."""
    return cell * PHRASINGS + draw.integers(0, PHRASINGS, len(cell))


def public(draw: np.random.Generator, size: int = 600) -> Asked:
    cell = topics(draw, size)
    return Asked(cell, question(draw, cell))


def team(draw: np.random.Generator, trade: np.ndarray, size: int = 600, own: float = 0.0) -> Asked:
    """People in one trade: its topics about evenly, public questions about them. own: spread of a team's tastes."""
    taste = draw.lognormal(0.0, own, len(trade))
    cell = draw.choice(trade, size, p=taste / taste.sum())
    return Asked(cell, question(draw, cell))


def dealt(draw: np.random.Generator, listed: np.ndarray, parts: int, each: int = 600) -> list[Asked]:
    """One list, uniform over its topics and without a repeat, dealt out in equal shares."""
    cell = np.resize(listed, parts * each)
    prompt = 10_000_000 + draw.integers(0, 1000) * 1_000_000 + np.arange(len(cell))
    order = draw.permutation(len(cell))
    return [Asked(cell[part], prompt[part]) for part in np.array_split(order, parts)]


def table(groups: dict[int, Asked], column: str) -> pa.Table:
    counts = {g: np.unique(getattr(asked, column), return_counts=True) for g, asked in groups.items()}
    cluster = np.repeat(list(counts), [len(value) for value, _ in counts.values()])
    value, n = (np.concatenate([pair[i] for pair in counts.values()]) for i in (0, 1))
    task = np.array([groups[g].task for g in cluster.tolist()])
    return pa.table({"cluster": pa.array(cluster, pa.int32()), "task": task, column: value, "n": n})


def background(*groups: Asked) -> pa.Table:
    """What the public asks about, task by task."""
    parts = [(asked.task, *np.unique(asked.cell, return_counts=True)) for asked in groups]
    return pa.concat_tables([pa.table({"task": [task] * len(cell), "cell": cell, "n": n}) for task, cell, n in parts])


def compared(
    cells: list[Asked], honest: list[Asked], *unlinked: Asked
) -> tuple[np.ndarray, np.ndarray, sub_clusters.Counts]:
    groups = {**dict(enumerate(cells)), **{FIRST + i: asked for i, asked in enumerate(honest)}}
    numbers = np.array(sorted(groups))
    same, usual = sub_clusters.topics(numbers, table(groups, "cell"), background(*unlinked))
    counts = sub_clusters.Counts(same, sub_clusters.repeats(numbers, table(groups, "prompt")), usual)
    return numbers, numbers >= FIRST, counts


def joins(cells: list[Asked], seed: int = 0, honest: int = HONEST) -> list[tuple[int, int, float]]:
    """Merges among sub-clusters in a log with reference communities and a background."""
    draw = np.random.default_rng([99, seed])
    numbers, known, counts = compared(cells, [public(draw) for _ in range(honest)], public(draw, 20_000))
    return sub_clusters.merges(numbers, known, counts, RATE)


def together(found: list[tuple[int, int, float]]) -> list[set[int]]:
    """Sub-clusters under each number after all merges."""
    merged = sub_clusters.merge_table(found).to_pylist() if found else []
    return [{r["sub_cluster"] for r in merged if r["cluster"] == c} for c in sorted({r["cluster"] for r in merged})]


LIST = np.arange(100, 400, 2)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


# ---- who is merged -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [2, 3, 8])
def test_sub_clusters_of_one_dealt_out_list_are_merged(parts: int) -> None:
    found = joins(dealt(rng(), LIST, parts))
    assert together(found) == [set(range(parts))]
    assert all(p < 0.01 for _, _, p in found)


def test_two_lists_about_different_topics_stay_two() -> None:
    draw = rng()
    cells = [*dealt(draw, np.arange(100, 250), 3), *dealt(draw, np.arange(250, 400), 3)]
    assert together(joins(cells)) == [{0, 1, 2}, {3, 4, 5}]


def test_groups_that_ask_about_what_everybody_asks_about_are_not_merged() -> None:
    """Not even when no two of them ever ask the same question: users of an app each bring their own."""
    draw = rng()
    cells = [public(draw)._replace(prompt=10_000_000 + k * 10_000 + np.arange(600)) for k in range(4)]
    assert joins(cells) == []


# Known defect: where few pairs are tried, topics of their own alone reach the level, without any lack of repeats.


@pytest.mark.parametrize("teams", [2, 4])
def test_teams_in_the_same_trade_that_also_ask_the_same_questions_are_not_merged(teams: int) -> None:
    """Their topics are nobody else's, but they repeat each other as usual: one condition is not enough."""
    logs = 20
    wrong = 0
    for seed in range(logs):
        draw = rng(seed)
        wrong += bool(joins([team(draw, LIST[:60], own=0.3) for _ in range(teams)], seed))
    assert wrong <= binom.ppf(0.99, logs, 0.05), f"{wrong} of {logs}"


@pytest.mark.parametrize("labs", [2, 4])
def test_a_benchmark_that_everybody_covers_merges_nobody(labs: int) -> None:
    """One list of topics and the same questions: copies of a list, not shares of it."""
    cell = np.repeat(LIST, 4)
    benchmark = Asked(cell, 50_000_000 + np.arange(len(cell)))
    assert joins([benchmark] * labs) == []


def test_people_in_the_same_trade_are_compared_with_the_background_on_the_same_tasks() -> None:
    """Translators ask about what translators ask about, whether or not the public does."""
    draw = rng()
    trade = [team(draw, LIST)._replace(prompt=10_000_000 + k * 1000 + np.arange(600), task=3) for k in range(3)]
    others = [public(draw) for _ in range(HONEST)]
    colleagues = team(draw, LIST, 5_000)._replace(task=3)
    numbers, known, counts = compared(trade, others, public(draw, 20_000), colleagues)
    assert sub_clusters.merges(numbers, known, counts, RATE) == []
    unlike = [asked._replace(task=0) for asked in trade]
    numbers, known, counts = compared(unlike, others, public(draw, 20_000), colleagues)
    assert sub_clusters.merges(numbers, known, counts, RATE), (
        "on a task where the public asks about other things, it is a list"
    )


def test_on_tasks_that_the_background_lacks_nothing_is_merged() -> None:
    draw = rng()
    cells = [part._replace(task=9) for part in dealt(draw, LIST, 3)]
    assert joins(cells) == []


def test_a_few_topics_are_an_interest_and_not_a_list() -> None:
    draw = rng()
    assert joins(dealt(draw, LIST[:20], 3)) == []
    assert together(joins(dealt(draw, LIST[:60], 3))) == [{0, 1, 2}]


def test_without_reference_communities_nothing_is_merged() -> None:
    assert joins(dealt(rng(), LIST, 4), honest=0) == []


def test_reference_communities_are_never_merged() -> None:
    """Even where random entities happen to work the list as well."""
    draw = rng()
    mine = dealt(draw, LIST, 4)
    numbers, known, counts = compared(
        mine[:2], [*(public(draw) for _ in range(HONEST)), *mine[2:]], public(draw, 20_000)
    )
    merged = {n for a, b, _ in sub_clusters.merges(numbers, known, counts, RATE) for n in (a, b)}
    assert all(n < FIRST for n in merged)
    candidates = sub_clusters.candidates(numbers, known, counts.same_cell, counts.usual)
    assert candidates.tolist() == [0, 1]


def test_a_few_exchanges_show_no_list() -> None:
    """With so few pairs about the same topic, unrelated groups would not repeat each other either."""
    assert joins(dealt(rng(), LIST, 2, each=20)) == []


def test_merged_sub_clusters_are_tested_further_as_one() -> None:
    """A later sub-cluster is compared with all that were merged before: the pairs add up."""
    found = joins(dealt(rng(), LIST, 6, each=200))
    assert together(found) == [set(range(6))]
    assert len(found) == 5


def test_the_order_of_the_sub_clusters_does_not_matter() -> None:
    draw = rng()
    cells = [*dealt(draw, LIST, 3), *(public(draw) for _ in range(3))]
    order = [4, 0, 5, 2, 1, 3]
    mixed = together(joins([cells[i] for i in order]))
    assert [{order[n] for n in part} for part in mixed] == together(joins(cells)) == [{0, 1, 2}]


# ---- how often honest groups are merged ------------------------------------------------------------------------------


def trading(seed: int) -> tuple[np.ndarray, np.ndarray, sub_clusters.Counts]:
    """A log of trades: communities and clusters alike are teams in a few of them, with tastes of their own."""
    draw = np.random.default_rng([7, seed])
    trades = [draw.choice(np.arange(100, CELLS), 60, replace=False) for _ in range(4)]
    groups = [team(draw, trades[draw.integers(4)], 300, own=0.25) for _ in range(HONEST + 10)]
    return compared(groups[HONEST:], groups[:HONEST], public(draw, 20_000))


def test_at_most_one_honest_log_in_twenty_has_a_merge() -> None:
    """Bonferroni over the pairs tried holds the family-wise rate, measured on logs where pairs are tried at all."""
    logs, tried, wrong = 200, 0, 0
    for seed in range(logs):
        numbers, known, counts = trading(seed)
        tried += len(sub_clusters.candidates(numbers, known, counts.same_cell, counts.usual)) >= 2
        wrong += bool(sub_clusters.merges(numbers, known, counts, RATE))
    assert tried > 0.9 * logs, "hardly any pair was tried, so the rate shows nothing"
    assert wrong <= binom.ppf(0.995, logs, 0.05), f"{wrong} of {logs}"


def test_the_p_value_of_a_merge_is_corrected_for_the_pairs_tried() -> None:
    draw = rng()
    two = dealt(draw, LIST, 2)
    alone = joins(two)
    other = [part for k in range(3) for part in dealt(draw, np.arange(100 + 100 * k, 200 + 100 * k), 2)]
    among = next(p for a, b, p in joins([*two, *other]) if {a, b} == {0, 1})
    assert among > alone[0][2]


# ---- strays, and the merged cluster --------------------------------------------------------------------------------


def worked(entities: dict[int, Asked], number: int = 0, known: tuple[int, ...] = ()) -> pa.Table:
    """Counts by entity and cell. known: entities whose every prompt somebody else sent too."""
    rows = [
        {"cluster": number, "entity": entity, "cell": int(c), "n": int(n), "known": int(n) if entity in known else 0}
        for entity, asked in entities.items()
        for c, n in zip(*np.unique(asked.cell, return_counts=True), strict=True)
    ]
    counts = [(name, pa.int64()) for name in ("cell", "n", "known")]
    return pa.Table.from_pylist(rows, schema=pa.schema([("cluster", pa.int32()), ("entity", pa.int32()), *counts]))


def workers(table: pa.Table, usual: pa.Table, part: int = 1000) -> dict[tuple[int, int], bool]:
    """Who works the list, from a table in batches of `part` rows."""
    entities = table.group_by(["cluster", "entity"]).aggregate([("n", "sum"), ("known", "sum")])
    lists = table.group_by(["cluster", "cell"]).aggregate([("n", "sum")]).rename_columns(["cluster", "cell", "n"])
    entities = entities.rename_columns(["cluster", "entity", "n", "known"])
    return sub_clusters.workers(sub_clusters.Workload(entities, lists, table.combine_chunks().to_batches(part)), usual)


def test_an_entity_that_asks_what_everybody_asks_does_not_work_the_list() -> None:
    draw = rng()
    members = dict(enumerate(dealt(draw, LIST, 12, each=60)))
    others = {100 + k: public(draw, 60) for k in range(3)}
    works = workers(worked({**members, **others}), background(public(draw, 20_000)))
    assert works == {(0, k): True for k in range(12)} | {(0, 100 + k): False for k in range(3)}


def test_an_entity_whose_questions_others_send_word_for_word_does_not_work_the_list() -> None:
    """An evaluation lab asks about the list's topics too, but everybody asks its benchmark."""
    draw = rng()
    entities = dict(enumerate(dealt(draw, LIST, 12, each=60)))
    works = workers(worked(entities, known=(4, 7)), background(public(draw, 20_000)))
    assert works == {(0, k): k not in (4, 7) for k in range(12)}


def test_an_entity_with_hardly_any_questions_is_left_out() -> None:
    draw = rng()
    entities = dict(enumerate(dealt(draw, LIST, 12, each=60)))
    entities[12] = Asked(entities[0].cell[:2], entities[0].prompt[:2])
    works = workers(worked(entities), background(public(draw, 20_000)))
    assert (0, 12) not in works and len(works) == 12


@pytest.mark.parametrize("part", [1, 7, 100])
def test_the_size_of_batches_does_not_change_who_works_the_list(part: int) -> None:
    draw = rng()
    entities = {**dict(enumerate(dealt(draw, LIST, 12, each=60))), **{100 + k: public(draw, 60) for k in range(3)}}
    usual = background(public(draw, 20_000))
    assert workers(worked(entities), usual, part) == workers(worked(entities), usual)


def test_each_entity_is_compared_with_the_list_of_its_own_cluster() -> None:
    draw = rng()
    one, other = (dict(enumerate(dealt(draw, part, 8, each=60))) for part in (np.arange(100, 200), np.arange(300, 400)))
    tables = pa.concat_tables([worked(one, 0), worked({20 + k: v for k, v in other.items()}, 4)])
    assert all(workers(tables, background(public(draw, 20_000))).values())


def ring(first: int, size: int) -> list[dict[str, int | str | float]]:
    return [
        {"signal": c, "entity": first + e, "attribute": first, "n": 3, "users": size, "trusted": 0, "weight": 6.6}
        for c in ("payment", "template")
        for e in range(size)
    ]


@pytest.fixture
def rings() -> Clusters:
    """Three rings without a common attribute: clusters 0, 1 and 2 of entities 0-9, 20-31 and 40-46."""
    return cluster(incidences([*ring(0, 10), *ring(20, 12), *ring(40, 7)]), [], 0).clusters


ONE = {(0, e): True for e in (*range(10), *range(20, 32))}
TWO = {(0, e): True for e in (*range(10), *range(40, 47))}


def listed(found: Clusters) -> dict[str, float]:
    row = next(r for r in found.attributes.to_pylist() if r["signal"] == sub_clusters.SIGNAL.signal.name)
    return {k: row[k] for k in ("cluster", "inside", "users", "trusted", "weight")}


def test_merged_sub_clusters_are_one_cluster_with_all_their_attributes_and_the_list(rings: Clusters) -> None:
    found = sub_clusters.merge(rings, sub_clusters.merge_table([(0, 2, 0.01)]), TWO, np.zeros(60, bool), 0.2)
    by_cluster = {c: found.groups.filter(pa.array(found.groups["cluster"].to_numpy() == c)) for c in (0, 1)}
    assert by_cluster[0]["entity"].to_pylist() == [*range(10), *range(40, 47)]
    assert by_cluster[1]["entity"].to_pylist() == list(range(20, 32))
    assert set(found.groups["cluster"].to_pylist()) == {0, 1}
    attributes = {(r["cluster"], r["signal"], r["attribute"]) for r in found.attributes.to_pylist()}
    assert {
        (0, "payment", 0),
        (0, "payment", 40),
        (0, "template", 40),
        (0, sub_clusters.SIGNAL.signal.name, 0),
    } <= attributes
    edges = [r for r in found.edges.to_pylist() if r["signal"] == sub_clusters.SIGNAL.signal.name]
    assert sorted(r["entity"] for r in edges) == [*range(10), *range(40, 47)]


@pytest.mark.parametrize("trusted", [0, 3, 8])
def test_the_list_that_merges_is_weighed_by_how_few_trusted_entities_work_it(rings: Clusters, trusted: int) -> None:
    who = np.arange(60) < trusted
    row = listed(sub_clusters.merge(rings, sub_clusters.merge_table([(0, 1, 0.01)]), ONE, who, 0.2))
    assert (row["inside"], row["trusted"]) == (22, trusted)
    assert row["weight"] == pytest.approx(min(sub_clusters.SIGNAL.cap, float(lower_tail(22, trusted, 0.2))))


def test_where_no_account_is_trusted_the_list_weighs_a_fixed_amount(rings: Clusters) -> None:
    row = listed(sub_clusters.merge(rings, sub_clusters.merge_table([(0, 1, 0.01)]), ONE, np.zeros(60, bool), 0.0))
    assert row["weight"] == sub_clusters.LINK_WEIGHT


def test_an_entity_that_works_something_else_is_in_no_table_of_the_merged_cluster(rings: Clusters) -> None:
    works = ONE | {(0, 3): False, (0, 25): False}
    found = sub_clusters.merge(rings, sub_clusters.merge_table([(0, 1, 0.01)]), works, np.zeros(60, bool), 0.2)
    inside = found.groups.filter(pa.array(found.groups["cluster"].to_numpy() == 0))["entity"].to_pylist()
    assert inside == [e for e in [*range(10), *range(20, 32)] if e not in (3, 25)]
    assert not {3, 25} & set(found.edges["entity"].to_pylist())
    assert listed(found)["inside"] == 20


def test_an_entity_that_asked_nothing_stays_if_well_linked_and_leaves_if_not(rings: Clusters) -> None:
    faint = pc.if_else(pc.equal(rings.groups["entity"], 25), 1.3, rings.groups["mass"])
    near = rings._replace(groups=rings.groups.set_column(2, "mass", faint))
    works = {k: v for k, v in ONE.items() if k not in {(0, 3), (0, 25)}}
    found = sub_clusters.merge(near, sub_clusters.merge_table([(0, 1, 0.01)]), works, np.zeros(60, bool), 0.2)
    inside = set(found.groups.filter(pc.equal(found.groups["cluster"], 0))["entity"].to_pylist())
    assert 3 in inside and 25 not in inside
    listed_entities = found.edges.filter(pc.equal(found.edges["signal"], sub_clusters.SIGNAL.signal.name))[
        "entity"
    ].to_pylist()
    assert not {3, 25} & set(listed_entities)


def test_a_chain_of_merges_is_one_cluster_with_its_largest_p_value() -> None:
    found = sub_clusters.merge_table([(3, 5, 0.001), (1, 3, 0.02), (7, 9, 0.004)]).to_pylist()
    assert [(r["cluster"], r["sub_cluster"], r["p_value"]) for r in found] == [
        (1, 1, 0.02),
        (1, 3, 0.02),
        (1, 5, 0.02),
        (7, 7, 0.004),
        (7, 9, 0.004),
    ]
