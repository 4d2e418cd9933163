"""Incidences from rows that are easy to write down, and back."""

from typing import Any

import numpy as np
import pyarrow as pa

from clonewatch.graph.weights import ATTRIBUTE_SCHEMA, Incidences

_OF_ATTRIBUTE = ATTRIBUTE_SCHEMA.names


def incidences(rows: list[dict[str, Any]]) -> Incidences:
    """From rows of signal, attribute, users, trusted, weight (of the attribute), entity and n, in any order."""
    rows = sorted(rows, key=lambda r: (r["signal"], r["attribute"], r["entity"]))
    attributes: list[dict[str, Any]] = []
    place = []
    for row in rows:
        of_attribute = {name: row[name] for name in _OF_ATTRIBUTE}
        if not attributes or attributes[-1] != of_attribute:
            attributes.append(of_attribute)
        place.append(len(attributes) - 1)
    return Incidences(
        pa.Table.from_pylist(attributes, schema=ATTRIBUTE_SCHEMA),
        np.array(place, np.int32),
        *(np.array([row[name] for row in rows], np.int32) for name in ("entity", "n")),
    )


def rows_of(held: Incidences) -> list[dict[str, Any]]:
    """The same rows, sorted by signal, attribute and entity."""
    attributes = held.attributes.to_pylist()
    columns = zip(held.attribute.tolist(), held.entity.tolist(), held.n.tolist(), strict=True)
    return [attributes[attribute] | {"entity": entity, "n": n} for attribute, entity, n in columns]
