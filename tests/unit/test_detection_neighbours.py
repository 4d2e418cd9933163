"""Neighbours: who lacks what ties the others to a cluster, and is not tested with them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from clonewatch.campaigns.fusion import LINK_BITS
from clonewatch.graph.incidences import EDGE_SCHEMA
from clonewatch.pipeline.detection import neighbours
from clonewatch.pipeline.detection.signals import linking_signals

SIGNALS = linking_signals()
FIRM = LINK_BITS + 5


def edges(**ties: tuple[range, float]) -> pa.Table:
    """Edges of cluster 0. ties: per signal, the entities that it ties and its weight."""
    rows = [
        {"cluster": 0, "entity": entity, "signal": signal, "weight": weight}
        for signal, (entities, weight) in ties.items()
        for entity in entities
    ]
    columns = {name: [row.get(name) for row in rows] for name in EDGE_SCHEMA.names}
    return pa.table(columns, schema=EDGE_SCHEMA)


def inside(**ties: tuple[range, float]) -> set[int]:
    families = neighbours.linking_families(edges(**ties), SIGNALS)
    everyone = sorted({entity for entities, _ in ties.values() for entity in entities})
    groups = pa.table({"cluster": pa.array([0] * len(everyone), pa.int32()), "entity": pa.array(everyone, pa.int32())})
    return set(neighbours.tested_entities(groups, families)["entity"].to_pylist())


def test_users_of_an_app_whose_prompts_a_campaign_copies_lack_its_network() -> None:
    everyone, members = range(20), range(13)
    found = inside(system_prompt=(everyone, FIRM), client=(everyone, 6.0), egress=(members, FIRM))
    assert found == set(members)


def test_a_family_that_ties_fewer_or_less_firmly_divides_nobody() -> None:
    everyone = range(20)
    assert inside(signup_burst=(everyone, FIRM), client=(everyone, 6.0), egress=(range(11), FIRM)) == set(everyone)
    assert inside(system_prompt=(everyone, FIRM), client=(everyone, 6.0), egress=(range(13), 6.0)) == set(everyone)


def test_users_of_an_app_are_neighbours_also_where_they_outnumber_the_campaign() -> None:
    everyone = range(20)
    assert inside(system_prompt=(everyone, FIRM), client=(everyone, 6.0), egress=(range(8), FIRM)) == set(range(8))
    assert inside(system_prompt=(everyone, FIRM), client=(everyone, 6.0), egress=(range(5), FIRM)) == set(everyone)


def test_another_signal_of_the_family_will_do() -> None:
    """Some sign up over the network that the others work over."""
    everyone = range(20)
    found = inside(system_prompt=(everyone, FIRM), egress=(range(13), FIRM), signup_network=(range(13, 20), 5.0))
    assert found == set(everyone)


@pytest.mark.parametrize("others", [2, 8])
def test_one_family_alone_beside_three_is_a_neighbour(others: int) -> None:
    members = range(others, others + 12)
    found = inside(template=(range(others + 12), 6.0), egress=(members, 6.0), client=(members, 6.0))
    assert found == set(members)
