"""What the Spark engine needs: a session with the settings that steps rely on, and a shared work folder."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from clonewatch.model.errors import SetupError
from clonewatch.model.option_values import megabytes

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Our own settings, given as Spark properties: where tables go, and the most rows that may come to the driver.
WORK, MOST_ROWS = "spark.clonewatch.work", "spark.clonewatch.mostRows"
# Rows of a record batch that Spark sends to Python and back.
BATCH_ROWS = 65_536
# What steps rely on. ANSI: overflow and bad casts raise, as in DuckDB, and "row" is an identifier and not a string.
_RELIED_ON = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.legacy.exponentLiteralAsDecimal.enabled": "false",
    "spark.sql.execution.arrow.maxRecordsPerBatch": str(BATCH_ROWS),
}
# Defaults for one machine: nothing outside can connect, and small tables have few partitions.
_ON_ONE_MACHINE = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": str(2 * (os.cpu_count() or 1)),
}


def require() -> None:
    """Raise SetupError where the extra is not installed, or there is no Java for it to run on."""
    for package in ("pyspark", "pandas"):
        if importlib.util.find_spec(package) is None:
            raise SetupError(
                f"the Spark engine needs the package {package}, which is not installed",
                fix="pip install 'clonewatch[spark]', or scan with --engine duckdb",
            )
    if not os.environ.get("JAVA_HOME") and shutil.which("java") is None:
        raise SetupError(
            "the Spark engine needs Java, which was not found", fix="Install Java 17 or newer, or set JAVA_HOME"
        )


def session(memory: str, threads: int | None, master: str | None, folder: Path | None) -> SparkSession:
    """The active session, or a new one, with the settings that steps rely on. Raises SetupError where none starts."""
    # Imported here because it is an extra and takes a second.
    from py4j.protocol import Py4JError
    from pyspark import SparkConf
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    found = SparkSession.getActiveSession()
    if found is None:
        conf = SparkConf()
        if master or not conf.contains("spark.master"):
            conf.setMaster(master or f"local[{threads or '*'}]")
        if str(conf.get("spark.master")).startswith("local"):
            # Workers on this machine use the same Python as this process.
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
            for name, value in _ON_ONE_MACHINE.items():
                conf.setIfMissing(name, value)
        conf.setIfMissing("spark.app.name", "clonewatch")
        conf.setIfMissing("spark.ui.showConsoleProgress", "false")
        conf.setIfMissing("spark.driver.memory", java_size(memory))
        # Spark creates this folder, which we do not use, in the working directory unless it is set.
        aside = (folder or Path(tempfile.gettempdir())).absolute()
        conf.setIfMissing("spark.sql.warehouse.dir", f"file://{aside}/spark-warehouse")
        try:
            found = SparkSession.builder.config(conf=conf).getOrCreate()
        except (PySparkException, Py4JError) as error:
            raise SetupError(
                f"Spark did not start ({str(error).splitlines()[0]})",
                where=str(conf.get("spark.master")),
                fix="Check that Java is 17 or newer (java -version, JAVA_HOME), the master, and Spark's own settings",
            ) from error
        found.sparkContext.setLogLevel("ERROR")
    elif master:
        raise SetupError(
            "a Spark session is already active", fix="Leave out --master: the session decides where it runs"
        )
    for name, value in _RELIED_ON.items():
        found.conf.set(name, value)
    return found


def java_size(size: str) -> str:
    """A size such as "700MB" in the notation of Java.

    >>> java_size("700MB"), java_size("1.5 GiB")
    ('700m', '1536m')
    """
    return f"{max(1, round(megabytes(size)))}m"


class Home:
    """A new folder for tables, in `place` (a path or a URI) or else in `folder`; `close` removes it."""

    def __init__(self, spark: SparkSession, place: str | None, folder: Path | None) -> None:
        self._spark = spark
        self.local: Path | None = None
        if place is not None and "://" in place:
            self.path = f"{place.rstrip('/')}/clonewatch-{spark.sparkContext.applicationId}-{os.getpid()}"
        else:
            if place is not None:
                Path(place).mkdir(parents=True, exist_ok=True)
            self.local = Path(tempfile.mkdtemp(prefix=".clonewatch-", dir=place or folder)).absolute()
            self.path = f"file://{self.local}"

    def rows(self, path: str) -> int:
        """Number of rows of the Parquet files of a table, from their footers."""
        if self.local is None:
            return int(self._spark.read.parquet(path).count())
        files = Path(path.removeprefix("file://")).glob("*.parquet")
        return sum(int(pq.read_metadata(file).num_rows) for file in files)

    @contextmanager
    def writer(self, path: str, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
        """A function that writes tables of a schema under a path, one after another, from the driver."""
        if self.local is None:
            yield lambda piece: self._spark.createDataFrame(piece).write.mode("append").parquet(path)
            return
        place = Path(path.removeprefix("file://"))
        place.mkdir()
        with pq.ParquetWriter(place / "part-0.parquet", schema) as file:
            yield file.write_table

    def probe(self) -> None:
        """Raise SetupError where not everything that executors write here can be read."""
        path, rows = f"{self.path}/probe", 64
        self._spark.range(rows).repartition(8).write.parquet(path)
        if self.rows(path) != rows:
            raise SetupError(
                "not everything that executors write to the work folder can be read",
                where=self.path,
                fix=f"Set {WORK} to a folder or URI that the driver and every executor share",
            )

    def close(self) -> None:
        """Remove the folder and everything in it."""
        self.remove(self.path)

    def remove(self, path: str) -> None:
        """Remove one folder in it."""
        if self.local is not None:
            shutil.rmtree(path.removeprefix("file://"), ignore_errors=True)
            return
        context = self._spark.sparkContext
        java: Any = context._jvm  # the only access to the file systems that Spark knows
        place = java.org.apache.hadoop.fs.Path(path)
        place.getFileSystem(context._jsc.hadoopConfiguration()).delete(place, True)
