"""The cost of one request per file: a scan of many small JSON files, compared with the same rows in one file.

    python benchmarks/small_files.py [FILES] [RESULT.json]

The median of three scans each, after a warm-up scan. CPU time is that of the process and its threads.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from reading import exchange, prompts

from clonewatch.pipeline.scan import ScanSettings, scan

FILES = 5_000
ROUNDS = 3


def logs(folder: Path, files: int) -> tuple[Path, Path]:
    """The same exchanges with one per file, and all in one file."""
    texts = prompts(500)
    many, one = folder / "many", folder / "one.ndjson"
    many.mkdir()
    lines = [json.dumps(exchange(i, texts[i % len(texts)])) + "\n" for i in range(files)]
    for i, line in enumerate(lines):
        (many / f"request-{i:06d}.json").write_text(line, encoding="utf-8")
    one.write_text("".join(lines), encoding="utf-8")
    return many, one


def measured(log: Path, folder: Path) -> dict[str, Any]:
    """CPU-seconds and seconds of a scan, CPU-seconds of reading, and the bytes of `scan.json` and the report."""
    runs = []
    for turn in range(ROUNDS + 1):
        out = folder / f"{log.stem}-{turn}"
        cpu, wall = time.process_time(), time.perf_counter()
        result = scan(ScanSettings((str(log),), out=out, key_file=folder / "key"))
        spent = time.process_time() - cpu, time.perf_counter() - wall, result.summary["stages"][0]["cpu_seconds"]
        runs.append(spent)
    cpu, wall, reading = (round(statistics.median(run[at] for run in runs[1:]), 2) for at in range(3))
    sizes = {name: (out / name).stat().st_size for name in ("scan.json", "report.html")}
    return {"cpu_seconds": cpu, "seconds": wall, "reading_cpu_seconds": reading, "bytes": sizes}


def main() -> None:
    """Measure, print, and write the figures if a file is named."""
    files = int(sys.argv[1]) if len(sys.argv) > 1 else FILES
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        many, one = logs(Path(name), files)
        found = {"files": files, "many": measured(many, Path(name)), "one": measured(one, Path(name))}
    found["load"] = [round(before, 2), round(os.getloadavg()[0], 2)]
    print(json.dumps(found, indent=1))
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
