"""The tables of a scan as the report reads them: absent tables are empty, absent columns are null."""

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.kernels.arrow import arrow_schema
from clonewatch.model.schema import Table


def whole(tables: Mapping[str, pa.Table], table: Table) -> pa.Table:
    """One table with all its columns in order; what an older or partial scan lacks is null."""
    schema = arrow_schema(table)
    found = tables.get(table.name)
    if found is None:
        return schema.empty_table()
    arrays = {
        field.name: found[field.name] if field.name in found.column_names else pa.nulls(found.num_rows, field.type)
        for field in schema
    }
    return pa.table(arrays)


def by_campaign(table: pa.Table, ids: Iterable[str]) -> dict[str, pa.Table]:
    """The rows of each campaign named in `ids`, in table order; a campaign without rows has an empty table."""
    wanted = list(ids)
    place = pc.index_in(table["campaign_id"], value_set=pa.array(wanted, pa.string()))
    where = np.asarray(pc.fill_null(place, len(wanted)).to_numpy(), dtype=np.int64)
    order = np.argsort(where, kind="stable")
    edges = np.searchsorted(where[order], np.arange(len(wanted) + 1))
    return {name: table.take(pa.array(order[edges[i] : edges[i + 1]])) for i, name in enumerate(wanted)}
