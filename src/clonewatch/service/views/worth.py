"""What the attributed exchanges of a group were worth: figures and words of a dossier, from one pass over the log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.adapters.reading import Log
from clonewatch.dossier import prices as price_file
from clonewatch.dossier import tables, wording
from clonewatch.dossier.figures import ATTRIBUTED, Value, definition, tokens
from clonewatch.dossier.prices import Prices
from clonewatch.model import schema
from clonewatch.service.views.results import Result, opened

_TITLES = {"tokens": "Tokens", "list_price": "List price", "student": "Value to a student model"}
_COUNTED = ("exchanges_with_tokens", "input_tokens", "output_tokens", "exchanges_priced", "list_price")


class Worths(NamedTuple):
    """Figures by group, of one scan. scan: the digest of the result that they belong to."""

    scan: str
    groups: Mapping[str, Mapping[str, Value]]
    prices: Prices | None


class Worth(NamedTuple):
    """What a page says. parts: title and sentence. counted: name and definition of each figure in them."""

    parts: list[tuple[str, str]]
    not_claimed: str
    counted: list[tuple[str, str]]


def counted(folder: Path, log: Log, prices: Path | None) -> Worths:
    """Figures of every group with attributed exchanges. log: the one that was scanned. Raises InputError."""
    listed = price_file.read(prices) if prices else None
    with opened(folder) as result:
        rows = _attributed(result)
        usage = tables.usage(rows, log)
        groups = {}
        for name in pc.unique(rows["campaign_id"]).to_pylist():
            own = rows.filter(pc.equal(rows["campaign_id"], name))["exchange_id"].combine_chunks()
            found = tokens(usage.filter(pc.is_in(usage["exchange_id"], own)), listed)
            groups[name] = {"attributed_exchanges": len(own), **found}
        return Worths(result.scan, groups, listed)


def worth(held: Worths | None, result: Result, group: str) -> Worth | None:
    """What the page of a group says; None where nothing is attributed to it, or nothing was counted for this scan."""
    if held is None or held.scan != result.scan or group not in held.groups:
        return None
    figures = held.groups[group]
    said = wording.worth(figures, held.prices)
    told = [name for name in _COUNTED if name in figures]
    return Worth(
        [(title, said[name]) for name, title in _TITLES.items()],
        said["not_claimed"],
        [(name.replace("_", " "), definition(name).counts) for name in told],
    )


def _attributed(result: Result) -> pa.Table:
    rows = result.table(schema.ATTRIBUTION, ("campaign_id", "exchange_id", "posterior"))
    return rows.filter(pc.greater_equal(rows["posterior"], ATTRIBUTED))
