"""The order of the steps is a check, not a habit."""

from collections.abc import Iterator

import pyarrow as pa
import pytest

from clonewatch.engines.duckdb import DuckDB
from clonewatch.pipeline.steps import StepError, StepRunner
from clonewatch.ports.engine import Fold, Query


@pytest.fixture
def plan() -> Iterator[StepRunner]:
    engine = DuckDB(threads=1)
    try:
        engine.put("given", pa.table({"a": list(range(10))}))
        made = StepRunner(engine)
        made.wrote("given", 10)
        yield made
    finally:
        engine.close()


def test_a_step_runs_and_its_rows_are_known(plan: StepRunner) -> None:
    assert plan.run(Query("few", ("given",), "SELECT * FROM given WHERE a < $least", {"least": 4})) == 4
    assert plan.rows == {"given": 10, "few": 4}


def test_a_table_read_before_it_is_written_is_refused(plan: StepRunner) -> None:
    with pytest.raises(StepError, match=r"'later' reads \['missing'\] before"):
        plan.run(Query("later", ("given", "missing"), "SELECT 1 AS a"))
    assert "later" not in plan.rows


def test_a_table_is_written_once(plan: StepRunner) -> None:
    step = Query("once", ("given",), "SELECT * FROM given")
    plan.run(step)
    with pytest.raises(StepError, match="'once' is written twice"):
        plan.run(step)
    with pytest.raises(StepError, match="'given' is written twice"):
        plan.wrote("given", 1)


def test_a_fold_receives_whole_tables_in_the_order_of_its_reads(plan: StepRunner) -> None:
    plan.run(Query("one", ("given",), "SELECT 1 AS b"))
    fold = Fold("sum", ("given", "one"), lambda g, o: pa.table({"n": [g.num_rows * 10 + o.num_rows]}), 10)
    assert plan.run(fold) == 1
    assert plan.engine.fetch('SELECT * FROM "sum"').to_pylist() == [{"n": 101}]


def test_a_fold_over_its_limit_is_refused_before_it_runs(plan: StepRunner) -> None:
    def never(_: pa.Table) -> pa.Table:
        raise AssertionError("the fold ran")

    with pytest.raises(StepError, match=r"'sum' folds 'given' of 10 rows; the limit is 9"):
        plan.run(Fold("sum", ("given",), never, 9))


def test_steps_run_in_order_and_their_rows_add_up(plan: StepRunner) -> None:
    chain = [Query("b", ("given",), "SELECT * FROM given"), Query("c", ("b",), "SELECT * FROM b WHERE a > 7")]
    assert plan.run_all(chain) == 12
    with pytest.raises(StepError):
        StepRunner(plan.engine, known=["given"]).run_all(reversed(chain))
