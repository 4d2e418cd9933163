"""The numbers of a group: a group of bystanders alone has none, and says zero."""

import pyarrow as pa

from clonewatch.engines.duckdb import DuckDB
from clonewatch.pipeline.detection.attribute import MEMBER_SCHEMA
from clonewatch.pipeline.reporting import tables
from clonewatch.pipeline.steps import StepRunner


def test_a_group_of_bystanders_alone_has_zero_accounts_and_not_an_unknown_number() -> None:
    columns = {
        "cluster": [0, 0, 1],
        "account": [7, 8, 9],
        "membership": [0.9, 0.01, 0.01],
        "role": ["core", "proxy_customer", "proxy_customer"],
        "harvested": [2, 0, 0],
        "exchanges": [3, 5, 5],
        "first": [5, 1, 1],
        "last": [7, 9, 9],
    }
    runner = StepRunner(DuckDB(threads=1))
    try:
        runner.put(
            "member_accounts", pa.table({"cluster": pa.array([0], pa.int32()), "account": pa.array([7], pa.int32())})
        )
        sent = {
            "cluster": [0, 0, 0],
            "account": [7, 7, 7],
            "task": [0, 0, 1],
            "ts": [5, 6, 7],
            "posterior": [0.9, 0.9, 0.1],
        }
        runner.put("posteriors", pa.table(sent))
        found = tables._totals(runner, pa.table(columns, schema=MEMBER_SCHEMA))
    finally:
        runner.engine.close()
    assert found[1] == {"accounts": 0, "exchanges": 0, "harvested_exchanges": 0}
    assert (found[0]["accounts"], found[0]["exchanges"], found[0]["harvested_exchanges"]) == (1, 3, 2)
