"""Which accounts of a group share what: accounts with exactly the same shared attributes are one row, however many."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.model import schema
from clonewatch.report import phrases
from clonewatch.report.chapters import of_each_kind
from clonewatch.service.views.results import Result, cards

# A row of the picture is one bit pattern; a scan reports forty attributes of a group at most.
MOST_ATTRIBUTES = 62
COLUMNS, ROWS = 12, 16


class Attribute(NamedTuple):
    """A shared attribute in words. bit: its place in a pattern. row: of table `attributes`."""

    bit: int
    kind: str
    name: str
    row: dict[str, Any]


class Shared(NamedTuple):
    """What the accounts of a group share. accounts, masks: each account, and the attributes that it carries as bits.

    further: attributes beyond those that fit a mask.
    """

    attributes: tuple[Attribute, ...]
    accounts: pa.Array
    masks: np.ndarray
    further: int


class Alike(NamedTuple):
    """Accounts that carry exactly the same. pattern: their mask in hex. cells: whether they carry each column."""

    pattern: str
    size: int
    example: str
    cells: tuple[bool, ...]
    more: int


class Picture(NamedTuple):
    """Rows of alike accounts by the strongest attributes. others, rest: smaller rows, and the accounts in them."""

    columns: tuple[Attribute, ...]
    rows: tuple[Alike, ...]
    others: int
    rest: int
    accounts: int
    unlinked: int


@lru_cache(maxsize=4)
def shared(result: Result, group: str) -> Shared:
    """What the accounts of a group share; that of the last few groups is kept."""
    rows = result.table(schema.ATTRIBUTES, campaign_id=group).to_pylist()
    rows.sort(key=lambda t: (-(t["weight"] or 0.0), -(t["entities"] or 0), str(t["signal"]), str(t["attribute"])))
    attributes = tuple(
        Attribute(i, kind(row["signal"]), phrases.thing(row["attribute"], row["signal"]), row)
        for i, row in enumerate(rows[:MOST_ATTRIBUTES])
    )
    columns = ("signal", "attribute", "account_id")
    carriers = result.table(schema.ATTRIBUTE_ACCOUNTS, columns, campaign_id=group).drop_null()
    keys = pa.array([_key(t.row) for t in attributes], pa.string())
    joined = pc.binary_join_element_wise(carriers["signal"], carriers["attribute"], "\x1f")
    place = pc.index_in(joined, value_set=keys)
    codes = carriers["account_id"].combine_chunks().dictionary_encode()
    masks = np.zeros(len(codes.dictionary), np.uint64)
    known = np.asarray(pc.is_valid(place))
    bits = np.uint64(1) << np.asarray(place.drop_null(), dtype=np.uint64)
    np.bitwise_or.at(masks, np.asarray(codes.indices)[known], bits)
    return Shared(attributes, codes.dictionary, masks, max(0, len(rows) - MOST_ATTRIBUTES))


def _key(row: dict[str, Any]) -> str:
    return f"{row['signal']}\x1f{row['attribute']}"


def kind(signal: str | None) -> str:
    """A linking signal as a short name of the thing that is shared."""
    known = cards().find(signal)
    return phrases.plain(signal) if known is None else phrases.plain(known.name)


def picture(found: Shared, members: int) -> Picture:
    """The largest rows of alike accounts. members: accounts of the group, carriers or not."""
    strongest = of_each_kind([t.row | {"bit": t.bit} for t in found.attributes])[:COLUMNS]
    columns = tuple(found.attributes[row["bit"]] for row in strongest)
    patterns, first, sizes = np.unique(found.masks, return_index=True, return_counts=True)
    order = sorted(range(len(patterns)), key=lambda i: (-int(sizes[i]), int(patterns[i])))
    order = [i for i in order if patterns[i]]
    rows = []
    for i in order[:ROWS]:
        mask = int(patterns[i])
        cells = tuple(bool(mask >> t.bit & 1) for t in columns)
        more = mask.bit_count() - sum(cells)
        rows.append(Alike(f"{mask:x}", int(sizes[i]), str(found.accounts[int(first[i])].as_py()), cells, more))
    carrying = int(sizes[order].sum()) if order else 0
    drawn = sum(row.size for row in rows)
    return Picture(columns, tuple(rows), len(order) - len(rows), carrying - drawn, carrying, max(0, members - carrying))


def carried(found: Shared, account: str) -> tuple[list[Attribute], list[Attribute]]:
    """What an account carries, and what most of the others carry and it does not, strongest first."""
    place = pc.index(found.accounts, account).as_py()
    mask = int(found.masks[place]) if place >= 0 else 0
    most = len(found.accounts) / 2
    mine = [t for t in found.attributes if mask >> t.bit & 1]
    common = [t for t in found.attributes if not mask >> t.bit & 1 and _carriers(found, t) > most]
    return mine, common


def _carriers(found: Shared, attribute: Attribute) -> int:
    return int(np.count_nonzero(found.masks >> np.uint64(attribute.bit) & np.uint64(1)))
