"""Drops repeated exchanges and merges near-identical templates: `arrivals` becomes `exchanges`."""

from __future__ import annotations

import pyarrow as pa

from clonewatch.pipeline.intake.staging import EXCHANGE_SCHEMA
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.engine import Query

REPEATED = Query("repeated", ("arrivals",), "SELECT xid FROM arrivals GROUP BY xid HAVING COUNT(*) > 1")
# Repeated ids are found first, on their own: this groups the whole log.
AGAIN = Query(
    "again",
    ("arrivals", "repeated"),
    'SELECT a."row" FROM arrivals a JOIN (SELECT i.xid, MIN(i."row") AS keep FROM arrivals i'
    " JOIN repeated r ON r.xid = i.xid GROUP BY i.xid) f ON f.xid = a.xid"
    ' WHERE a."row" <> f.keep',
)
# Follows `FROM arrivals x`.
WITHOUT = 'LEFT JOIN again g ON g."row" = x."row" WHERE g."row" IS NULL'


def find(runner: StepRunner) -> int:
    """Write table `again`: rows of `arrivals` whose id an earlier row has (the first stays); returns how many."""
    if runner.run(REPEATED):
        return runner.run(AGAIN)
    runner.put("again", pa.table({"row": pa.array([], pa.int64())}))
    return 0


def settle(runner: StepRunner, read: int) -> None:
    """Write table `exchanges`: the first row of each exchange id, near-identical templates under one id.

    read: the number of rows of `arrivals`.
    """
    repeated = find(runner)
    if not repeated and not runner.engine.fetch("SELECT COUNT(*) AS n FROM families")["n"][0].as_py():
        runner.rename("arrivals", "exchanges", read)
        return
    columns = ", ".join(
        "COALESCE(f.family, x.template) AS template" if n == "template" else f'x."{n}"' for n in EXCHANGE_SCHEMA.names
    )
    runner.run(
        Query(
            "exchanges",
            ("arrivals", "again", "families"),
            f"SELECT {columns} FROM arrivals x LEFT JOIN families f ON f.template = x.template {WITHOUT}",
        )
    )
