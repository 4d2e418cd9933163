"""Any log of JSON objects, through a field map: access logs, gateways' own logs, exports."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from clonewatch.adapters import observations
from clonewatch.adapters.mapped import objects, required
from clonewatch.adapters.rows import rows
from clonewatch.adapters.streams import head_of, notes_of
from clonewatch.ports.adapter import Adapter, Batch, Source
from clonewatch.ports.mapping import FieldMap


class JsonlMap(Adapter):
    """Reads JSON lines, or one JSON array, by a field map."""

    name = "jsonl_map"
    summary = "any JSON lines, through a field map"

    def claims(self, head: bytes, name: str) -> bool:
        """Never: this format is chosen by a field map."""
        return False

    def read(self, source: Source, mapping: FieldMap | None) -> Iterator[Batch]:
        """Batches of up to 32,768 objects."""
        mapping = required(mapping, self.name)
        if not mapping.where and not mapping.each and observations.are_these(head_of(source.stream)):
            mapping = mapping._replace(where=observations.CALLS)
            notes_of(source.stream).warn(observations.CHOSEN)
        decode = msgspec.json.Decoder(dict[str, object]).decode
        parts = rows(source.stream, source.name, decode, mapping.each.partition(".")[0])
        return objects(((p.rows, p.numbers, p.rejected) for p in parts), mapping, source)


ADAPTER = JsonlMap()
