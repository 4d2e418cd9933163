"""The tables of a dossier: those of a result, cut to one group, and what the log says of its tokens."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clonewatch.adapters.reading import Log
from clonewatch.dossier.figures import ATTRIBUTED, inside
from clonewatch.model import schema
from clonewatch.model.errors import InputError, LogError
from clonewatch.pipeline.scan_result import read_table
from clonewatch.report.tables import whole

FOLDER = "tables/"
_KEY = "campaign_id"
_USAGE = pa.schema(
    [
        ("exchange_id", pa.string()),
        ("model", pa.string()),
        ("known", pa.bool_()),
        ("input_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
    ]
)
_TOKENS = ("input_tokens", "output_tokens")


def of_group(result: Path, group: str, accounts: Iterable[str]) -> dict[str, pa.Table]:
    """The rows of a result that are about one group, and the accounts of its case. Raises InputError.

    Exchanges and shared things of bystanders that are not attributed to the group are left out: they are most likely
    the business of people who have nothing to do with it.
    """
    wanted = pc.field(_KEY) == group
    held = {table.name: read_table(result, table.name, wanted) for table in schema.RESULTS}
    held[schema.CAMPAIGNS.name] = whole(held, schema.CAMPAIGNS)
    own = inside(held["members"])
    rows, shared = held["attribution"], held["attribute_accounts"]
    kept = pc.or_(pc.is_in(rows["account_id"], own), pc.greater_equal(rows["posterior"], ATTRIBUTED))
    held["attribution"] = rows.filter(kept)
    held["attribute_accounts"] = shared.filter(pc.is_in(shared["account_id"], own))
    held["case_accounts"] = pa.table({"account_id": pa.array(sorted(accounts), pa.string())})
    return held


def usage(attribution: pa.Table, log: Log) -> pa.Table:
    """Model and tokens of every attributed exchange, as the log states them, sorted by id.

    known: the log has exactly one exchange of that id and states its tokens in and out.
    """
    ids = attribution.filter(pc.greater_equal(attribution["posterior"], ATTRIBUTED))["exchange_id"]
    wanted = pc.unique(ids)
    found = pa.concat_tables(
        [
            _usage_columns(batch.filter(pc.is_in(batch.column("exchange_id"), wanted)))
            for batch in log.batches(lambda _: None)
        ]
    )
    if len(wanted) and not found.num_rows:
        raise InputError(
            "none of the group's exchanges is in this log", fix="Name the log that was scanned, in the same format"
        )
    told = found.group_by(found.column_names).aggregate([])  # a row that is there twice is one exchange
    counts = told.group_by("exchange_id").aggregate([([], "count_all")])
    once = counts.filter(pc.equal(counts["count_all"], 1))["exchange_id"].combine_chunks()
    single = told.filter(pc.is_in(told["exchange_id"], once))
    whole = pa.table({"exchange_id": wanted}).join(single, "exchange_id", join_type="left outer").sort_by("exchange_id")
    known = pc.and_(*(pc.is_valid(whole[column]) for column in _TOKENS))
    return whole.append_column("known", known).select(_USAGE.names).cast(_USAGE)


def _usage_columns(batch: pa.RecordBatch) -> pa.Table:
    kinds = {"exchange_id": pa.string(), "model": pa.string(), **dict.fromkeys(_TOKENS, pa.int64())}
    held = [
        batch.column(name).cast(kind) if name in batch.schema.names else pa.nulls(batch.num_rows, kind)
        for name, kind in kinds.items()
    ]
    return pa.table(held, names=list(kinds))


def written(tables: Mapping[str, pa.Table]) -> dict[str, bytes]:
    """Tables as the bytes of Parquet files, by path in the bundle. Equal tables give equal bytes."""
    files = {}
    for name, table in sorted(tables.items()):
        held = io.BytesIO()
        pq.write_table(table.replace_schema_metadata(None), held, compression="zstd")
        files[f"{FOLDER}{name}.parquet"] = held.getvalue()
    return files


def read(files: Mapping[str, bytes]) -> dict[str, pa.Table]:
    """The tables of a bundle by name. Raises LogError for one that cannot be read."""
    found = {}
    for name, data in files.items():
        if name.startswith(FOLDER):
            try:
                found[name.removeprefix(FOLDER).removesuffix(".parquet")] = pq.read_table(pa.BufferReader(data))
            except (OSError, pa.ArrowException) as error:
                raise LogError(f"{name} cannot be read: {error}") from error
    if lacking := ({table.name for table in schema.RESULTS} | {"case_accounts"}) - found.keys():
        raise LogError(f"the bundle has no table {min(lacking)}")
    return found
