"""DuckDB and Spark on the same rows: the same scan, measured over whole process trees, executors included.

    python benchmarks/engines.py [--rows 300000 1000000 3000000] [--runs 1] [--out FILE.json]

Each scan is its own process, as on the command line. CPU-seconds are what the operating system counts for the process
and everything it starts (the Java processes and their Python workers); peak memory is the largest sum of proportional
set sizes over that tree, sampled five times per second. Every result is compared with DuckDB's, table by
table. Logs and key are those of benchmarks/scan.py.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import json
import os
import resource
import shutil
import subprocess
import threading
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scan import COMMAND, HERE, WORK, environment, grown, machine, middle, simulated

# What is compared: DuckDB; Spark in one Java process; Spark on two executors of one core and 2 GB each.
ENGINES = {
    "duckdb": ["--memory", "2GB"],
    "spark, local[2]": ["--engine", "spark", "--master", "local[2]", "--memory", "3GB"],
    "spark, two executors": ["--engine", "spark", "--master", "local-cluster[2,1,2048]", "--memory", "2GB"],
}
ROUNDING = 1e-9
_ADOPT = 36  # PR_SET_CHILD_SUBREAPER: orphaned descendants become our children, so their times are counted


def tree(root: int) -> set[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # the process has exited
        children.setdefault(parent, []).append(int(place.name))
    found, open_ = {root}, [root]
    while open_:
        fresh = [c for c in children.get(open_.pop(), []) if c not in found]
        found.update(fresh)
        open_ += fresh
    return found


def memory_mb(pids: set[int]) -> float:
    """Total proportional set size of some processes, in MB."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def measured(command: list[str]) -> dict[str, float]:
    """Run a command until everything it started has exited; seconds, CPU-seconds and peak memory in MB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    peak, over = [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            peak[0] = max(peak[0], memory_mb(tree(child.pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = child.wait()
    seconds = time.perf_counter() - started
    over.set()
    watcher.join()
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    if code:
        raise SystemExit(f"{' '.join(command[2:])} exited with {code}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1), "peak_mb": round(peak[0])}


def furthest(one: Path, other: Path) -> float | None:
    """The largest relative difference of a floating-point value between two results; None if anything else differs."""
    worst = 0.0
    for file in sorted(one.glob("*.parquet")):
        a, b = pq.read_table(file), pq.read_table(other / file.name)
        if a.schema != b.schema or a.num_rows != b.num_rows:
            return None
        for name in a.column_names:
            if pa.types.is_floating(a[name].type):
                x, y = a[name].to_numpy(), b[name].to_numpy()
                gap = np.abs(x - y) / np.maximum(1.0, np.abs(x))
                worst = max(worst, float(np.nanmax(gap, initial=0.0)))
            elif pa.types.is_nested(a[name].type):
                continue  # repeats what the other tables contain
            elif not a[name].equals(b[name]):
                return None
    return worst


def compared(rows: int, runs: int) -> dict[str, Any]:
    """Scan one log with every engine."""
    log = simulated(rows)
    found: dict[str, Any] = {}
    reference = WORK / "engine-duckdb"
    for name, options in ENGINES.items():
        result = WORK / f"engine-{name.partition(',')[0]}"
        shutil.rmtree(result, ignore_errors=True)
        command = [*COMMAND, "scan", str(log), "--out", str(result), "--quiet", *options]
        found[name] = middle([measured(command) for _ in range(runs)])
        summary = json.loads((result / "scan.json").read_text(encoding="utf-8"))
        found[name] |= {"stages": summary["stages"], "rows": summary["counts"]["read"]}
        found[name]["largest_difference"] = furthest(reference, result)
        if found[name]["largest_difference"] is None or found[name]["largest_difference"] > ROUNDING:
            raise SystemExit(f"{name} gives a different result from duckdb on {log}")
        print(rows, name, {k: v for k, v in found[name].items() if k not in ("stages", "runs")}, flush=True)
    return {"rows": found["duckdb"]["rows"], "engines": found}


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[300_000, 1_000_000, 3_000_000])
    parser.add_argument("--runs", type=int, default=1, help="runs of each scan; the median is kept")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "engines.json")
    options = parser.parse_args()
    if importlib.util.find_spec("pyspark") is None:
        print("not measured: pyspark is not installed (pip install 'clonewatch[spark]')")
        return
    ctypes.CDLL(None).prctl(_ADOPT, 1, 0, 0, 0)
    WORK.mkdir(exist_ok=True)
    about = machine()
    about["packages"]["pyspark"] = version("pyspark")
    about["java"] = subprocess.run(
        ["java", "-version"], capture_output=True, text=True, check=True
    ).stderr.splitlines()[0]
    found: dict[str, Any] = {"machine": about, "logs": []}
    for rows in options.rows:
        found["logs"].append(compared(rows, options.runs))
        found["growth"] = {
            name: grown([log["engines"][name] for log in found["logs"]]) for name in ENGINES if len(found["logs"]) > 1
        }
        found["machine"]["load_after"] = [round(x, 2) for x in os.getloadavg()]
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found["growth"]))


if __name__ == "__main__":
    main()
