"""The accounts of a group as a list: all of them, sorted and filtered, page by page."""

from __future__ import annotations

from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.model import schema
from clonewatch.report import phrases
from clonewatch.service.views.alike import Attribute, Shared, shared
from clonewatch.service.views.results import PAGE, Result

# By the name in an address: the column, and whether large values come first.
SORTS = {
    "membership": ("membership", True),
    "account": ("account_id", False),
    "attributed": ("harvested_exchanges", True),
    "exchanges": ("exchanges", True),
    "share": ("share", True),
    "first": ("first_ts", False),
    "last": ("last_ts", True),
    "banned": ("banned_ts", False),
    "shared": ("shared", True),
}
FATES = ("", "banned", "not banned")


class Wanted(NamedTuple):
    """What to list. text: part of an id. role: as the tables name it. pattern: a mask of `alike` in hex.

    attribute: the place of a shared attribute, counted from 1; 0 for any.
    """

    text: str = ""
    role: str = ""
    fate: str = ""
    pattern: str = ""
    attribute: int = 0
    sort: str = "membership"
    turned: int = 0
    page: int = 1


class Listed(NamedTuple):
    """One page of a list. total: accounts that fit; all_: of the group. about: the attribute they were chosen by."""

    wanted: Wanted
    rows: list[dict[str, Any]]
    total: int
    all_: int
    pages: int
    roles: tuple[tuple[str, str], ...]
    about: Attribute | None

    @property
    def now(self) -> dict[str, Any]:
        """What differs from the list as it opens."""
        usual = Wanted()._asdict()
        return {name: value for name, value in self.wanted._asdict().items() if value != usual[name]}

    @property
    def filtered(self) -> bool:
        """Whether some accounts of the group may be left out."""
        return bool(self.now.keys() - {"sort", "turned", "page"})


def listed(result: Result, group: str, wanted: Wanted) -> Listed:
    """A page of the accounts of a group. What no list knows is as if it had not been asked for."""
    held = _members(result, group)
    found = shared(result, group)
    wanted = _known(wanted, held, found)
    rows = _chosen(held, wanted, found)
    column, largest = SORTS[wanted.sort]
    falling = largest != bool(wanted.turned)
    order = [(column, "descending" if falling else "ascending")]
    rows = rows.sort_by([*order, *([] if column == "account_id" else [("account_id", "ascending")])])
    pages = max(1, -(-rows.num_rows // PAGE))
    wanted = wanted._replace(page=min(max(1, wanted.page), pages))
    flagged = bool(result.group(group)["flagged"])
    shown = rows.slice((wanted.page - 1) * PAGE, PAGE).to_pylist()
    about = found.attributes[wanted.attribute - 1] if wanted.attribute else None
    roles = tuple((name, phrases.role(name, flagged).name) for name in held["role"].drop_null().unique().to_pylist())
    return Listed(wanted, shown, rows.num_rows, held.num_rows, pages, roles, about)


def _members(result: Result, group: str) -> pa.Table:
    """Members with the share of their exchanges that is attributed, and how many shared attributes they carry."""
    held, found = result.table(schema.MEMBERS, campaign_id=group), shared(result, group)
    share = pc.divide(held["harvested_exchanges"].cast(pa.float64()), held["exchanges"].cast(pa.float64()))
    share = pc.if_else(pc.is_finite(share), share, None)
    place = pc.index_in(held["account_id"], value_set=found.accounts)
    counts = pa.array(np.bitwise_count(found.masks), pa.int64())
    number = pc.fill_null(counts.take(place.combine_chunks()), 0)
    mask = pa.array(found.masks, pa.uint64()).take(place.combine_chunks())
    return held.append_column("share", share).append_column("shared", number).append_column("mask", mask)


def _known(wanted: Wanted, held: pa.Table, found: Shared) -> Wanted:
    usual = Wanted()
    return wanted._replace(
        sort=wanted.sort if wanted.sort in SORTS else usual.sort,
        fate=wanted.fate if wanted.fate in FATES else "",
        pattern=wanted.pattern if _mask(wanted.pattern) else "",
        attribute=wanted.attribute if wanted.attribute <= len(found.attributes) else 0,
        role=wanted.role if wanted.role in held["role"].unique().to_pylist() else "",
    )


def _mask(pattern: str) -> int:
    try:
        return int(pattern[:16], 16)
    except ValueError:
        return 0


def _chosen(held: pa.Table, wanted: Wanted, found: Shared) -> pa.Table:
    chosen = [pc.is_valid(held["account_id"])]
    if wanted.text:
        chosen.append(pc.match_substring(held["account_id"], wanted.text, ignore_case=True))
    if wanted.role:
        chosen.append(pc.equal(held["role"], wanted.role))
    if wanted.fate:
        chosen.append(pc.equal(pc.is_valid(held["banned_ts"]), wanted.fate == "banned"))
    if wanted.pattern:
        chosen.append(pc.equal(held["mask"], pa.scalar(_mask(wanted.pattern), pa.uint64())))
    if wanted.attribute:
        bit = pa.scalar(1 << (wanted.attribute - 1), pa.uint64())
        chosen.append(pc.not_equal(pc.bit_wise_and(held["mask"], bit), pa.scalar(0, pa.uint64())))
    # What is null does not fit.
    return held.filter(reduce(pc.and_, (pc.fill_null(one, False) for one in chosen)))
