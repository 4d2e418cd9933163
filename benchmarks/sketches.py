"""Memory and time of the sketches of many distinct templates: kept while a log is read, then merged into families.

    python benchmarks/sketches.py [TEMPLATES] [RESULT.json]

Two logs, each in a process of its own: every template alone (the most that a log of distinct prompts can hold), and
templates in families of 20, which share most values of their sketches. The floor is the sketches themselves, 256 bytes
each. "Before" is the memory of the process when everything is imported, "kept" after the last batch, "peak" at the end.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from scan import machine

TEMPLATES = 1_000_000
ROUNDS = 3
BATCH = 32_768
SHAPES = {"every template alone": 1, "families of 20": 20}


def one(count: int, size: int) -> dict[str, Any]:
    """Keep and merge the sketches of so many templates, in families of a size; figures of this process."""
    import numpy as np
    import pyarrow as pa

    from clonewatch.kernels.sketching import sketch_column
    from clonewatch.pipeline.engine import EngineSettings, opened
    from clonewatch.pipeline.intake.staging import EXCHANGE_SCHEMA, Stager

    stager = Stager(bytes(32))
    noise = np.random.default_rng(7)
    heads = noise.integers(1, 2**32, (count // size if size > 1 else 1, 64), np.uint32)
    with (
        tempfile.TemporaryDirectory() as name,
        opened(EngineSettings("duckdb", "700MB", 2, None), Path(name), None) as engine,
    ):
        before, spent = memory("VmRSS"), 0.0
        templates = noise.permutation(count).astype(np.int64) + 1
        for at in range(0, count, BATCH):
            ids = templates[at : at + BATCH]
            sketches = noise.integers(1, 2**32, (len(ids), 64), np.uint32)
            if size > 1:
                sketches = np.where(noise.random(sketches.shape) < 0.1, sketches, heads[ids % len(heads)])
            column = sketch_column(sketches, np.ones(len(ids), bool))
            begun = time.process_time()
            stager._keep_sketches(pa.array(ids), column)
            spent += time.process_time() - begun
        kept = memory("VmRSS")
        engine.ingest("arrivals", EXCHANGE_SCHEMA, (arrivals(templates, at) for at in range(0, count, BATCH)))
        begun = time.process_time()
        moved = stager.families(engine)
        spent += time.process_time() - begun
    total = int(
        np.bitwise_xor.reduce(moved["template"].to_numpy() * 31 + moved["family"].to_numpy()) if len(moved) else 0
    )
    return {
        "before_mb": before, "kept_mb": kept, "peak_mb": memory("VmHWM"), "cpu_seconds": round(spent, 2),
        "merged": moved.num_rows, "checksum": total,
    }  # fmt: skip


def arrivals(templates: Any, at: int) -> Any:
    """Staged rows with nothing but their number, time and template."""
    import numpy as np
    import pyarrow as pa

    from clonewatch.pipeline.intake.staging import EXCHANGE_SCHEMA

    ids = templates[at : at + BATCH]
    full = {f.name: pa.nulls(len(ids), f.type) for f in EXCHANGE_SCHEMA}
    number = pa.array(np.arange(at, at + len(ids)))
    full |= {"row": number, "ts": number, "template": pa.array(ids)}
    return pa.RecordBatch.from_arrays(list(full.values()), schema=EXCHANGE_SCHEMA)


def memory(which: str) -> int:
    """Resident memory of this process now (VmRSS) or at most (VmHWM), in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(which):
            return int(line.split()[1]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """Measure, print, and write the figures if a file is named."""
    if len(sys.argv) == 4 and sys.argv[1] == "one":
        print(json.dumps(one(int(sys.argv[2]), int(sys.argv[3]))))
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else TEMPLATES
    found: dict[str, Any] = {"machine": machine(), "templates": count, "floor_mb": count * 256 >> 20}
    for shape, size in SHAPES.items():
        runs = []
        for _ in range(ROUNDS):
            line = [sys.executable, __file__, "one", str(count), str(size)]
            runs.append(json.loads(subprocess.run(line, capture_output=True, text=True, check=True).stdout))
        found[shape] = {k: statistics.median_low(run[k] for run in runs) for k in runs[0]}
    found["machine"]["load_after"] = [round(x, 2) for x in os.getloadavg()]
    print(json.dumps(found, indent=1))
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
