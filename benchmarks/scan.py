"""How long a whole scan takes, against the bare reading of the same columns.

    python benchmarks/scan.py [--rows 300000 1000000 3000000 10000000] [--text 1000000] [--runs 3] [--out FILE.json]

Each scan is a process of its own, as the command line starts it; seconds, CPU-seconds and peak memory are what the
operating system says of that process. Logs are made by `clonewatch simulate` with a fixed seed, in `benchmarks/work`,
and kept there for the next time. The bare scan reads the columns a scan stages, with pyarrow, and adds up their bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.dataset as ds
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
WORK = HERE / "work"
SEED = 1
# Exchanges that scenario "mixed" gives at scale 1, about: to choose a scale for a number of rows.
ROWS_AT_ONE = 2_353_000
TEXT_BYTES = 2_000
# A log of more exchanges is scanned once: it takes minutes.
ONE_RUN_FROM = 500_000
# A scan that costs so much more than the kept figure, in bare reads, has become dearer: runs differ by a fifth.
DEARER = 1.3
# What the installed command runs.
COMMAND = [sys.executable, "-c", "from clonewatch.cli.main import run; run()"]
_PACKAGES = ("duckdb", "pyarrow", "numpy", "scipy", "numba", "msgspec", "graspologic-native")
_BARE = """
import sys, pyarrow.parquet as pq
columns, total = sys.argv[2].split(","), 0
for batch in pq.ParquetFile(sys.argv[1], pre_buffer=False).iter_batches(batch_size=65536, columns=columns):
    total += batch.nbytes
print(total)
"""
_BARE_LINES = """
import sys
total = 0
with open(sys.argv[1], "rb", buffering=1 << 20) as lines:
    for line in lines:
        total += len(line)
print(total)
"""


def measured(command: list[str], environment: dict[str, str], folder: Path | None = None) -> dict[str, float]:
    """Run a command; its seconds, CPU-seconds and peak memory in MB, and what it had on disk in a folder at most.

    spilled_mb: of that, what the engine wrote because memory was full; the largest seen, not a sum.
    """
    started = time.perf_counter()
    most, over = {"disk_mb": 0.0, "spilled_mb": 0.0}, threading.Event()
    watching = threading.Thread(target=_watch, args=(folder, most, over)) if folder else None
    if watching:
        watching.start()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as child:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    over.set()
    if watching:
        watching.join()
    if child.returncode:
        raise SystemExit(f"{command[:4]} ended with {child.returncode}")
    found = {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_mb": round(usage.ru_maxrss / 1024),
    }
    return found | ({k: round(v) for k, v in most.items()} if folder else {})


def _watch(folder: Path, most: dict[str, float], over: threading.Event) -> None:
    """Note the most that a folder ever holds, looked at four times a second."""
    while not over.wait(0.25):
        held = {"disk_mb": 0.0, "spilled_mb": 0.0}
        with contextlib.suppress(FileNotFoundError):  # files come and go
            for file in folder.rglob("*"):
                size = file.stat().st_blocks * 512 / 1e6
                held["disk_mb"] += size
                held["spilled_mb"] += size if file.parent.name == "spill" else 0.0
        for key, value in held.items():
            most[key] = max(most[key], value)


def middle(runs: list[dict[str, float]]) -> dict[str, Any]:
    """The median of each figure, and all runs."""
    return {k: round(statistics.median(r[k] for r in runs), 2) for k in runs[0]} | {"runs": runs}


def environment() -> dict[str, str]:
    """One key for all runs, in the work folder."""
    return os.environ | {"CLONEWATCH_KEY_FILE": str(WORK / "benchmark.key")}


def simulated(rows: int, *, text: bool = False) -> Path:
    """A log folder of about this many exchanges."""
    log = WORK / f"mixed-{rows}{'-text' if text else ''}"
    if not log.exists():
        scale = str(round(rows / ROWS_AT_ONE, 2))
        command = [*COMMAND, "simulate", "mixed", "--out", str(log)]
        command += ["--seed", str(SEED), "--scale", scale, *(["--text"] if text else [])]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return log


def staged_columns(path: Path) -> list[str]:
    """The columns of a log that a scan stages."""
    from clonewatch.pipeline.intake.staging import READ

    return [name for name in pq.ParquetFile(path).schema_arrow.names if name in READ]


def scan(log: Path, runs: int) -> dict[str, Any]:
    """Scans of one log."""
    result, figures = WORK / f"result-{os.getpid()}", []
    for _ in range(runs):
        shutil.rmtree(result, ignore_errors=True)
        command = [*COMMAND, "scan", str(log), "--out", str(result), "--quiet"]
        figures.append(measured(command, environment(), result))
    told = json.loads((result / "scan.json").read_text(encoding="utf-8"))
    shutil.rmtree(result)
    found = middle(figures)
    return {
        "rows": told["counts"]["read"],
        "accounts": told["counts"]["accounts"],
        **found,
        "rows_per_second": round(told["counts"]["read"] / found["seconds"]),
        "rows_per_cpu_second": round(told["counts"]["read"] / found["cpu_seconds"]),
        "stages": told["stages"],
    }


def without_text(log: Path, runs: int) -> dict[str, Any]:
    """A log of fingerprints in Parquet."""
    file = next((log / "exchanges").glob("*.parquet"))
    columns = staged_columns(file)
    bare = measured([sys.executable, "-c", _BARE, str(file), ",".join(columns)], environment())
    found = scan(log, runs)
    return found | {
        "bytes": file.stat().st_size,
        "bare": bare,
        "times_bare_cpu": round(found["cpu_seconds"] / bare["cpu_seconds"], 1),
    }


def with_text(rows: int, runs: int) -> dict[str, Any]:
    """A log of JSON lines with some 2 KB of messages each."""
    log = simulated(rows, text=True)
    folder = WORK / f"text-{rows}"
    file = folder / "exchanges" / "part-0000.ndjson"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".draft")
        write_lines(log, draft)
        draft.rename(file)
    for side in ("accounts.parquet", "events.parquet"):
        shutil.copyfile(log / side, folder / side)
    bare = measured([sys.executable, "-c", _BARE_LINES, str(file)], environment())
    found = scan(folder, runs)
    size = file.stat().st_size
    return found | {
        "bytes": size,
        "bytes_per_row": round(size / found["rows"]),
        "bare": bare,
        "mb_per_cpu_second": round(size / 1e6 / found["cpu_seconds"], 1),
        "times_bare_cpu": round(found["cpu_seconds"] / bare["cpu_seconds"], 1),
    }


def write_lines(log: Path, out: Path) -> None:
    """The log as JSON lines; each last message is filled up to 2 KB with what others of the log said."""
    encode = msgspec.json.Encoder().encode
    filler = ""
    with out.open("wb") as lines:
        for batch in ds.dataset(log / "exchanges").to_batches(batch_size=8192):
            for row in batch.to_pylist():
                kept = {k: v for k, v in row.items() if v is not None}
                kept["ts"] = kept["ts"].isoformat()
                talk = json.loads(kept["messages"])
                said = talk[-1]["content"]
                room = TEXT_BYTES - len(said.encode())
                talk[-1]["content"] = said + "\n\n" + filler[:room] if room > 0 else said
                # What was said lately, the latest first: it changes from row to row, as pasted material does.
                filler = (said + " " + filler)[: 2 * TEXT_BYTES]
                kept["messages"] = talk
                lines.write(encode(kept) + b"\n")


def check(sizes: list[int], kept: Path, runs: int) -> int:
    """Whether scans cost more bare reads than they did: ratios, so that another machine may ask. 1 where they do."""
    before = {f["rows"]: f["times_bare_cpu"] for f in json.loads(kept.read_text(encoding="utf-8"))["without_text"]}
    dearer = 0
    for rows in sizes:
        now = without_text(simulated(rows), runs)
        limit = DEARER * before[now["rows"]]
        dearer += now["times_bare_cpu"] > limit
        print(f"{now['rows']:,} exchanges: {now['times_bare_cpu']} times the bare read, {limit:.1f} at most")
    return int(dearer > 0)


def headline(scale: float) -> None:
    """A harvest of the size that was publicly alleged, scanned once; figures by scale in results/headline.json."""
    log, out = WORK / f"headline-{scale:g}", HERE / "results" / "headline.json"
    if not log.exists():
        command = [*COMMAND, "simulate", "headline", "--out", str(log), "--seed", str(SEED), "--scale", str(scale)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    on = machine()
    one = without_text(log, 1)
    on["load_after"] = [round(x, 2) for x in os.getloadavg()]
    kept = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    kept[f"{scale:g}"] = one | {"machine": on}
    out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({k: v for k, v in one.items() if k not in ("stages", "runs")}))


def growth(figures: list[dict[str, Any]], what: str) -> float | None:
    """The exponent b of cost = a * rows ** b, by least squares over logarithms; None for fewer than two sizes."""
    if len(figures) < 2:
        return None
    x, y = [math.log(f["rows"]) for f in figures], [math.log(f[what]) for f in figures]
    return round(statistics.linear_regression(x, y).slope, 3)


def grown(figures: list[dict[str, Any]]) -> dict[str, Any]:
    """The exponents over all sizes, and between the two largest, where the fixed cost of starting counts for little."""
    costs = ("seconds", "cpu_seconds", "peak_mb")
    return {
        "all": {k: growth(figures, k) for k in costs},
        "two_largest": {k: growth(figures[-2:], k) for k in costs},
    }


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    names = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    git = ["git", "-C", str(HERE.parent)]
    commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=False)
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_before": [round(x, 2) for x in os.getloadavg()],
        "python": platform.python_version(),
        "packages": {p: version(p) for p in _PACKAGES},
        "commit": commit.stdout.strip() + (" with changes" if changed.stdout.strip() else ""),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[300_000, 1_000_000, 3_000_000, 10_000_000])
    parser.add_argument("--text", type=int, default=1_000_000, help="rows of the log with text; 0 for none")
    parser.add_argument("--runs", type=int, default=3, help="runs of each scan (the median counts); large logs get one")
    parser.add_argument("--headline", type=float, default=0.0, help="scale of a headline log to scan, and nothing else")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "scan.json")
    parser.add_argument("--check", action="store_true", help="compare with the kept figures; exit 1 where dearer")
    options = parser.parse_args()
    WORK.mkdir(exist_ok=True)
    if options.check:
        raise SystemExit(check(options.rows[:2], options.out, options.runs))
    if options.headline:
        headline(options.headline)
        return
    found: dict[str, Any] = {"machine": machine(), "without_text": [], "with_text": None}
    if options.out.exists():  # what is not measured this time stays
        kept = json.loads(options.out.read_text(encoding="utf-8"))
        found |= {k: kept[k] for k, asked in (("without_text", options.rows), ("with_text", options.text)) if not asked}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for rows in options.rows:
        one = without_text(simulated(rows), 1 if rows > ONE_RUN_FROM else options.runs)
        found["without_text"].append(one)
        print(json.dumps({k: v for k, v in one.items() if k not in ("stages", "runs")}), flush=True)
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    found["growth"] = grown(found["without_text"])
    if options.text:
        found["with_text"] = with_text(options.text, 1)
        print(json.dumps({k: v for k, v in found["with_text"].items() if k not in ("stages", "runs")}))
    found["machine"]["load_after"] = [round(x, 2) for x in os.getloadavg()]
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found["growth"]))


if __name__ == "__main__":
    main()
