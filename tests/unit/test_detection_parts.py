"""Of a cluster and its parts, the ones that show more are kept."""

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.incidences import incidences

from clonewatch.campaigns.fusion import LINK_BITS, Criteria, Verdict
from clonewatch.graph.clusters import CLUSTER_ATTRIBUTE_SCHEMA, FIRST_PART, GROUP_SCHEMA, Clusters
from clonewatch.graph.incidences import EDGE_SCHEMA, ClusterIncidences
from clonewatch.pipeline.detection.parts import by_grain, chosen, kept, wholes
from clonewatch.pipeline.detection.stages import Clustering, Selection, Stability

ONE, TWO = FIRST_PART, FIRST_PART + 1


def grain(groups: dict[int, list[int]], owned: dict[int, list[int]] | None = None) -> Clusters:
    """Clusters of these entities. owned: the attributes of each cluster, which all of its entities carry."""
    rows = [{"cluster": c, "entity": e, "mass": 1.0, "attributes": 1} for c, inside in groups.items() for e in inside]
    owned = owned or {}
    attributes = [
        {"cluster": c, "signal": "template", "attribute": a, "inside": len(groups[c]), "users": 9, "trusted": 0}
        | {"weight": 4.0, "n": 9}
        for c, mine in owned.items()
        for a in mine
    ]
    edges = [
        {"cluster": c, "entity": e, "signal": "template", "weight": 4.0} for c in owned for e in groups[c] if owned[c]
    ]
    pairs = sorted((a, e) for c, mine in owned.items() for a in mine for e in groups[c])
    table = incidences(
        [{"signal": "template", "attribute": 7, "entity": 0, "n": 1, "users": 2, "trusted": 0, "weight": 4.0}]
    )
    carried = ClusterIncidences(table.attributes, *(np.array([p[i] for p in pairs], np.int32) for i in (0, 1)))
    return Clusters(
        pa.Table.from_pylist(rows, GROUP_SCHEMA),
        pa.Table.from_pylist(attributes, CLUSTER_ATTRIBUTE_SCHEMA),
        pa.Table.from_pylist(edges, EDGE_SCHEMA),
        carried,
    )


def clustering(sizes: tuple[int, int], parts: dict[int, list[int]]) -> Clustering:
    """Cluster 0 of the first entities and cluster 1 of the next ones, with these parts."""
    first, second = sizes
    clusters = grain({0: list(range(first)), 1: list(range(first, first + second))})
    uses_all = dict.fromkeys([0, 1, *parts], True)
    selection = Selection(CLUSTER_ATTRIBUTE_SCHEMA.empty_table(), uses_all)
    return Clustering({}, clusters, grain(parts), selection, Stability({}, {}, 1))


def verdict(number: int, bits: float, ratio: float, *, flagged: bool = False, linked: bool = True) -> Verdict:
    link_bits = LINK_BITS if linked else 0.0
    return Verdict(number, bits, link_bits, (), (), (), (), ratio, flagged, criteria=Criteria())


def test_a_part_that_shows_as_much_as_its_cluster_replaces_it() -> None:
    """The others add nothing: they are strangers, or somebody else's."""
    found = clustering((20, 8), {ONE: list(range(12)), TWO: list(range(12, 20))})
    judged = [verdict(0, 12, 0.9), verdict(1, 5, 0.2), verdict(ONE, 28, 1.7, flagged=True), verdict(TWO, -4, -1)]
    assert wholes(found) == {ONE: 0, TWO: 0}
    assert kept(found, judged) == {1, ONE, TWO}


@pytest.mark.parametrize(
    ("part", "why"),
    [
        (verdict(ONE, 20, 1.2, flagged=True), "its sum of families is lower"),
        (verdict(ONE, 28, 1.1, flagged=True), "its threshold ratio is lower"),
        (verdict(ONE, 28, 1.7, flagged=False), "the cluster is flagged, and it is not"),
        (verdict(ONE, 28, 1.7, flagged=True, linked=False), "nothing links it"),
    ],
)
def test_a_part_that_shows_less_than_its_cluster_replaces_nothing(part: Verdict, why: str) -> None:
    """Cells of one operation hold less of it than the whole."""
    found = clustering((20, 8), {ONE: list(range(12)), TWO: list(range(12, 20))})
    judged = [verdict(0, 28, 1.7, flagged=True), verdict(1, 5, 0.2), part, verdict(TWO, 0, 0)]
    assert kept(found, judged) == {0, 1}, why


def test_parts_that_show_as_much_must_hold_half_of_the_cluster() -> None:
    """A few accounts that all do the same may look as one-sided by chance."""
    strong, weak = verdict(ONE, 28, 1.7, flagged=True), verdict(TWO, 0, 0)
    small = clustering((20, 8), {ONE: list(range(9)), TWO: list(range(9, 20))})
    assert kept(small, [verdict(0, 12, 0.9), verdict(1, 5, 0.2), strong, weak]) == {0, 1}
    both = [verdict(0, 12, 0.9), verdict(1, 5, 0.2), strong, verdict(TWO, 20, 0.9)]
    assert kept(small, both) == {1, ONE, TWO}


def test_what_is_kept_holds_no_entity_twice_and_each_with_the_attributes_of_its_own() -> None:
    clusters = grain({0: [0, 1, 2, 3], 1: [4, 5]}, {0: [7], 1: [8]})
    parts = grain({ONE: [0, 1], TWO: [2, 3]}, {ONE: [9], TWO: []})
    selection = Selection(CLUSTER_ATTRIBUTE_SCHEMA.empty_table(), dict.fromkeys((0, 1, ONE, TWO), True))
    found = chosen(Clustering({}, clusters, parts, selection, Stability({}, {}, 1)), {1, ONE, TWO})
    assert found.clusters.groups.select(["cluster", "entity"]).to_pydict() == {
        "cluster": [1, 1, ONE, ONE, TWO, TWO],
        "entity": [4, 5, 0, 1, 2, 3],
    }
    assert sorted(found.clusters.attributes["attribute"].to_pylist()) == [8, 9]
    carried = found.clusters.incidences
    assert list(zip(carried.attribute.tolist(), carried.entity.tolist(), strict=True)) == [
        (8, 4),
        (8, 5),
        (9, 0),
        (9, 1),
    ]
    assert not found.parts.groups.num_rows and set(found.selection.uses_all) == {1, ONE, TWO}


def test_rows_are_told_apart_by_grain() -> None:
    table = pa.table({"cluster": pa.array([0, FIRST_PART - 1, FIRST_PART, FIRST_PART + 5], pa.int32())})
    assert [part["cluster"].to_pylist() for part in by_grain(table)] == [[0, FIRST_PART - 1], [ONE, FIRST_PART + 5]]
