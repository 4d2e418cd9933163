"""`clonewatch.exchange.v1` as JSON lines: one object per exchange, keys named like the columns."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import msgspec

from clonewatch.adapters.columns import conform
from clonewatch.adapters.identities import settled
from clonewatch.adapters.outline import outline
from clonewatch.adapters.rows import rows, unknown_keys
from clonewatch.adapters.streams import notes_of
from clonewatch.model.schema import EXCHANGES
from clonewatch.ports.adapter import Adapter, Batch, Source
from clonewatch.ports.mapping import FieldMap

# Accepted JSON types by column type. Numbers may be written as text (64-bit ones must be, for JavaScript), ids as
# numbers; ranges are checked column by column, which is faster than row by row.
_KINDS: dict[str, Any] = {
    "string": str | int | None,
    "timestamp": str | int | float | None,
    "int16": int | float | str | None,
    "int32": int | float | str | None,
    "float32": int | float | str | None,
    "bool": bool | int | str | None,
    "uint64": int | str | None,
    "list<uint32>": list[int] | None,
}
# Messages may be JSON as text or the list itself: kept as written, and taken out of its quotes row by row.
_UNREAD = msgspec.Raw(b"")

_Row = msgspec.defstruct(
    "_Row",
    [
        (c.name, msgspec.Raw, _UNREAD) if c.name == "messages" else (c.name, _KINDS[c.type], None)
        for c in EXCHANGES.columns
    ],
    gc=False,
)
# For lines in which some value has another type: every value as it is, for `conform` to judge.
_AnyRow = msgspec.defstruct(
    "_AnyRow",
    [(c.name, msgspec.Raw, _UNREAD) if c.name == "messages" else (c.name, Any, None) for c in EXCHANGES.columns],
    gc=False,
)
_row = msgspec.json.Decoder(_Row).decode
_any_row = msgspec.json.Decoder(_AnyRow).decode
_text = msgspec.json.Decoder(str).decode
_KNOWN = frozenset(EXCHANGES.names)


class ExchangeNdjson(Adapter):
    """Reads JSON lines of exchanges."""

    name = "exchange_ndjson"
    summary = "clonewatch exchanges as JSON lines"
    account_hint = "give every line an `account_id`"

    def claims(self, head: bytes, name: str) -> bool:
        """Whether the first object has `ts` and `account_id`, or two other exchange columns, and no logged bodies."""
        keys = outline(head)
        return {"ts", "account_id"} <= keys.keys() and not {"request", "response", "request_body", "body"} & keys.keys()

    def weight(self, row: bytes, name: str) -> float:
        """Less for a row without an id: a logged call that failed looks so as well, and could not be read as this."""
        return (1.0 if "exchange_id" in outline(row) else 0.001) if self.claims(row, name) else 0.0

    def read(self, source: Source, mapping: FieldMap | None) -> Iterator[Batch]:
        """Batches of up to 32,768 lines; unknown keys in the first lines are noted."""
        for i, part in enumerate(rows(source.stream, source.name, _decode)):
            if i == 0:
                notes_of(source.stream).unknown(unknown_keys(part.lines, _KNOWN))
            found: dict[str, object] = {}
            for column in EXCHANGES.columns:
                values = list(map(attrgetter(column.name), part.rows))
                if column.required or values.count(None) < len(values):
                    found[column.name] = values
            notes = notes_of(source.stream)
            batch, rejected = conform(
                settled(found), EXCHANGES, source.name, part.numbers, dropped=notes.dropped, units=notes.units
            )
            yield Batch(batch, part.rejected + rejected)


def _decode(line: bytes) -> object:
    row: Any
    try:
        row = _row(line)
    except msgspec.ValidationError:
        row = _any_row(line)
    raw = row.messages
    first = bytes(memoryview(raw)[:1]) if raw else b""
    row.messages = None if first in (b"", b"n") else _text(raw) if first == b'"' else str(raw, "utf-8")
    return row


ADAPTER = ExchangeNdjson()
