"""The default engine: memory is bounded, and errors say what failed."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from clonewatch.engines.duckdb import DuckDB
from clonewatch.model.errors import OutputError


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[DuckDB]:
    made = DuckDB(threads=1, folder=tmp_path)
    yield made
    made.close()


NUMBERS = pa.table({"a": pa.array(range(1000), pa.int64()), "b": [str(i % 7) for i in range(1000)]})


def test_a_stored_table_is_fetched_unchanged(engine: DuckDB) -> None:
    engine.put("numbers", NUMBERS)
    assert engine.fetch('SELECT * FROM "numbers" ORDER BY a').equals(NUMBERS)


def test_batches_are_ingested_and_streamed(engine: DuckDB) -> None:
    assert engine.ingest("numbers", NUMBERS.schema, NUMBERS.to_batches(100)) == 1000
    batches = list(engine.stream("SELECT * FROM numbers WHERE a < $most", {"most": 10}))
    assert sum(b.num_rows for b in batches) == 10


def test_the_engine_opens_in_a_notebook_that_cannot_draw_progress_bars(tmp_path: Path) -> None:
    (tmp_path / "IPython.py").write_text(
        "class Shell:\n    config = {'IPKernelApp': {}}\n\n\ndef get_ipython():\n    return Shell()\n"
    )
    # No IPython and no ipywidgets but the stand-in, imported before the engine as a kernel does.
    script = f"""import sys
sys.path.insert(0, {str(tmp_path)!r})
import IPython
from clonewatch.engines.duckdb import DuckDB
DuckDB().close()"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_stream_that_breaks_names_its_own_error(engine: DuckDB) -> None:
    def torn() -> Iterator[pa.RecordBatch]:
        yield NUMBERS.to_batches(100)[0]
        raise ArithmeticError("the source broke")

    with pytest.raises(Exception, match="the source broke"):
        engine.ingest("numbers", NUMBERS.schema, torn())


def test_storing_counts_rows_and_takes_parameters(engine: DuckDB) -> None:
    engine.put("numbers", NUMBERS)
    assert engine.store("few", "SELECT a FROM numbers WHERE b = $b AND a < $most", {"b": "3", "most": 100}) == 14


def test_a_parameter_is_a_value_never_sql(engine: DuckDB) -> None:
    engine.put("numbers", NUMBERS)
    assert engine.fetch("SELECT a FROM numbers WHERE b = $b", {"b": "3' OR '1'='1"}).num_rows == 0


def test_a_table_is_renamed(engine: DuckDB) -> None:
    engine.put("old", NUMBERS)
    engine.rename("old", "new")
    assert engine.fetch("SELECT COUNT(*) AS n FROM new").to_pylist() == [{"n": 1000}]


def test_a_failed_statement_names_the_table_and_shows_the_text(engine: DuckDB) -> None:
    with pytest.raises(Exception, match="no_such_column") as caught:
        engine.store("weights", "SELECT no_such_column FROM (SELECT 1 AS a) s", {})
    assert any("building table 'weights'" in note and "no_such_column" in note for note in caught.value.__notes__)


def test_running_out_of_memory_names_the_table_and_the_fix(tmp_path: Path) -> None:
    engine = DuckDB(memory="8MB", threads=1, folder=tmp_path)
    try:
        with pytest.raises(OutputError, match="building table 'large'") as caught:
            engine.store("large", "SELECT list(i) AS l FROM range(5000000) t(i)", {})
        assert "--memory" in caught.value.fix
    finally:
        engine.close()


def tables(engine: DuckDB) -> set[str]:
    found = engine.fetch("SELECT table_schema || '.' || table_name AS name FROM information_schema.tables")
    return set(found["name"].to_pylist())


def test_tables_of_a_scope_hide_outer_ones_and_are_dropped_at_its_end(engine: DuckDB) -> None:
    engine.put("numbers", NUMBERS)
    engine.put("untouched", NUMBERS.slice(0, 3))
    with engine.aside():
        assert engine.store("numbers", "SELECT * FROM numbers WHERE a < $most", {"most": 10}) == 10
        assert engine.store("more", "SELECT * FROM numbers", {}) == 10
        engine.put("put", NUMBERS)
        engine.rename("put", "renamed")
        assert engine.fetch("SELECT COUNT(*) AS n FROM untouched").to_pylist() == [{"n": 3}]
    assert tables(engine) == {"main.numbers", "main.untouched"}
    assert engine.fetch("SELECT COUNT(*) AS n FROM numbers").to_pylist() == [{"n": 1000}]
    assert engine.store("more", "SELECT * FROM numbers", {}) == 1000


def test_an_error_leaves_no_table_of_its_scope(engine: DuckDB) -> None:
    engine.put("numbers", NUMBERS)
    for _ in range(2):
        with pytest.raises(ArithmeticError, match="half-way"), engine.aside():
            engine.store("half", "SELECT * FROM numbers", {})
            raise ArithmeticError("half-way")
        with pytest.raises(Exception, match="no_such"), engine.aside():
            engine.store("first", "SELECT * FROM numbers", {})
            engine.store("broken", "SELECT no_such FROM numbers", {})
    assert tables(engine) == {"main.numbers"}
    engine.put("half", NUMBERS)
    assert "main.half" in tables(engine)


def test_a_return_leaves_no_table_of_its_scope_either(engine: DuckDB) -> None:
    def early() -> int:
        with engine.aside():
            return engine.store("numbers", "SELECT 1 AS a", {})

    assert early() == 1 and tables(engine) == set()


def test_closing_leaves_no_file(tmp_path: Path) -> None:
    engine = DuckDB(threads=1, folder=tmp_path)
    engine.put("numbers", NUMBERS)
    assert list(tmp_path.iterdir())
    engine.close()
    assert list(tmp_path.iterdir()) == []


def test_a_second_engine_does_not_see_tables_of_the_first(engine: DuckDB, tmp_path: Path) -> None:
    engine.put("numbers", NUMBERS)
    other = DuckDB(threads=1, folder=tmp_path)
    try:
        assert other.fetch("SELECT COUNT(*) AS n FROM information_schema.tables").to_pylist() == [{"n": 0}]
    finally:
        other.close()


FULL = """
import resource, sys
from pathlib import Path
from clonewatch.engines.duckdb import DuckDB
from clonewatch.model.errors import OutputError
engine = DuckDB(threads=1, memory="64MB", folder=Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, resource.RLIM_INFINITY))
try:
    engine.store("large", "SELECT hash(i) AS a, hash(i + 1) AS b FROM range(20000000) t(i)", {})
except OutputError as error:
    print("OutputError", error.what, "|", error.where, "|", error.fix)
finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    engine.close()
print(sorted(p.name for p in Path(sys.argv[1]).iterdir()))
"""


def test_a_full_disk_is_an_output_error_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of a file stands in for a full disk: both refuse the write."""
    assert hasattr(resource, "RLIMIT_FSIZE")
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    said, left = done.stdout.splitlines()
    assert said.startswith("OutputError the disk gave out while building table 'large'")
    assert "Free some space" in said and str(tmp_path) in said
    assert left == "[]"


class Failing:
    """A connection whose answers stop with an error of the engine after the first batch."""

    def __init__(self, error: duckdb.Error) -> None:
        self.error = error

    def sql(self, *_: object, **__: object) -> "Failing":
        return self

    def to_arrow_reader(self, _: int) -> Iterator[pa.RecordBatch]:
        yield from NUMBERS.to_batches()[:1]
        raise self.error

    def to_arrow_table(self) -> pa.Table:
        raise self.error


@pytest.mark.parametrize("error", [duckdb.IOException("No space left on device"), duckdb.OutOfMemoryException("full")])
def test_running_out_of_disk_or_memory_while_reading_a_result_names_the_fix(
    engine: DuckDB, monkeypatch: pytest.MonkeyPatch, error: duckdb.Error
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(engine, "_connection", Failing(error))
        batches = engine.stream("SELECT 1")
        assert next(batches).num_rows > 0
        with pytest.raises(OutputError, match="gave out while reading tables") as told:
            next(batches)
        assert "run again" in told.value.fix
        with pytest.raises(OutputError):
            engine.fetch("SELECT 1")
