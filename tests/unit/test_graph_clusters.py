"""Clusters: who is tied to whom, whatever the order of the rows and the names of things."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from tests.unit.incidences import incidences, rows_of

from clonewatch.graph import clusters as module
from clonewatch.graph import incidences as carried
from clonewatch.graph.clusters import SMALLEST, Clusters, cluster, stability
from clonewatch.graph.weights import LEAST_WEIGHT, Incidences


def rows(*held: tuple[str, int, int], weight: float = 3 * LEAST_WEIGHT) -> list[dict[str, Any]]:
    """Rows of incidences from (signal, attribute, entity)."""
    users = Counter((signal, attribute) for signal, attribute, _ in held)
    return [
        {"signal": c, "entity": e, "attribute": t, "n": 2, "users": users[c, t], "trusted": 0, "weight": weight}
        for c, t, e in held
    ]


def attributes(*held: tuple[str, int, int], weight: float = 3 * LEAST_WEIGHT) -> Incidences:
    """Incidences from (signal, attribute, entity)."""
    return incidences(rows(*held, weight=weight))


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


def parts(found: Clusters) -> list[set[int]]:
    number, entity = found.groups["cluster"].to_numpy(), found.groups["entity"].to_numpy()
    return [set(entity[number == n].tolist()) for n in np.unique(number)]


def test_two_rings_that_share_nothing_are_two_clusters() -> None:
    found = parts(cluster(attributes(*ring(0, 20, 1), *ring(100, 15, 2)), [], 0))
    assert found == [set(range(20)), set(range(100, 115))]


def test_a_passer_by_does_not_join_two_rings() -> None:
    """One entity with an attribute of each ring leaves them two."""
    both = [*ring(0, 20, 1), *ring(100, 20, 2), ("template", 100, 50), ("template", 200, 50)]
    found = parts(cluster(attributes(*both), [], 0))
    assert sum(len(f & set(range(20))) >= 15 for f in found) == 1
    assert not any(f & set(range(20)) and f & set(range(100, 120)) for f in found)


def test_a_household_is_no_cluster() -> None:
    few = [("payment", 1, e) for e in range(SMALLEST - 1)]
    assert cluster(attributes(*few), [], 0).groups.num_rows == 0
    assert len(parts(cluster(attributes(*few, ("payment", 1, 99)), [], 0))[0]) == SMALLEST


def test_the_same_seed_gives_the_same_tables() -> None:
    table = attributes(*ring(0, 40, 1, 8), *ring(30, 40, 2, 8))
    one, other = cluster(table, [], 3), cluster(table, [], 3)
    assert all(a.equals(b) for a, b in zip(one[:3], other[:3], strict=True))


def test_clusters_are_numbered_by_their_lowest_entity() -> None:
    found = cluster(attributes(*ring(500, 20, 1), *ring(3, 15, 2)), [], 0)
    lowest = [min(part) for part in parts(found)]
    assert lowest == sorted(lowest) and lowest[0] == 3


def test_entities_with_weak_attributes_alone_are_left_out() -> None:
    strong = [("payment", 1, e) for e in range(10)]
    weak = [("phone", 9, e) for e in range(5, 20)]
    found = parts(cluster(attributes(*strong, *weak), ["phone"], 0))
    assert found == [set(range(10))]


def test_halves_that_the_same_attributes_run_through_are_joined() -> None:
    """Two communities, each with cards of its own, both held by the same five templates."""
    label = np.repeat([0, 1], 10)
    rows = [(e, t) for e in range(20) for t in range(5)] + [(e, 10 + e // 10) for e in range(20)]
    entity, attribute = np.array(rows).T
    joined = module._joined(label, entity, attribute, np.ones(len(rows)))
    assert len(set(joined.tolist())) == 1


def test_halves_with_little_in_common_stay_apart() -> None:
    label = np.repeat([0, 1], 10)
    own = [(e, 10 * (e // 10) + k) for e in range(20) for k in range(5)]
    entity, attribute = np.array([*own, *((e, 99) for e in range(20))]).T
    joined = module._joined(label, entity, attribute, np.ones(len(entity)))
    assert joined[0] != joined[10]


def test_an_attribute_of_everybody_joins_no_two_clusters() -> None:
    crowds = module._SPREAD + 5
    label = np.repeat(np.arange(crowds), 3)
    entity = np.arange(len(label))
    joined = module._joined(label, entity, np.zeros(len(label), int), np.ones(len(label)))
    assert len(set(joined.tolist())) == crowds


def test_a_cluster_keeps_only_attributes_it_holds_a_good_part_of() -> None:
    shared = [("egress", 7, e) for e in range(1000, 1100)] + [("egress", 7, 0), ("egress", 7, 1)]
    found = cluster(attributes(*ring(0, 20, 1), *shared), [], 0)
    ours = next(n for n, part in enumerate(parts(found)) if 5 in part)
    bound = [r for r in found.attributes.to_pylist() if r["cluster"] == ours]
    assert {r["signal"] for r in bound} == {"template", "payment"}


def test_bound_attributes_say_how_many_of_their_users_are_inside() -> None:
    found = cluster(attributes(*[("payment", 1, e) for e in range(8)]), [], 0)
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
    assert [t.num_rows for t in cluster(attributes(), [], 0)[:3]] == [0, 0, 0]


def test_entities_outside_every_cluster_change_none() -> None:
    table = ring(0, 20, 1)
    more = [("device", 1000 + e // 2, 500 + e) for e in range(40)]
    assert parts(cluster(attributes(*table, *more), [], 0)) == parts(cluster(attributes(*table), [], 0))


def test_a_ring_whose_entities_all_meet_each_other_is_one_cluster() -> None:
    """Circles of a clique: every entity is an attribute that all of them carry."""
    for size in (6, 8, 10, 24):
        clique = [("synchrony", attribute, entity) for attribute in range(size) for entity in range(size)]
        assert parts(cluster(attributes(*clique), [], 0)) == [set(range(size))]


# ---- faint attributes ------------------------------------------------------------------------------------------------


FAINT = LEAST_WEIGHT / 2


def test_faint_attributes_link_a_small_cell_that_the_others_leave_alone() -> None:
    cell = [(signal, 70 + k, 300 + e) for signal in ("template", "payment") for k in range(2) for e in range(8)]
    found = parts(cluster(incidences([*rows(*ring(0, 20, 1)), *rows(*cell, weight=FAINT)]), [], 0))
    assert found == [set(range(20)), set(range(300, 308))]


def test_faint_attributes_glue_nothing_to_what_bold_ones_hold() -> None:
    """A habit that both rings and a crowd share is seen only among those whom no bold attribute places."""
    bold = rows(*ring(0, 20, 1), *ring(100, 20, 2))
    habit = rows(*[("client", 9, e) for e in [*range(20), *range(100, 120), *range(200, 212)]], weight=FAINT)
    found = parts(cluster(incidences([*bold, *habit]), [], 0))
    assert found[:2] == [set(range(20)), set(range(100, 120))]
    assert all(part <= set(range(200, 212)) for part in found[2:])


def test_a_faint_attribute_of_one_entity_more_joins_it_to_no_bold_cluster() -> None:
    faint = rows(*[("egress", 5, e) for e in (0, 1, 2, 3, 4, 50)], weight=FAINT)
    assert parts(cluster(incidences([*rows(*ring(0, 20, 1)), *faint]), [], 0)) == [set(range(20))]


# ---- how far the seed decides --------------------------------------------------------------------------------------


def test_rings_that_share_nothing_are_found_under_every_seed() -> None:
    """Everybody carries everything that is shared."""
    whole = [(c, salt, salt + e) for salt in (0, 100) for c in ("template", "payment") for e in range(20 - salt // 20)]
    table = attributes(*whole)
    stable, together = stability(table, [], cluster(table, [], 0), range(1, 6))
    assert stable == {0: 1.0, 1: 1.0}
    assert set(together.values()) == {1.0} and len(together) == 35


def chance_made(seed: int = 4) -> Incidences:
    """Sixty entities and forty attributes at random: every cut is as good as the next."""
    draw = np.random.default_rng(seed)
    return attributes(*sorted({("template", int(t), int(e)) for e in range(60) for t in draw.choice(40, 3)}))


def test_what_chance_made_is_told_by_its_low_stability() -> None:
    table = chance_made()
    found = cluster(table, [], 0)
    stable, together = stability(table, [], found, range(1, 8))
    assert len(stable) >= 2 and min(stable.values()) < 0.6
    assert min(together.values()) < 0.8, "somebody must be left to the fringe"
    assert all(0 <= v <= 1 for v in [*stable.values(), *together.values()])


def test_consensus_is_the_share_of_clusterings_that_keep_an_entity() -> None:
    """Compared with itself by the same seed nobody is in doubt, and the answer does not depend on the seeds' order."""
    table = chance_made()
    found = cluster(table, [], 3)
    assert set(stability(table, [], found, [3])[1].values()) == {1.0}
    one, other = (stability(table, [], found, order) for order in ([1, 2, 4], [4, 2, 1]))
    assert one[0] == pytest.approx(other[0]) and one[1] == pytest.approx(other[1])
    seeds = [1, 2, 4, 5]
    _, together = stability(table, [], found, seeds)
    assert {round(v * len(seeds), 9) % 1 for v in together.values()} == {0.0}


def test_a_cluster_that_no_other_seed_finds_has_no_stability() -> None:
    """Where the others find nothing at all."""
    found = cluster(attributes(*ring(0, 20, 1)), [], 0)
    stable, together = stability(attributes(), [], found, [1, 2])
    assert stable == {0: 0.0} and set(together.values()) == {0.0}


def test_a_log_looked_at_in_parts_has_the_same_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded memory must not show in the answer."""
    habit = rows(*[("client", 9, e) for e in [*range(20), *range(100, 112), *range(200, 212)]], weight=FAINT)
    table = incidences([*rows(*ring(0, 20, 1, 8), *ring(15, 20, 2, 8), *ring(100, 12, 3)), *habit])
    whole = cluster(table, [], 0)
    steady = stability(table, [], whole, [1, 2])
    for size in (1, 7, 50):
        monkeypatch.setattr(carried, "_CHUNK", size)
        found = cluster(table, [], 0)
        assert all(a.equals(b) for a, b in zip(found[:3], whole[:3], strict=True))
        assert stability(table, [], found, [1, 2]) == steady
        chosen = carried.carriers(found.groups, found.incidences, found.attributes)
        assert sorted(zip(*chosen.to_pydict().values(), strict=True)) == sorted(carried_by_hand(table, found))


def carried_by_hand(table: Incidences, found: Clusters) -> list[tuple[int, str, int, int]]:
    """Every (cluster, signal, attribute, entity) of an attribute that binds the cluster the entity is in."""
    cluster_of = dict(zip(found.groups["entity"].to_pylist(), found.groups["cluster"].to_pylist(), strict=True))
    binds = {(r["cluster"], r["signal"], r["attribute"]) for r in found.attributes.to_pylist()}
    keys = [(cluster_of.get(r["entity"]), r["signal"], r["attribute"], r["entity"]) for r in rows_of(table)]
    return [
        (c, signal, attribute, e)
        for c, signal, attribute, e in keys
        if (c, signal, attribute) in binds and c is not None
    ]
