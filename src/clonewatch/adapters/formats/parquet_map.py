"""Any Parquet file, through a field map."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clonewatch.adapters.columnar_files import batches, opened, readable, rows_of
from clonewatch.adapters.columns import Columns, Values
from clonewatch.adapters.field_paths import alternatives
from clonewatch.adapters.mapped import build, by_row, objects, required, ruled
from clonewatch.model.errors import MappingError
from clonewatch.model.read_results import Rejected
from clonewatch.ports.adapter import Adapter, Batch, Source
from clonewatch.ports.mapping import FieldMap


class ParquetMap(Adapter):
    """Reads Parquet files by a field map; dots step into structs, and into JSON in text."""

    name = "parquet_map"
    summary = "any Parquet file, through a field map"

    def claims(self, head: bytes, name: str) -> bool:
        """Never: this format is chosen by a field map."""
        return False

    def check(self, source: Source, mapping: FieldMap | None) -> None:
        """Raise before a row is read: InputError for a file without a footer, MappingError for missing fields."""
        mapping = required(mapping, self.name)
        with opened(source) as file:
            _paths(file.schema_arrow, mapping, source.name)

    def read(self, source: Source, mapping: FieldMap | None) -> Iterator[Batch]:
        """Batches of up to 65,536 rows, fewer if rows are large."""
        mapping = required(mapping, self.name)
        with opened(source) as file:
            paths = _paths(file.schema_arrow, mapping, source.name)
            if paths is None:
                yield from objects(_objects(file, mapping, source), mapping, source)
                return
            for batch, numbers, damage in batches(file, sorted({p[0] for p in paths.values()}), source):
                found: Columns = {}
                if len(numbers):
                    found = {name: _pick(batch, path) for name, path in paths.items()}
                exchanges, rejected = build(ruled(found, mapping), mapping, source, numbers)
                yield Batch(exchanges, damage + rejected)


def _objects(
    file: pq.ParquetFile, mapping: FieldMap, source: Source
) -> Iterator[tuple[list[dict[str, object]], list[int], list[Rejected]]]:
    for batch, numbers, damage in batches(file, _used(file.schema_arrow.names, mapping), source):
        yield rows_of(batch), list(numbers), damage


def _used(names: list[str], mapping: FieldMap) -> list[str]:
    """The columns that a map steps into; all of them where it names one in vain, so that a similar name is found."""
    further = [field.path for fields in mapping.others.values() for field in fields]
    watched = [one.field for one in mapping.where] + [rule.minus for rule in mapping.rules.values()] + [mapping.each]
    used = {spec: _heads(spec) & set(names) for spec in [*mapping.fields.values(), *further, *filter(None, watched)]}
    if not all(used[spec] for spec in filter(None, watched)):
        return names
    return [name for name in names if any(name in heads for heads in used.values())] or names


def _heads(spec: str) -> set[str]:
    return {name for choice, path in alternatives(spec) for name in (choice, path[0])}


def _paths(schema: pa.Schema, mapping: FieldMap, file: str) -> dict[str, tuple[str, ...]] | None:
    """The path of each field; None if rows have to be read one by one: for alternatives, conditions, JSON in text."""
    paths: dict[str, tuple[str, ...]] = {}
    plain = not by_row(mapping)
    for column, spec in mapping.fields.items():
        path = (spec,) if spec in schema.names else tuple(spec.split("."))
        if _exists(schema, path):
            paths[column] = path
            continue
        choices = alternatives(spec)
        if not mapping.each and not any(c in schema.names or _steps_into(schema, path) for c, path in choices):
            raise MappingError(
                f"no field {spec!r}, which the map gives for {column}",
                where=file,
                fix=f"The file has: {', '.join(schema.names[:30])}",
            )
        plain = False
    return paths if plain else None


def _steps_into(schema: pa.Schema, path: tuple[str, ...]) -> bool:
    """Whether rows may hold a path that the schema does not show: inside JSON in text, or an item of a list."""
    if path[0] not in schema.names:
        return False
    kind = schema.field(path[0]).type
    return _exists(schema, path) or pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_list(kind)


def _exists(schema: pa.Schema, path: tuple[str, ...]) -> bool:
    if path[0] not in schema.names:
        return False
    kind = schema.field(path[0]).type
    for name in path[1:]:
        if not pa.types.is_struct(kind) or kind.get_field_index(name) < 0:
            return False
        kind = kind.field(name).type
    return True


def _pick(batch: pa.RecordBatch, path: tuple[str, ...]) -> Values:
    column = batch.column(path[0])
    return readable(pc.struct_field(column, list(path[1:])) if len(path) > 1 else column)


ADAPTER = ParquetMap()
