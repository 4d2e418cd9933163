"""Clusters: who is linked to whom, whatever the order of rows and the names of things."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from tests.unit.incidences import incidences, rows_of

from clonewatch.graph import communities_in_common
from clonewatch.graph import incidences as incidences_module
from clonewatch.graph.clusters import FIRST_PART, Clusters, cluster, stability
from clonewatch.graph.leiden import SMALLEST
from clonewatch.graph.weights import LEAST_WEIGHT, Incidences


def rows(*carried: tuple[str, int, int], weight: float = 3 * LEAST_WEIGHT) -> list[dict[str, Any]]:
    """Rows of incidences from (signal, attribute, entity)."""
    users = Counter((signal, attribute) for signal, attribute, _ in carried)
    return [
        {"signal": c, "entity": e, "attribute": t, "n": 2, "users": users[c, t], "trusted": 0, "weight": weight}
        for c, t, e in carried
    ]


def attributes(*carried: tuple[str, int, int], weight: float = 3 * LEAST_WEIGHT) -> Incidences:
    """Incidences from (signal, attribute, entity)."""
    return incidences(rows(*carried, weight=weight))


def ring(first: int, size: int, salt: int, kinds: int = 3) -> list[tuple[str, int, int]]:
    """Entities that share most of a few attributes of each of two signals."""
    draw = np.random.default_rng(salt)
    return [
        (signal, salt * 100 + attribute, first + entity)
        for signal in ("template", "payment")
        for attribute in range(kinds)
        for entity in range(size)
        if draw.random() < 0.7
    ]


def members(found: Clusters) -> list[set[int]]:
    number, entity = found.groups["cluster"].to_numpy(), found.groups["entity"].to_numpy()
    return [set(entity[number == n].tolist()) for n in np.unique(number)]


def test_two_rings_that_share_nothing_are_two_clusters() -> None:
    found = members(cluster(attributes(*ring(0, 20, 1), *ring(100, 15, 2)), [], 0).clusters)
    assert found == [set(range(20)), set(range(100, 115))]


def test_one_shared_entity_does_not_merge_two_rings() -> None:
    """One entity with an attribute of each ring leaves two clusters."""
    both = [*ring(0, 20, 1), *ring(100, 20, 2), ("template", 100, 50), ("template", 200, 50)]
    found = members(cluster(attributes(*both), [], 0).clusters)
    assert sum(len(f & set(range(20))) >= 15 for f in found) == 1
    assert not any(f & set(range(20)) and f & set(range(100, 120)) for f in found)


def test_a_household_is_not_a_cluster() -> None:
    few = [("payment", 1, e) for e in range(SMALLEST - 1)]
    assert cluster(attributes(*few), [], 0).clusters.groups.num_rows == 0
    assert len(members(cluster(attributes(*few, ("payment", 1, 99)), [], 0).clusters)[0]) == SMALLEST


def test_the_same_seed_gives_the_same_tables() -> None:
    table = attributes(*ring(0, 40, 1, 8), *ring(30, 40, 2, 8))
    one, other = cluster(table, [], 3).clusters, cluster(table, [], 3).clusters
    assert all(a.equals(b) for a, b in zip(one[:3], other[:3], strict=True))


def test_clusters_are_numbered_by_their_lowest_entity() -> None:
    found = cluster(attributes(*ring(500, 20, 1), *ring(3, 15, 2)), [], 0).clusters
    lowest = [min(part) for part in members(found)]
    assert lowest == sorted(lowest) and lowest[0] == 3


def test_entities_with_weak_attributes_only_are_left_out() -> None:
    strong = [("payment", 1, e) for e in range(10)]
    weak = [("phone", 9, e) for e in range(5, 20)]
    found = members(cluster(attributes(*strong, *weak), ["phone"], 0, ["phone"]).clusters)
    assert found == [set(range(10))]


def test_communities_with_most_attributes_in_common_are_merged() -> None:
    """Two communities, each with cards of its own, that share five templates."""
    label = np.repeat([0, 1], 10)
    rows = [(e, t) for e in range(20) for t in range(5)] + [(e, 10 + e // 10) for e in range(20)]
    entity, attribute = np.array(rows).T
    merged = communities_in_common.merged(label, entity, attribute, np.ones(len(rows)), np.zeros(12, bool))
    assert len(set(merged.tolist())) == 1


@pytest.mark.parametrize(("exclusive", "groups"), [(True, 1), (False, 2)])
def test_cards_of_their_own_do_not_keep_parts_of_one_operation_apart(exclusive: bool, groups: int) -> None:
    """Two communities that share two things of four: what each has alone are cards, or its own prompts."""
    label = np.repeat([0, 1], 10)
    rows = [(e, t) for e in range(20) for t in (0, 1)] + [(e, 10 + e // 10 + 2 * k) for e in range(20) for k in (0, 1)]
    entity, attribute = np.array(rows).T
    lone = np.arange(14) >= 10 if exclusive else np.zeros(14, bool)
    order = np.argsort(attribute, kind="stable")
    merged = communities_in_common.merged(label, entity[order], attribute[order], np.ones(len(rows)), lone)
    assert len(set(merged.tolist())) == groups


def test_two_operations_that_use_the_same_templates_are_two_clusters() -> None:
    """Each has a prompt, a network and devices of its own, and both draw from one set of templates."""
    draw = np.random.default_rng(3)
    carried = []
    for operation in (0, 1):
        for entity in range(30 * operation, 30 * operation + 30):
            carried += [("system_prompt", operation, entity), ("egress", operation, entity)]
            carried += [("device", 3 * operation + entity % 3, entity)]
            carried += [("template", int(t), entity) for t in draw.choice(8, 4, replace=False)]
    found = members(cluster(attributes(*carried), [], 0, ["device"]).clusters)
    assert found == [set(range(30)), set(range(30, 60))]


def test_communities_with_little_in_common_stay_separate() -> None:
    label = np.repeat([0, 1], 10)
    own = [(e, 10 * (e // 10) + k) for e in range(20) for k in range(5)]
    entity, attribute = np.array([*own, *((e, 99) for e in range(20))]).T
    merged = communities_in_common.merged(label, entity, attribute, np.ones(len(entity)), np.zeros(100, bool))
    assert merged[0] != merged[10]


def test_an_attribute_of_everybody_merges_no_communities() -> None:
    crowds = communities_in_common._SPREAD + 5
    label = np.repeat(np.arange(crowds), 3)
    entity = np.arange(len(label))
    merged = communities_in_common.merged(
        label, entity, np.zeros(len(label), int), np.ones(len(label)), np.zeros(1, bool)
    )
    assert len(set(merged.tolist())) == crowds


def test_a_cluster_attribute_has_a_good_share_of_its_users_in_the_cluster() -> None:
    shared = [("egress", 7, e) for e in range(1000, 1100)] + [("egress", 7, 0), ("egress", 7, 1)]
    found = cluster(attributes(*ring(0, 20, 1), *shared), [], 0).clusters
    ours = next(n for n, part in enumerate(members(found)) if 5 in part)
    attributes_of_it = [r for r in found.attributes.to_pylist() if r["cluster"] == ours]
    assert {r["signal"] for r in attributes_of_it} == {"template", "payment"}


def test_a_cluster_attribute_states_how_many_of_its_users_are_inside() -> None:
    found = cluster(attributes(*[("payment", 1, e) for e in range(8)]), [], 0).clusters
    assert found.attributes.to_pylist() == [
        {
            "cluster": 0,
            "signal": "payment",
            "attribute": 1,
            "inside": 8,
            "users": 8,
            "trusted": 0,
            "weight": 3 * LEAST_WEIGHT,
            "n": 16,
        }
    ]
    assert found.edges["entity"].to_pylist() == list(range(8))


def test_no_attributes_give_no_clusters() -> None:
    assert [t.num_rows for t in cluster(attributes(), [], 0).clusters[:3]] == [0, 0, 0]


def test_entities_outside_every_cluster_change_none() -> None:
    table = ring(0, 20, 1)
    more = [("device", 1000 + e // 2, 500 + e) for e in range(40)]
    assert members(cluster(attributes(*table, *more), [], 0).clusters) == members(
        cluster(attributes(*table), [], 0).clusters
    )


def test_a_ring_whose_entities_all_meet_each_other_is_one_cluster() -> None:
    """Ego networks of a clique: every entity is an attribute that all of them carry."""
    for size in (6, 8, 10, 24):
        clique = [("synchrony", attribute, entity) for attribute in range(size) for entity in range(size)]
        assert members(cluster(attributes(*clique), [], 0).clusters) == [set(range(size))]


# ---- faint attributes ------------------------------------------------------------------------------------------------


FAINT = LEAST_WEIGHT / 2


def test_faint_attributes_link_a_small_group_that_nothing_stronger_links() -> None:
    cell = [(signal, 70 + k, 300 + e) for signal in ("template", "payment") for k in range(2) for e in range(8)]
    found = members(cluster(incidences([*rows(*ring(0, 20, 1)), *rows(*cell, weight=FAINT)]), [], 0).clusters)
    assert found == [set(range(20)), set(range(300, 308))]


def test_faint_attributes_add_nothing_to_clusters_of_strong_ones() -> None:
    """A habit that both rings and a crowd share links only the entities that no strong attribute places."""
    strong = rows(*ring(0, 20, 1), *ring(100, 20, 2))
    habit = rows(*[("client", 9, e) for e in [*range(20), *range(100, 120), *range(200, 212)]], weight=FAINT)
    found = members(cluster(incidences([*strong, *habit]), [], 0).clusters)
    assert found[:2] == [set(range(20)), set(range(100, 120))]
    assert all(part <= set(range(200, 212)) for part in found[2:])


def test_a_faint_attribute_adds_no_entity_to_a_cluster_of_strong_ones() -> None:
    faint = rows(*[("egress", 5, e) for e in (0, 1, 2, 3, 4, 50)], weight=FAINT)
    assert members(cluster(incidences([*rows(*ring(0, 20, 1)), *faint]), [], 0).clusters) == [set(range(20))]


# ---- parts ---------------------------------------------------------------------------------------------------------


def two_users_of_one_harness() -> Incidences:
    """Entities 0-29 and 100-129: each half has templates of its own, and both have the software in common.

    Many rings that hang together with them make the graph so large that modularity overlooks the two halves.
    """
    halves = [
        *(("client", 1, e) for e in [*range(30), *range(100, 130)]),
        *(("template", 1000 + first + t, first + e) for first in (0, 100) for t in range(3) for e in range(30)),
    ]
    others = [row for n in range(60) for row in ring(1000 + 50 * n, 30, n + 20, 8)]
    return attributes(*halves, *others, *(("client", 99, e) for e in [0, *range(1000, 4000, 50)]))


def test_two_operations_with_one_harness_are_one_cluster_of_two_parts() -> None:
    found = cluster(two_users_of_one_harness(), [], 0)
    assert set(range(30)) | set(range(100, 130)) in members(found.clusters)
    halves = [inside for inside in members(found.parts) if inside & set(range(130))]
    assert halves == [set(range(30)), set(range(100, 130))]
    assert min(found.parts.groups["cluster"].to_pylist()) == FIRST_PART


def test_a_part_lies_within_one_cluster_and_parts_have_no_entity_in_common() -> None:
    found = cluster(two_users_of_one_harness(), [], 0)
    whole = {e: n for n, inside in enumerate(members(found.clusters)) for e in inside}
    assert all(len({whole[e] for e in inside}) == 1 for inside in members(found.parts))
    assert len(found.parts.groups) == len(set(found.parts.groups["entity"].to_pylist()))


def test_a_cluster_that_does_not_fall_apart_has_no_parts() -> None:
    clique = [(signal, t, e) for signal in ("client", "payment") for t in range(3) for e in range(40)]
    assert cluster(attributes(*clique), [], 0).parts.groups.num_rows == 0


def test_an_entity_in_no_community_joins_the_one_of_its_group_with_which_it_shares_most() -> None:
    label, within = np.array([0, 0, 1, 1, 2, 2, -1, -1, -1]), np.array([0, 0, 0, 0, 1, 1, 0, 0, -1])
    carried = [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (6, 0), (6, 1), (6, 2), (7, 2), (8, 0)]
    entity, attribute = np.array(sorted(carried, key=lambda pair: pair[1])).T
    weight = np.where((entity == 6) & (attribute == 1), 2.0, 1.0)
    placed = communities_in_common.with_strays(label, within, entity, attribute, weight)
    assert placed.tolist() == [0, 0, 1, 1, 2, 2, 1, -1, -1]


# ---- dependence on the seed ----------------------------------------------------------------------------------------


def test_rings_that_share_nothing_are_found_under_every_seed() -> None:
    """Everybody carries everything that is shared."""
    whole = [(c, salt, salt + e) for salt in (0, 100) for c in ("template", "payment") for e in range(20 - salt // 20)]
    table = attributes(*whole)
    stable, together = stability(table, [], cluster(table, [], 0), range(1, 6))
    assert stable == {0: 1.0, 1: 1.0}
    assert set(together.values()) == {1.0} and len(together) == 35


def random_graph(seed: int = 4) -> Incidences:
    """Sixty entities and forty attributes at random: every partition is as good as any other."""
    draw = np.random.default_rng(seed)
    return attributes(*sorted({("template", int(t), int(e)) for e in range(60) for t in draw.choice(40, 3)}))


def test_a_random_graph_has_low_stability() -> None:
    table = random_graph()
    found = cluster(table, [], 0)
    stable, together = stability(table, [], found, range(1, 8))
    assert len(stable) >= 2 and min(stable.values()) < 0.6
    assert min(together.values()) < 0.8, "some entity must be fringe"
    assert all(0 <= v <= 1 for v in [*stable.values(), *together.values()])


def test_consensus_is_the_share_of_clusterings_that_keep_an_entity() -> None:
    """Under the same seed no entity is in doubt, and the result does not depend on the order of the seeds."""
    table = random_graph()
    found = cluster(table, [], 3)
    assert set(stability(table, [], found, [3])[1].values()) == {1.0}
    one, other = (stability(table, [], found, order) for order in ([1, 2, 4], [4, 2, 1]))
    assert one[0] == pytest.approx(other[0]) and one[1] == pytest.approx(other[1])
    seeds = [1, 2, 4, 5]
    _, together = stability(table, [], found, seeds)
    assert {round(v * len(seeds), 9) % 1 for v in together.values()} == {0.0}


def test_a_cluster_that_no_other_seed_finds_has_no_stability() -> None:
    """The other clusterings find nothing at all."""
    found = cluster(attributes(*ring(0, 20, 1)), [], 0)
    stable, together = stability(attributes(), [], found, [1, 2])
    assert stable == {0: 0.0} and set(together.values()) == {0.0}


def test_processing_in_chunks_gives_the_same_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded memory must not change the result."""
    habit = rows(*[("client", 9, e) for e in [*range(20), *range(100, 112), *range(200, 212)]], weight=FAINT)
    table = incidences([*rows(*ring(0, 20, 1, 8), *ring(15, 20, 2, 8), *ring(100, 12, 3)), *habit])
    whole = cluster(table, [], 0)
    expected = stability(table, [], whole, [1, 2])
    for size in (1, 7, 50):
        monkeypatch.setattr(incidences_module, "_CHUNK", size)
        found = cluster(table, [], 0)
        pairs = (zip(a[:3], b[:3], strict=True) for a, b in zip(found, whole, strict=True))
        assert all(a.equals(b) for pair in pairs for a, b in pair)
        assert stability(table, [], found, [1, 2]) == expected
        for clusters in found:
            chosen = incidences_module.carriers(clusters.groups, clusters.incidences, clusters.attributes)
            assert sorted(zip(*chosen.to_pydict().values(), strict=True)) == sorted(carried_by_hand(table, clusters))


def carried_by_hand(table: Incidences, found: Clusters) -> list[tuple[int, str, int, int]]:
    """Every (cluster, signal, attribute, entity) of a cluster attribute and an entity of that cluster."""
    cluster_of = dict(zip(found.groups["entity"].to_pylist(), found.groups["cluster"].to_pylist(), strict=True))
    own = {(r["cluster"], r["signal"], r["attribute"]) for r in found.attributes.to_pylist()}
    keys = [(cluster_of.get(r["entity"]), r["signal"], r["attribute"], r["entity"]) for r in rows_of(table)]
    return [
        (c, signal, attribute, e) for c, signal, attribute, e in keys if (c, signal, attribute) in own and c is not None
    ]
