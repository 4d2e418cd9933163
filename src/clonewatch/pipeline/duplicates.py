"""Exchanges that came more than once: the first of each exchange id stays, in a scan, a window and a state."""

from __future__ import annotations

import pyarrow as pa

from clonewatch.pipeline.steps import Plan
from clonewatch.ports.engine import Query

REPEATED = Query("repeated", ("arrivals",), "SELECT xid FROM arrivals GROUP BY xid HAVING COUNT(*) > 1")
# The ids are counted first and alone: the whole log is grouped by them.
AGAIN = Query(
    "again",
    ("arrivals", "repeated"),
    'SELECT a."row" FROM arrivals a JOIN (SELECT i.xid, MIN(i."row") AS keep FROM arrivals i'
    " JOIN repeated r ON r.xid = i.xid GROUP BY i.xid) f ON f.xid = a.xid"
    ' WHERE a."row" <> f.keep',
)
# Goes behind `FROM arrivals x`.
WITHOUT = 'LEFT JOIN again g ON g."row" = x."row" WHERE g."row" IS NULL'


def find(plan: Plan) -> int:
    """Table `again`: the numbers of the rows of `arrivals` that came before under the same id; returns how many."""
    if plan.run(REPEATED):
        return plan.run(AGAIN)
    plan.put("again", pa.table({"row": pa.array([], pa.int64())}))
    return 0
