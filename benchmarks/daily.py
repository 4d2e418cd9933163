"""The cost of adding a day to a state, by how much it already holds, and of detecting in its windows.

    python benchmarks/daily.py [--log FOLDER] [--last 3000000] [--windows 7 44] [--out FILE.json]

The log is cut at midnight and ingested day by day, each day by its own process, as on the command line. The latest
`--last` exchanges are one update at the end. Then each window is detected once, and once more unchanged.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent))
from scan import COMMAND, WORK, environment, machine, measured, simulated

_DAY = 86_400_000_000


def cut(log: Path, last: int, folder: Path) -> list[tuple[Path, int]]:
    """The log as files of one day each, and one file of its latest exchanges: (file, exchanges)."""
    source = next((log / "exchanges").glob("*.parquet"))
    file = pq.ParquetFile(source, pre_buffer=False)
    early, files = file.metadata.num_rows - last, []
    writer, name, written, seen = None, "", 0, 0

    def turn(new: str) -> None:
        nonlocal writer, name, written
        if writer is not None:
            writer.close()
            files.append((folder / f"{name}.parquet", written))
        name, written = new, 0
        writer = pq.ParquetWriter(folder / f"{new}.parquet", file.schema_arrow, compression="zstd") if new else None

    for batch in file.iter_batches(batch_size=65_536):
        day = pc.floor(pc.divide(pc.cast(batch["ts"], pa.int64()), _DAY)).to_numpy()
        for number in sorted(set(day.tolist())):
            part = batch.filter(pa.array(day == number))
            for piece, label in (
                (part.slice(0, max(0, early - seen)), str(number)),
                (part.slice(max(0, early - seen)), "update"),
            ):
                if piece.num_rows:
                    if label != name:
                        turn(label)
                    writer.write_batch(piece)
                    written += piece.num_rows
            seen += part.num_rows
    turn("")
    return files


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--log", type=Path, help="a log in the work folder, sorted by time; default: one of 3 million exchanges"
    )
    parser.add_argument("--last", type=int, default=3_000_000, help="exchanges of the update at the end")
    parser.add_argument("--windows", type=int, nargs="*", default=[7, 44], help="lengths of the windows, in days")
    parser.add_argument("--out", type=Path, default=WORK.parent / "results" / "daily.json")
    options = parser.parse_args()
    WORK.mkdir(exist_ok=True)
    log = WORK / options.log if options.log else simulated(3_000_000)
    rows = pq.ParquetFile(next((log / "exchanges").glob("*.parquet"))).metadata.num_rows
    place = WORK / f"daily-{os.getpid()}"
    shutil.rmtree(place, ignore_errors=True)
    (place / "days").mkdir(parents=True)
    found: dict[str, Any] = {"machine": machine(), "log": log.name, "rows": rows, "days": [], "windows": []}
    files = cut(log, min(options.last, rows // 4), place / "days")
    state = ["--state", str(place / "state"), "--quiet"]
    for file, number in files:
        sides = ["--accounts", str(log / "accounts.parquet"), "--events", str(log / "events.parquet")]
        one = measured([*COMMAND, "ingest", str(file), *sides, *state], environment())
        found["days"].append({"file": file.stem, "rows": number, **one})
        print(json.dumps(found["days"][-1]), flush=True)
        file.unlink()
    found["state_mb"] = round(sum(f.stat().st_size for f in (place / "state").rglob("*") if f.is_file()) / 1e6)
    for length in options.windows:
        out = place / "results"
        one = measured([*COMMAND, "detect", "--out", str(out), "--days", str(length), *state], environment())
        summary = json.loads((out / f"{length}-days" / "scan.json").read_text(encoding="utf-8"))
        found["windows"].append({"days": length, "rows": summary["counts"]["kept"], **one, "stages": summary["stages"]})
        print(json.dumps({k: v for k, v in found["windows"][-1].items() if k != "stages"}), flush=True)
        again = measured([*COMMAND, "detect", "--out", str(out), "--days", str(length), *state], environment())
        found["windows"][-1]["unchanged"] = again
    found["machine"]["load_after"] = [round(x, 2) for x in os.getloadavg()]
    shutil.rmtree(place)
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
