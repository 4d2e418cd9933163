"""Pieces of evidence in words: what was measured, which honest conduct looks the same, what this log says about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from clonewatch.report import phrases
from clonewatch.report.cards import Cards

EXCHANGES_SHOWN = 5
# The file of a signal, by its kind.
_SHELVES = {"link": "links/signals/{}.py", "behaviour": "behaviour/tests/{}.py"}


class Reason(NamedTuple):
    """A piece of evidence in words. side: for, against, or nothing when its strength is zero or unknown."""

    title: str
    family: str
    kind: str
    module: str
    strength: str
    bar: float
    bits: float | None
    reason: str | None
    innocent: str | None
    ruled_out: str | None
    tell_tale: str | None
    exchange_ids: list[str]
    side: str


def reasons_of(row: Mapping[str, Any], evidence: pa.Table, cards: Cards) -> list[Reason]:
    """Evidence rows in words, strongest first. An old scan without an evidence table gives its campaign's own list."""
    rows: list[dict[str, Any]] = evidence.to_pylist()
    if not rows:
        rows = [dict(item) for item in row["evidence"] or () if item is not None]
    reasons = [_reason(item, cards) for item in rows]
    return sorted(reasons, key=lambda r: (-abs(r.bits or 0.0), r.title))


def _reason(item: Mapping[str, Any], cards: Cards) -> Reason:
    signal, bits, kind = item.get("signal"), item.get("bits"), item.get("kind")
    known = cards.find(signal)
    measured = bits if bits is not None and bits == bits else None
    against = (measured is not None and measured < 0) or (kind == "against" and bool(measured))
    # What would show the innocent twin in general is no ruling on this group, so the two never stand in one sentence.
    tell_tale = known.card.excluded_by if known else None
    ruling = item.get("ruled_out")
    return Reason(
        title=known.card.title if known else phrases.signal(signal),
        family=phrases.plain(item.get("family")),
        kind=kind or "",
        module=_SHELVES.get(known.kind, "{}").format(known.name) if known else "",
        strength=phrases.strength(measured),
        bar=min(1.0, abs(measured or 0.0) / phrases.FULL_BAR),
        bits=measured,
        reason=item.get("reason"),
        innocent=item.get("innocent") or (known.card.innocent if known else None),
        ruled_out=None if ruling == tell_tale else ruling,
        tell_tale=tell_tale,
        exchange_ids=[i for i in item.get("exchange_ids") or [] if i is not None][:EXCHANGES_SHOWN],
        side="against" if against else "for" if measured else "neutral",
    )


def without_repeated_examples(reasons: list[Reason]) -> tuple[list[Reason], list[str]]:
    """The reasons without the exchange ids that several of them have, and those ids, which the page shows once."""
    often = Counter(tuple(r.exchange_ids) for r in reasons if r.exchange_ids)
    shared = {ids for ids, n in often.items() if n > 1}
    return (
        [r._replace(exchange_ids=[] if tuple(r.exchange_ids) in shared else r.exchange_ids) for r in reasons],
        [i for ids in often if ids in shared for i in ids],
    )
