"""How soon a command answers, and what the first scan after an installation costs beside the second one.

    python benchmarks/start.py [RESULT.json] [--demo]

Every figure is of whole processes. The help is asked for ten times in turn with an interpreter that does nothing (the
floor) and one that only imports the library that reads command lines; medians. --demo: also scan the demo's log
with text, first with an empty folder for compiled kernels, then twice with what the first scan left there.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scan import machine

ROUNDS = 10
RUN = "import sys; from clonewatch.cli.main import run; sys.argv[0] = 'clonewatch'; run()"
STARTS = {
    "an interpreter that does nothing": ["-c", "pass"],
    "importing Typer": ["-c", "import typer"],
    "clonewatch --help": ["-c", RUN, "--help"],
    "clonewatch --version": ["-c", RUN, "--version"],
    "clonewatch scan --help": ["-c", RUN, "scan", "--help"],
}


def spent(line: list[str], **settings: str) -> dict[str, float]:
    """CPU-seconds and seconds of a process of this interpreter."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *line], check=True, stdout=subprocess.DEVNULL, env={**os.environ, **settings})
    seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, "seconds": seconds}


def starts() -> dict[str, dict[str, float]]:
    """Milliseconds of every start: of the processor and in all, medians, and the former as a multiple of the floor."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in STARTS}
    for _ in range(ROUNDS + 1):  # the first fills the caches of the disk
        for name, line in STARTS.items():
            runs[name].append(spent(line))
    found: dict[str, dict[str, float]] = {}
    for name, each in runs.items():
        cpu, wall = (1000 * statistics.median(run[key] for run in each[1:]) for key in ("cpu", "seconds"))
        found[name] = {"cpu_ms": round(cpu), "ms": round(wall)}
    floor = found["an interpreter that does nothing"]["cpu_ms"]
    return {name: f | {"times_floor": round(f["cpu_ms"] / floor, 1)} for name, f in found.items()}


def scans() -> dict[str, Any]:
    """CPU-seconds of the first scan of the demo, which compiles, and of two that follow."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kernels = str(folder / "kernels")
        log = str(folder / "log")
        subprocess.run(
            [sys.executable, "-c", RUN, "simulate", "demo", "--out", log, "--text"], check=True, capture_output=True
        )
        line = ["-c", RUN, "scan", log, "--key", str(folder / "key"), "--quiet"]
        runs = [spent([*line, "--out", str(folder / f"out-{i}")], NUMBA_CACHE_DIR=kernels)["cpu"] for i in range(3)]
    second = statistics.mean(runs[1:])
    return {"first": round(runs[0], 1), "second": round(second, 1), "ratio": round(runs[0] / second, 2)}


def table(found: dict[str, Any], small: dict[str, Any], of: Callable[[dict[str, Any]], str]) -> str:
    """How soon commands answer, the first scan beside the second, many small files; the machine."""
    lines = ["| start of a process | CPU, ms | ms | multiple of the floor |", "|---|---:|---:|---:|"]
    for name, f in found["starts"].items():
        lines.append(f"| {name} | {f['cpu_ms']} | {f['ms']} | {f['times_floor']} |")
    many, demo = small["many"], ""
    if "demo" in found:
        first, second, ratio = (found["demo"][key] for key in ("first", "second", "ratio"))
        demo = (
            f"The first scan of the demo's log, with text, took {first} CPU-seconds, the second {second}: {ratio} x. "
        )
    return "\n".join(lines) + (
        f"\n\n{demo}{small['files']:,} files of one request each took {many['cpu_seconds']} CPU-seconds, the same"
        f" requests in one file {small['one']['cpu_seconds']} (load {small['load'][0]} before, {small['load'][1]}"
        f" after). {of(found)}"
    )


def main() -> None:
    """Measure, print, and write the figures if a file is named."""
    about, files = machine(), [name for name in sys.argv[1:] if name != "--demo"]
    found: dict[str, Any] = {"machine": about, "starts": starts()}
    if "--demo" in sys.argv:
        found["demo"] = scans()
    about["load_after"] = [round(x, 2) for x in os.getloadavg()]
    print(json.dumps(found, indent=1))
    if files:
        Path(files[0]).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
