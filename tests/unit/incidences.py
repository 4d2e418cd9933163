"""Incidences from rows that are easy to write down, and back."""

from typing import Any

import numpy as np
import pyarrow as pa

from clonewatch.graph.weights import TOKEN_SCHEMA, Incidences

_OF_TOKEN = TOKEN_SCHEMA.names


def incidences(rows: list[dict[str, Any]]) -> Incidences:
    """From rows of channel, token, users, anchors, weight (of the token), entity and n, in any order."""
    rows = sorted(rows, key=lambda r: (r["channel"], r["token"], r["entity"]))
    tokens: list[dict[str, Any]] = []
    place = []
    for row in rows:
        of_token = {name: row[name] for name in _OF_TOKEN}
        if not tokens or tokens[-1] != of_token:
            tokens.append(of_token)
        place.append(len(tokens) - 1)
    return Incidences(
        pa.Table.from_pylist(tokens, schema=TOKEN_SCHEMA),
        np.array(place, np.int32),
        *(np.array([row[name] for row in rows], np.int32) for name in ("entity", "n")),
    )


def rows_of(held: Incidences) -> list[dict[str, Any]]:
    """The same rows, sorted by channel, token and entity."""
    tokens = held.tokens.to_pylist()
    columns = zip(held.token.tolist(), held.entity.tolist(), held.n.tolist(), strict=True)
    return [tokens[token] | {"entity": entity, "n": n} for token, entity, n in columns]
