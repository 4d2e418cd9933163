"""Arrow schemas of the tables named in `model.schema`."""

import pyarrow as pa

from clonewatch.model.schema import Column, Table

_EVIDENCE = pa.struct(
    [("signal", pa.string()), ("family", pa.string()), ("bits", pa.float64()), ("reason", pa.string())]
)
_ANSWER = pa.struct(
    [
        ("question", pa.string()),
        ("yes", pa.bool_()),
        ("bits", pa.float64()),
        ("at", pa.string()),
        ("by", pa.string()),
        ("note", pa.string()),
    ]
)
_RULING = pa.struct(
    [
        *((name, pa.string()) for name in ("ruling", "question", "case", "scope", "until", "at", "by", "note")),
        ("withholds", pa.bool_()),
        ("bits", pa.float64()),
        ("news", pa.list_(pa.string())),
    ]
)
_TYPES = {
    "string": pa.string(),
    "bool": pa.bool_(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint64": pa.uint64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "list<uint32>": pa.list_(pa.uint32()),
    "list<string>": pa.list_(pa.string()),
    "map<string,int64>": pa.map_(pa.string(), pa.int64()),
    "list<evidence>": pa.list_(_EVIDENCE),
    "list<answer>": pa.list_(_ANSWER),
    "list<ruling>": pa.list_(_RULING),
}


def arrow_type(column: Column) -> pa.DataType:
    """Arrow type of a column.

    >>> arrow_type(Column("ts", "timestamp", ""))
    TimestampType(timestamp[us, tz=UTC])
    """
    return _TYPES[column.type]


def arrow_schema(table: Table) -> pa.Schema:
    """Arrow schema of a table, columns in order, required ones not nullable."""
    return pa.schema([pa.field(c.name, arrow_type(c), nullable=not c.required) for c in table.columns])
