"""Exchanges as they are examined: each once, and near-identical templates under one name."""

from __future__ import annotations

from clonewatch.pipeline.intake.staging import EXCHANGE_SCHEMA
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.engine import Query


def settle(runner: StepRunner, read: int) -> None:
    """Table `exchanges`: the first of each exchange id, near-identical templates under one name.

    read: how many arrived.
    """
    runner.run(Query("repeated", ("arrivals",), "SELECT xid FROM arrivals GROUP BY xid HAVING COUNT(*) > 1"))
    if not runner.rows["repeated"] and not runner.engine.fetch("SELECT COUNT(*) AS n FROM families")["n"][0].as_py():
        runner.rename("arrivals", "exchanges", read)
        return
    columns = ", ".join(
        "COALESCE(f.family, x.template) AS template" if n == "template" else f'x."{n}"' for n in EXCHANGE_SCHEMA.names
    )
    runner.run(
        Query(
            "exchanges",
            ("arrivals", "repeated", "families"),
            f'WITH first AS (SELECT a.xid, MIN(a."row") AS keep FROM arrivals a JOIN repeated r ON r.xid = a.xid'
            f" GROUP BY a.xid) SELECT {columns} FROM arrivals x LEFT JOIN first d ON d.xid = x.xid"
            ' LEFT JOIN families f ON f.template = x.template WHERE d.keep IS NULL OR d.keep = x."row"',
        )
    )
