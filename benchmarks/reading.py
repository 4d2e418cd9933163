"""How fast logs are read, and read and fingerprinted: exchanges and bytes on disk per CPU-second.

    python benchmarks/reading.py [ROWS] [RESULT.json]

Each format is read five times from generated files (lines of 2 KB with prompts of random words, fixed seed), after a
warm-up run; the median is kept. CPU time is that of the process and its threads: for one core, start it under
`taskset -c 0`.
"""

import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from clonewatch.adapters.reading import open_log
from clonewatch.fingerprints.fingerprinting import Fingerprinter

ROWS = 100_000
ROUNDS = 5
PROMPT_BYTES = 1_500  # with the other fields and JSON, a line of some 2 KB
START = 1_772_359_200


def prompts(count: int) -> list[str]:
    noise = random.Random(7)  # noqa: S311 - a fixed sample
    words = ["".join(noise.choices("etaoinshrdlu", k=noise.randint(2, 9))) for _ in range(5_000)]
    return [" ".join(noise.choices(words, k=PROMPT_BYTES // 7)) for _ in range(count)]


def exchange(i: int, prompt: str) -> dict[str, object]:
    return {
        "exchange_id": f"req-{i:012d}",
        "ts": f"2026-03-01T{i // 3600 % 24:02d}:{i // 60 % 60:02d}:{i % 60:02d}.{i % 1000:03d}Z",
        "account_id": f"acct-{i % 5000}",
        "org_id": f"org-{i % 900}",
        "api_key_id": f"key-{i % 7000}",
        "model": "m-1",
        "session_id": f"s-{i // 4}",
        "turn": i % 4,
        "status": 200,
        "stop_reason": "stop",
        "input_tokens": 812 + i % 99,
        "output_tokens": 210,
        "latency_ms": 950,
        "stream": True,
        "max_tokens": 1024,
        "temperature": 0.7,
        "client_ip": f"198.51.{i % 256}.{i % 250}",
        "asn": 64500,
        "country": "NL",
        "user_agent": "demo/1.0 (bench)",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": prompt}],
    }


def call(row: dict[str, object]) -> dict[str, object]:
    request = {"model": "m-1", "messages": row["messages"], "temperature": 0.7, "max_tokens": 1024, "stream": False}
    answer = {
        "id": row["exchange_id"],
        "object": "chat.completion",
        "model": "m-1",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Yes."}}],
        "usage": {"prompt_tokens": 812, "completion_tokens": 210},
    }
    facts = {k: row[k] for k in ("ts", "account_id", "api_key_id", "client_ip", "status", "latency_ms")}
    return facts | {"headers": {"user-agent": "demo/1.0"}, "request": request, "response": answer}


def files(folder: Path, rows: int) -> dict[str, tuple[Path, Path | None]]:
    texts = prompts(2_000)
    made = [exchange(i, texts[i % len(texts)]) for i in range(rows)]
    names = {
        n: folder / n
        for n in ("exchange_ndjson", "openai", "jsonl_map", "exchange_parquet", "exchange_parquet_no_text")
    }
    with names["exchange_ndjson"].open("w") as lines, names["openai"].open("w") as calls:
        for row in made:
            lines.write(json.dumps(row) + "\n")
            calls.write(json.dumps(call(row)) + "\n")
    names["jsonl_map"] = names["exchange_ndjson"]
    mapping = folder / "map.toml"
    mapping.write_text(
        'format = "jsonl_map"\n[fields]\nexchange_id = "exchange_id"\nts = "ts"\naccount_id = "account_id"\n'
        'model = "model"\n'
        'client_ip = "client_ip"\nprompt_id = "messages.1.content"\n'
    )
    for row in made:
        row["messages"] = json.dumps(row["messages"])
    table = pa.Table.from_pylist(made)
    table = table.set_column(1, "ts", table["ts"].cast(pa.timestamp("us", "UTC")))
    pq.write_table(table, names["exchange_parquet"], compression="zstd")
    pq.write_table(table.drop_columns(["messages"]), names["exchange_parquet_no_text"], compression="zstd")
    return {name: (path, mapping if name == "jsonl_map" else None) for name, path in names.items()}


def timed(path: Path, mapping: Path | None, fingerprinter: Fingerprinter | None) -> float:
    """CPU-seconds to read a file, and to fingerprint it if a fingerprinter is given."""
    started = time.process_time()
    for batch in open_log(path, mapping=mapping).batches(list):
        if fingerprinter:
            fingerprinter.apply(batch)
    return time.process_time() - started


def middle(work: Callable[[], float]) -> float:
    """The median of five runs, after a warm-up run."""
    work()
    return statistics.median(work() for _ in range(ROUNDS))


def bare(path: Path) -> float:
    """CPU-seconds for pyarrow to read a Parquet file."""
    started = time.process_time()
    for _ in pq.ParquetFile(path).iter_batches():
        pass
    return time.process_time() - started


def main() -> None:
    """Measure, print, and write the figures if a file is named."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        made = files(Path(name), rows)
        cases = {form: (form, None) for form in made}
        cases["exchange_ndjson, fingerprinted"] = ("exchange_ndjson", Fingerprinter(bytes(32)))
        cases["exchange_parquet, fingerprinted"] = ("exchange_parquet", Fingerprinter(bytes(32)))
        print(f"{'format':36}{'MB':>8}{'us per row':>10}{'rows/CPU-s':>12}{'MB/CPU-s':>10}")
        for case, (form, fingerprinter) in cases.items():
            path, mapping = made[form]
            spent = middle(lambda p=path, m=mapping, f=fingerprinter: timed(p, m, f))
            found[case] = figures(rows, path, spent)
            if form.startswith("exchange_parquet") and not fingerprinter:
                found[f"{case}, pyarrow alone"] = figures(rows, path, middle(lambda p=path: bare(p)))
        for case, f in found.items():
            print(f"{case:36}{f['mb']:8.0f}{f['us']:10.1f}{f['rows_per_cpu_second']:12,}{f['mb_per_cpu_second']:10}")
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(json.dumps({"rows": rows, "formats": found}, indent=1) + "\n", encoding="utf-8")


def figures(rows: int, path: Path, spent: float) -> dict[str, float]:
    """The figures of one time for a file of this many rows."""
    size = path.stat().st_size / 1e6
    return {
        "mb": round(size, 1),
        "us": round(1e6 * spent / rows, 1),
        "rows_per_cpu_second": round(rows / spent),
        "mb_per_cpu_second": round(size / spent),
    }


if __name__ == "__main__":
    main()
