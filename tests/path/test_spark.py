"""The Spark engine on a real cluster of two executors: one contract, one dialect, and the same results as DuckDB."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.required import required

from clonewatch import ScanResult
from clonewatch.adapters.reading import open_log
from clonewatch.engines._spark_session import Home
from clonewatch.engines.duckdb import DuckDB
from clonewatch.engines.spark import Spark
from clonewatch.entities import ownership
from clonewatch.fingerprints.fingerprinting import Fingerprinter
from clonewatch.lab.simulate import simulate
from clonewatch.model.errors import InputError, OutputError, SetupError
from clonewatch.model.read_results import Rejected
from clonewatch.pipeline.detection import slicing
from clonewatch.pipeline.detection.signals import SIGNALS
from clonewatch.pipeline.intake.spark_parquet import Reading, read_remote
from clonewatch.pipeline.intake.staging import EXCHANGE_SCHEMA, READ, Stager
from clonewatch.pipeline.scan import ScanSettings, scan
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.engine import FILE, PLACE

if TYPE_CHECKING:
    from pyspark import SparkContext

LACKING = [name for name in ("pyspark", "pandas") if importlib.util.find_spec(name) is None]
LACKING += [] if shutil.which("java") or os.environ.get("JAVA_HOME") else ["java"]
pytestmark = required("the Spark engine", LACKING)
MOST_ROWS = 200_000
# Sums of fractions depend on their order, which no engine promises: two answers may differ by this share.
ROUNDING = 1e-9
KEY = bytes(range(32))
# Hundreds of jobs on a few rows each: compiling them well costs more than running them.
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
NUMBERS = pa.table(
    {
        "a": pa.array(range(1000), pa.int64()),
        "b": [str(i % 7) for i in range(1000)],
        "small": pa.array([i % 100 for i in range(1000)], pa.int8()),
        "hash": pa.array([2**64 - 1 - i for i in range(1000)], pa.uint64()),
    }
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A session on two executors, each a process with one core and 1 GB; gives the folder of its event log."""
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

    place = tmp_path_factory.mktemp("cluster")
    (place / "events").mkdir()
    os.environ["PYSPARK_PYTHON"] = sys.executable
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": "2",
        "spark.driver.memory": "1g",
        "spark.clonewatch.mostRows": str(MOST_ROWS),
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": (place / "events").as_uri(),
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.warehouse.dir": (place / "warehouse").as_uri(),
        "spark.driver.extraJavaOptions": SHORT_LIVED,
        "spark.executor.extraJavaOptions": SHORT_LIVED,
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    }
    conf = SparkConf().setMaster("local-cluster[2,1,1024]").setAll(list(settings.items()))
    session = SparkSession.builder.config(conf=conf).getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    assert len(executors()) == 2
    yield place / "events"
    written = work_of(application())
    session.stop()
    shutil.rmtree(written, ignore_errors=True)


@pytest.fixture(params=["duckdb", "spark"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DuckDB | Spark]:
    if request.param == "spark":
        request.getfixturevalue("cluster")
    made = DuckDB(threads=1, folder=tmp_path) if request.param == "duckdb" else Spark(folder=tmp_path)
    yield made
    made.close()
    assert list(tmp_path.iterdir()) == [], "something is left behind"


def work_of(application: str) -> Path:
    """Where the executors of an application write their logs."""
    import pyspark

    return Path(os.environ.get("SPARK_HOME") or Path(pyspark.__file__).parent) / "work" / application


def executors() -> list[int]:
    """Process ids of the executors that are children of this test, sorted."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            command = (place / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended
        if b"CoarseGrainedExecutorBackend" in command and f"--app-id\0{application()}\0".encode() in command:
            found.append(int(place.name))
    return sorted(found)


def application() -> str:
    return str(context().applicationId)


def context() -> SparkContext:
    from pyspark import SparkContext

    found = SparkContext._active_spark_context
    assert found is not None
    return found


def told(events: Path) -> list[dict[str, Any]]:
    """What the event log holds so far."""
    lines = [line for file in events.iterdir() for line in file.read_text().splitlines(keepends=True)]
    return [json.loads(line) for line in lines if line.endswith("\n")]


# ---- one contract --------------------------------------------------------------------------------------------------


def test_a_stored_table_is_fetched_with_its_types_including_unsigned_hashes(engine: DuckDB | Spark) -> None:
    engine.put("numbers", NUMBERS)
    assert engine.fetch('SELECT * FROM "numbers" ORDER BY a').equals(NUMBERS)


def test_hashes_join_group_and_come_back_unsigned(engine: DuckDB | Spark) -> None:
    engine.put("numbers", NUMBERS)
    engine.put("few", NUMBERS.slice(0, 5).select(["hash"]))
    sql = "SELECT n.hash, COUNT(*) AS n FROM numbers n JOIN few f ON f.hash = n.hash GROUP BY n.hash"
    assert engine.store("met", sql, {}) == 5
    found = engine.fetch("SELECT hash, n FROM met")
    assert sorted(found["hash"].to_pylist()) == [2**64 - 5 + i for i in range(5)]
    assert found.schema.field("hash").type == pa.uint64()


def test_batches_are_ingested_and_streamed_and_names_given(engine: DuckDB | Spark) -> None:
    assert engine.ingest("old", NUMBERS.schema, NUMBERS.to_batches(100)) == 1000
    engine.rename("old", "new")
    batches = list(engine.stream("SELECT * FROM new WHERE a < $most", {"most": 10}))
    assert sum(b.num_rows for b in batches) == 10
    with pytest.raises(Exception, match="old"):
        engine.fetch("SELECT * FROM old")


def test_an_empty_table_keeps_its_columns(engine: DuckDB | Spark) -> None:
    assert engine.ingest("nothing", NUMBERS.schema, []) == 0
    assert engine.fetch("SELECT * FROM nothing").equals(NUMBERS.schema.empty_table())


def test_a_parameter_is_a_value_never_sql(engine: DuckDB | Spark) -> None:
    engine.put("numbers", NUMBERS)
    assert engine.store("few", "SELECT a FROM numbers WHERE b = $b AND a < $most", {"b": "3", "most": 100}) == 14
    assert engine.fetch("SELECT a FROM numbers WHERE b = $b", {"b": "3' OR '1'='1"}).num_rows == 0


def test_tables_of_a_scope_hide_outer_ones_and_are_dropped_at_its_end(engine: DuckDB | Spark) -> None:
    engine.put("numbers", NUMBERS)
    with engine.aside():
        assert engine.store("numbers", "SELECT * FROM numbers WHERE a < $most", {"most": 10}) == 10
        assert engine.store("more", "SELECT * FROM numbers", {}) == 10
    assert engine.fetch("SELECT COUNT(*) AS n FROM numbers").to_pylist() == [{"n": 1000}]
    with pytest.raises(Exception, match="more"):
        engine.fetch("SELECT * FROM more")


def test_a_failed_statement_names_the_table_that_was_being_built(engine: DuckDB | Spark) -> None:
    with pytest.raises(Exception, match="no_such_column") as caught:
        engine.store("weights", "SELECT no_such_column FROM (SELECT 1 AS a) s", {})
    assert any("building table 'weights'" in note for note in caught.value.__notes__)


# ---- one dialect ---------------------------------------------------------------------------------------------------

# Where engines are known to differ, and what the steps rely on.
DIALECT = {
    "a quotient of integers is a fraction": ("7 / 2", 3.5),
    "a bin is the floor, of negative times too": ("CAST(FLOOR(-1 / 3600000000) AS BIGINT)", -1),
    "a remainder keeps its sign": ("CAST(-7 AS BIGINT) % 3", -1),
    "a mean of fractions keeps its digits": ("AVG(CASE WHEN v > 1 THEN 1.0 ELSE 0.0 END)", 2 / 3),
    "a fraction is no decimal of few places": ("1.0 / 3 * 3 - 1.0", 0.0),
    "nulls do not count": ("COUNT(x)", 2),
    "nulls are left out of the greatest and the least": ("GREATEST(MAX(x), NULL) - LEAST(MIN(x), NULL)", 2),
    "a variance of one row is unknown": ("VAR_SAMP(CASE WHEN v = 1 THEN v END)", None),
    "null or true is true": ("COALESCE(MAX(x) > 1 OR NULL, FALSE)", True),
    "numbers are small, sums are not": ("SUM(small)", 300),
    "logarithms are natural": ("LN(SQRT(1.0)) + SUM(v * 0.5)", 3.0),
    "hashes are compared as numbers with a sign": ("MIN(h)", -(2**63)),
}


def test_the_dialect_means_the_same(engine: DuckDB | Spark) -> None:
    engine.put(
        "t",
        pa.table(
            {
                "v": pa.array([1, 2, 3], pa.int64()),
                "x": pa.array([1, None, 3], pa.int32()),
                "small": pa.array([100, 100, 100], pa.int8()),
                "h": pa.array([-(2**63), 5, 2**63 - 1], pa.int64()),
            }
        ),
    )
    columns = ", ".join(f"{expression} AS c{i}" for i, (expression, _) in enumerate(DIALECT.values()))
    found = engine.fetch(f"SELECT {columns} FROM t").to_pylist()[0]
    for value, (case, (_, expected)) in zip(found.values(), DIALECT.items(), strict=True):
        wanted = pytest.approx(expected, abs=1e-12) if isinstance(expected, float) else expected
        assert value == wanted, case


def test_windows_and_ties_are_decided_by_what_the_step_orders_by(engine: DuckDB | Spark) -> None:
    engine.put("t", pa.table({"g": [1, 1, 1, 2], "ts": [5, 5, 9, 4], "row": [2, 1, 3, 0]}))
    engine.store("gaps", 'SELECT g, "row", ts - LAG(ts) OVER (PARTITION BY g ORDER BY ts, "row") AS gap FROM t', {})
    assert engine.fetch('SELECT gap FROM gaps ORDER BY "row"')["gap"].to_pylist() == [None, None, 0, 4]
    top = "SELECT g, COUNT(*) AS n FROM t GROUP BY g ORDER BY COUNT(*) DESC, g LIMIT $most"
    assert engine.fetch(top, {"most": 1}).to_pylist() == [{"g": 1, "n": 3}]


def test_a_value_beyond_64_bits_raises(engine: DuckDB | Spark) -> None:
    engine.put("t", pa.table({"h": pa.array([2**63 - 1], pa.int64())}))
    with pytest.raises(Exception, match=r"(?i)overflow|out of range"):
        engine.fetch("SELECT h * 2 AS x FROM t")


# ---- what only a cluster has ---------------------------------------------------------------------------------------


@pytest.fixture
def spark(cluster: Path, tmp_path: Path) -> Iterator[Spark]:
    (tmp_path / "tables").mkdir()
    made = Spark(folder=tmp_path / "tables")
    yield made
    made.close()


def test_more_rows_than_the_setting_allows_are_not_fetched_to_the_driver(spark: Spark) -> None:
    attributes = pa.array(range(MOST_ROWS + 1), pa.int64())
    spark.put("rare_template", pa.table({"attribute": attributes, "entity": attributes.cast(pa.int32())}))
    with pytest.raises(OutputError, match="more than 200,000 rows") as caught:
        spark.fetch('SELECT * FROM "rare_template" ORDER BY attribute, entity')
    assert caught.value.where == "rare_template" and "spark.clonewatch.mostRows" in caught.value.fix
    assert spark.fetch("SELECT * FROM rare_template WHERE attribute > 0").num_rows == MOST_ROWS


def test_files_in_folders_are_read_on_executors_in_their_order(spark: Spark, tmp_path: Path) -> None:
    (tmp_path / "log" / "day=2026-05-02").mkdir(parents=True)
    for name in ("a", "day=2026-05-02/b"):
        pq.write_table(NUMBERS.select(["a"]), tmp_path / "log" / f"{name}.parquet", row_group_size=100)
    here = os.getpid()

    def look(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            pid = pa.array([os.getpid()] * batch.num_rows, pa.int64())
            yield pa.record_batch([batch[FILE], batch[PLACE], batch["a"], pid], ["file", "place", "a", "pid"])

    schema = pa.schema([("file", pa.string()), ("place", pa.int64()), ("a", pa.int64()), ("pid", pa.int64())])
    assert spark.read("seen", [str(tmp_path / "log")], frozenset({"a"}), schema, look) == 2000
    found = spark.fetch("SELECT * FROM seen")
    assert found["a"].equals(found["place"]) and len(found["file"].unique()) == 2
    assert here not in found["pid"].to_pylist()


def test_a_work_folder_may_be_an_address_that_only_spark_can_open(cluster: Path, tmp_path: Path) -> None:
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    assert session is not None
    home = Home(session, tmp_path.as_uri(), None)
    home.probe()
    few = NUMBERS.select(["a", "b", "small"])
    with home.writer(f"{home.path}/few", few.schema) as write:
        write(few)
        write(few)
    assert home.local is None and home.rows(f"{home.path}/few") == 2000
    home.close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_parquet_is_named(spark: Spark, tmp_path: Path) -> None:
    (tmp_path / "log.parquet").write_text("not at all")
    with pytest.raises(InputError, match="cannot read") as caught:
        spark.read("seen", [str(tmp_path / "log.parquet")], frozenset({"a"}), NUMBERS.schema, iter)
    assert caught.value.where.endswith("log.parquet")


def test_a_java_that_does_not_run_is_reported_with_the_fix(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bin" / "java").chmod(0o755)
    command = [sys.executable, "-c", "from clonewatch.engines.spark import Spark; Spark()"]
    ended = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"JAVA_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode and "SetupError: Spark did not start" in ended.stderr and "Java is 17" in ended.stderr


def test_a_second_master_is_refused_while_a_session_runs(cluster: Path) -> None:
    with pytest.raises(SetupError, match="already active"):
        Spark(master="local[1]")


@pytest.mark.parametrize("threshold", ["10MB", "-1"], ids=["small tables are sent round", "large ones are sorted"])
def test_slices_are_those_of_duckdb_and_no_join_compares_every_pair(
    spark: Spark, tmp_path: Path, threshold: str
) -> None:
    links = [link for link in (SIGNALS.load(name) for name in SIGNALS.names()) if link.content]
    query = slicing._slices("", links)
    made = slicing_tables([(link.signal.name, link.column) for link in links])
    own = DuckDB(threads=1, folder=tmp_path)
    settings = ("spark.sql.autoBroadcastJoinThreshold", "spark.sql.adaptive.autoBroadcastJoinThreshold")
    try:
        for engine in (own, spark):
            for name, table in made.items():
                engine.put(name, table)
        for name in settings:
            spark.session.conf.set(name, threshold)
        plan = spark.session.sql(f"EXPLAIN {query.sql}").collect()[0][0]
        rows = [engine.store("slices", query.sql, {}) for engine in (own, spark)]
        ours, theirs = (e.fetch('SELECT * FROM slices ORDER BY cluster, "row"') for e in (own, spark))
    finally:
        own.close()
        for name in settings:
            spark.session.conf.unset(name)
    assert rows[0] == rows[1] and 0 < rows[0] < made["exchanges"].num_rows
    assert theirs.equals(ours)
    assert plan.count("ExistenceJoin") == len(links) > 0
    assert ("SortMergeJoin" if threshold == "-1" else "BroadcastHashJoin") in plan
    assert "NestedLoop" not in plan and "Cartesian" not in plan


def slicing_tables(content: list[tuple[str, str]]) -> dict[str, pa.Table]:
    """Exchanges of a hundred accounts.

    Half of them in three clusters, of which one is whole; some carry no attribute.
    """
    draw, count = np.random.default_rng(5), 5_000
    filled = {f.name: draw.integers(0, 40, count) for f in EXCHANGE_SCHEMA}
    exchanges = {
        f.name: pa.array(np.arange(count))
        if f.name == "row"
        else pa.array(filled[f.name], mask=draw.random(count) < 0.1).cast(pa.int64()).cast(f.type)
        for f in EXCHANGE_SCHEMA
    }
    exchanges["account"] = pa.array(draw.integers(0, 100, count), pa.int32())
    account = np.arange(50)
    signal = [name for name, _ in content for _ in range(6)]
    return {
        "exchanges": pa.table(exchanges, schema=EXCHANGE_SCHEMA),
        "carriers": pa.table(
            {
                "account": pa.array(account, pa.int32()),
                "cluster": pa.array(account % 3, pa.int32()),
                "entity": pa.array(account, pa.int32()),
                "uses_all": pa.array(account % 3 == 2),
            }
        ),
        "selecting": pa.table(
            {
                "cluster": pa.array(draw.integers(0, 2, len(signal)), pa.int32()),
                "signal": signal,
                "attribute": pa.array(draw.integers(0, 40, len(signal)), pa.int64()),
            }
        ),
    }


# ---- executors that die --------------------------------------------------------------------------------------------


def test_fetching_rows_continues_after_every_executor_was_killed(spark: Spark, cluster: Path) -> None:
    """Rows that were sorted on the killed executors are computed again."""
    spark.put("numbers", NUMBERS)
    # Few rows would be one partition, fetched at once.
    spark.session.conf.set("spark.sql.adaptive.coalescePartitions.enabled", "false")
    try:
        rows = spark.stream("SELECT a, COUNT(*) AS n FROM numbers GROUP BY a ORDER BY a")
        first = next(rows)
        dead = executors()
        for pid in dead:
            os.kill(pid, signal.SIGKILL)
        found = pa.Table.from_batches([first, *rows])
    finally:
        spark.session.conf.unset("spark.sql.adaptive.coalescePartitions.enabled")
    assert len(dead) == 2 and not set(dead) & set(executors())
    assert 0 < first.num_rows < 1000 and found["a"].to_pylist() == list(range(1000))
    log = told(cluster)
    since = max(i for i, event in enumerate(log) if event["Event"] == "SparkListenerExecutorRemoved")
    again = [e for e in log[since:] if e.get("Task Type") == "ShuffleMapTask" and e["Event"] == "SparkListenerTaskEnd"]
    assert again, "nothing that was lost has been computed again"


@contextmanager
def killing() -> Iterator[list[int]]:
    """In the block, the oldest executor is paused, and killed with SIGKILL once it has a task."""
    killed: list[int] = []
    over, oldest = threading.Event(), executors()[0]
    name = Path(f"/proc/{oldest}/cmdline").read_text().split("\0--executor-id\0")[1].split("\0")[0]
    for _ in range(600):  # one that has only just begun is given no tasks before it has told the driver
        if name in working():
            break
        time.sleep(0.1)

    def wait() -> None:
        while not killed and not over.wait(0.01):
            if working().get(name):
                os.kill(oldest, signal.SIGKILL)
                killed.append(oldest)

    # Left to run it might be done before anybody looks: held still it keeps what it is given until it dies.
    os.kill(oldest, signal.SIGSTOP)
    watcher = threading.Thread(target=wait)
    watcher.start()
    try:
        yield killed
    finally:
        over.set()
        watcher.join()
        if not killed:
            os.kill(oldest, signal.SIGCONT)


def working() -> dict[str, int]:
    """How many unfinished tasks each living executor has."""
    known = context()._jsc.sc().statusStore().executorList(True)  # Python shows none
    found = [known.apply(i) for i in range(known.length())]
    return {str(one.id()): int(one.activeTasks()) for one in found}


def staged(engine: DuckDB | Spark, log: Path, refused: list[Rejected]) -> StepRunner:
    """Table `exchanges` and those of the accounts' side, read by the engine's workers where it has any."""
    plan, stager, opened = StepRunner(engine), Stager(KEY), open_log([str(log)])
    if isinstance(engine, Spark):
        read_remote(engine, plan, stager, opened, (), Reading(KEY), refused.extend)
    else:
        batches = opened.batches(refused.extend, READ)
        rows = engine.ingest("arrivals", EXCHANGE_SCHEMA, stager.stage_all(batches, Fingerprinter(KEY).apply))
        plan.wrote("arrivals", rows)
    engine.rename("arrivals", "exchanges")
    engine.put("accounts", stager.accounts(opened.accounts()))
    for table in ("exchanges", "accounts"):
        plan.wrote(table, 0)
    return plan


def test_two_executors_killed_in_mid_run_lose_nothing(spark: Spark, cluster: Path, log: Path, tmp_path: Path) -> None:
    """One while it reads the log, the other while what it read is counted."""
    own = DuckDB(threads=1, folder=tmp_path)
    refused: tuple[list[Rejected], list[Rejected]] = ([], [])
    steps = [*ownership.STEPS, *ownership.RHYTHM, ownership.BEHAVIOUR]
    made = ["exchanges", *(step.writes for step in steps)]
    lost_before = len(losses(cluster))
    try:
        staged(own, log, refused[0]).run_all(steps)
        with killing() as first:
            plan = staged(spark, log, refused[1])
        with killing() as second:
            plan.run_all(steps)
        for table in made:
            one, other = (e.fetch(f'SELECT * FROM "{table}"') for e in (own, spark))
            order = [(name, "ascending") for name in one.column_names if not pa.types.is_floating(one[name].type)]
            alike(one.sort_by(order), other.sort_by(order))
    finally:
        own.close()
    assert first and second and first != second and not {*first, *second} & set(executors())
    assert len(losses(cluster)) > lost_before, "no executor was at work when it was killed"
    assert refused[0] and refused[0] == refused[1]


def losses(events: Path) -> list[dict[str, Any]]:
    """Tasks that ended because their executor did."""
    return [e for e in told(events) if e.get("Task End Reason", {}).get("Reason") == "ExecutorLostFailure"]


# ---- one answer ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small log with texts and events of accounts, in two files, with bad rows and rows sent twice."""
    folder = tmp_path_factory.mktemp("cards")
    simulate("s01_shared_cards", folder / "made", seed=3, scale=0.1, text=True)
    rows = pq.read_table(folder / "made" / "exchanges")
    ids = [None if i % 997 == 0 else name for i, name in enumerate(rows["account_id"].to_pylist())]
    rows = rows.set_column(rows.column_names.index("account_id"), "account_id", pa.array(ids, pa.string()))
    rows = pa.concat_tables([rows, rows.slice(1000, 50)])
    (folder / "log" / "exchanges").mkdir(parents=True)
    half = rows.num_rows // 2
    pq.write_table(rows.slice(0, half), folder / "log" / "exchanges" / "part 1.parquet", row_group_size=5000)
    pq.write_table(rows.slice(half), folder / "log" / "exchanges" / "part 2.parquet", row_group_size=5000)
    for name in ("accounts.parquet", "events.parquet"):
        shutil.copyfile(folder / "made" / name, folder / "log" / name)
    return folder / "log"


def settings(log: Path, out: Path, engine: str) -> ScanSettings:
    return ScanSettings(paths=(str(log),), out=out / engine, key_file=out / "key", engine=engine, max_rejected=0.5)


def alike(one: pa.Table, other: pa.Table) -> None:
    """Equal in everything, fractions within `ROUNDING`."""
    assert one.schema.equals(other.schema) and one.num_rows == other.num_rows
    for name in one.column_names:
        if pa.types.is_floating(one[name].type):
            a, b = (t[name].to_numpy() for t in (one, other))
            np.testing.assert_allclose(a, b, rtol=ROUNDING, atol=ROUNDING, err_msg=name)
        else:
            assert rounded(one[name].to_pylist()) == rounded(other[name].to_pylist()), name


def rounded(value: Any) -> Any:
    """The same with fractions inside lists and structures cut to what `ROUNDING` leaves."""
    if isinstance(value, float):
        return float(f"{value:.8g}")
    if isinstance(value, list | tuple):
        return [rounded(v) for v in value]
    return {k: rounded(v) for k, v in value.items()} if isinstance(value, dict) else value


def test_a_scan_on_the_cluster_gives_duckdbs_result_and_logs_no_key(
    cluster: Path, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(log.parent)
    log = Path(log.name)
    ours: ScanResult = scan(settings(log, tmp_path, "duckdb"))
    assert any(ours.tables["campaigns"]["flagged"].to_pylist()), "nothing is flagged, so that nothing can be lost"
    theirs = scan(settings(log, tmp_path, "spark"))

    for name, table in ours.tables.items():
        alike(table, theirs.tables[name])
    for file in sorted((tmp_path / "duckdb").glob("*.parquet")):
        alike(pq.read_table(file), pq.read_table(tmp_path / "spark" / file.name))
    for part in ("window", "counts", "trust", "signals", "chance", "warnings"):
        assert rounded(theirs.summary[part]) == rounded(ours.summary[part]), part
    one, other = ([{k: v for k, v in i.items() if k != "sha256"} for i in r.summary["inputs"]] for r in (ours, theirs))
    assert one == other
    rejected = [(tmp_path / name / "rejected.ndjson").read_text() for name in ("duckdb", "spark")]
    assert rejected[0] and rejected[0] == rejected[1]

    assert_the_key_is_in_no_log(cluster, (tmp_path / "key").read_text().strip())


def assert_the_key_is_in_no_log(events: Path, key: str) -> None:
    held = [p for place in (events, work_of(application())) for p in place.rglob("*") if p.suffix != ".jar"]
    logs = [p.read_bytes() for p in held if p.is_file()]
    assert any(b"MapInArrow" in log for log in logs), "the logs that were examined do not show the reading step"
    wanted = re.compile(re.escape(bytes.fromhex(key)) + b"|" + key.encode())
    assert not any(wanted.search(log) for log in logs)
    spelt = repr(bytes.fromhex(key)).encode()
    assert not any(spelt in log for log in logs)
