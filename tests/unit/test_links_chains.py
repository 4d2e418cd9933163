"""Chains: who is connected through things that few share at a time."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from clonewatch.links.chains import SCHEMA, connected


def ties(*rows: tuple[int, int, int]) -> pa.Table:
    """Rows of kind, attribute, entity."""
    kind, attribute, entity = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "kind": pa.array(kind, pa.int32()),
            "attribute": pa.array(attribute, pa.int64()),
            "entity": pa.array(entity, pa.int32()),
        }
    )


def chains(table: pa.Table) -> dict[int, int]:
    found = connected(table)
    assert found.schema == SCHEMA
    return dict(zip(found["entity"].to_pylist(), found["attribute"].to_pylist(), strict=True))


ROW = [(0, 70, 3), (0, 70, 5), (0, 71, 5), (0, 71, 9), (0, 72, 9), (0, 72, 4)]


def test_pairs_in_a_row_are_one_chain_numbered_by_its_first_entity() -> None:
    other = [(0, 80, 2), (0, 80, 30), (0, 81, 30), (0, 81, 31)]
    assert chains(ties(*ROW, *other)) == {2: 0, 30: 0, 31: 0, 3: 1, 4: 1, 5: 1, 9: 1}


def test_one_attribute_is_no_chain_however_many_share_it() -> None:
    assert chains(ties(*((0, 7, entity) for entity in range(12)))) == {}
    assert chains(ties()) == {}


def test_a_card_and_a_device_of_one_value_are_two_things() -> None:
    assert chains(ties((0, 7, 1), (0, 7, 2), (1, 7, 3), (1, 7, 4))) == {}
    assert chains(ties((0, 7, 1), (0, 7, 2), (1, 7, 2), (1, 7, 4))) == {1: 0, 2: 0, 4: 0}


@given(st.permutations(ROW), st.integers(1, 10**12))
def test_neither_the_order_of_rows_nor_the_values_of_attributes_matter(
    rows: list[tuple[int, int, int]], by: int
) -> None:
    moved = [(kind, (attribute * by) % (2**61 - 1), entity) for kind, attribute, entity in rows]
    assert chains(ties(*moved)) == chains(ties(*ROW))
