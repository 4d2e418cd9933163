"""Throughput of fingerprinting in exchanges per second per core, by part.

    python benchmarks/fingerprints.py [--rows 20000] [--rounds 7]

Words are random, so the text compresses and repeats less than real text. CPU time of the best of several rounds.
"""

import argparse
import json
import random
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from clonewatch.fingerprints import families
from clonewatch.fingerprints.fingerprinting import SLICE, Fingerprinter
from clonewatch.kernels.buffers import text_buffers
from clonewatch.kernels.chat import read_chats
from clonewatch.kernels.hashing import keyed_hash
from clonewatch.kernels.prompts import read_prompts


def words(draw: random.Random, letters: str, count: int) -> list[str]:
    """A vocabulary of random words."""
    return ["".join(draw.choice(letters) for _ in range(draw.randint(2, 9))) for _ in range(count)]


def best(rounds: int, work: Callable[[], object]) -> float:
    """CPU-seconds of the fastest round, after a warm-up round."""
    work()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    draw = random.Random(1)  # noqa: S311 - random words, no secret
    vocabulary, han = words(draw, "etaoinshrdlu", 5000), [chr(c) for c in range(0x4E00, 0x5600)]

    def text(n: int) -> str:
        return " ".join(draw.choices(vocabulary, k=n)).capitalize() + "."

    systems = [text(140) for _ in range(50)]
    shapes = {
        "1 KB prompt": lambda: [{"role": "user", "content": text(155)}],
        "1 KB prompt, 1 KB system prompt": lambda: [
            {"role": "system", "content": draw.choice(systems)},
            {"role": "user", "content": text(155)},
        ],
        "100 B prompt": lambda: [{"role": "user", "content": text(15)}],
        "1 KB Chinese prompt": lambda: [{"role": "user", "content": "".join(draw.choices(han, k=340))}],
    }
    print("| exchanges | bytes | all, rows/s | all, us | find text, us | fingerprint text, us |")
    print("|---" * 6 + "|")
    for name, make in shapes.items():
        rows = [json.dumps(make(), ensure_ascii=False) for _ in range(options.rows)]
        batch = pa.record_batch({"messages": pa.array(rows)})
        printer = Fingerprinter(bytes(32))
        slices = [text_buffers(batch.column(0).slice(at, SLICE)) for at in range(0, options.rows, SLICE)]
        chats = [read_chats(s) for s in slices]
        whole = best(options.rounds, lambda b=batch, p=printer: p.apply(b))
        find = best(options.rounds, lambda s=slices: [read_chats(x) for x in s])
        users = [c.user for c in chats]
        look = best(options.rounds, lambda u=users, p=printer: [read_prompts(x, p.keys, p.lexicon) for x in u])
        size = sum(len(r.encode()) for r in rows) / options.rows
        us = [1e6 * t / options.rows for t in (whole, find, look)]
        print(f"| {name} | {size:.0f} | {options.rows / whole:,.0f} | {us[0]:.1f} | {us[1]:.1f} | {us[2]:.1f} |")
    column = pa.array([f"account-{k:08d}" for k in range(options.rows)])
    hashing = best(options.rounds, lambda: keyed_hash(column, bytes(16)))
    rng = np.random.default_rng(1)
    sketches = rng.integers(1, 2**32, (options.rows // 10, 64), dtype=np.uint32).repeat(10, axis=0)[: options.rows]
    noise = rng.random(sketches.shape) < 0.1
    sketches[noise] = rng.integers(1, 2**32, int(noise.sum()), dtype=np.uint32)
    ids = rng.integers(1, 2**63, len(sketches), dtype=np.uint64)
    merging = best(2, lambda: families.merge(ids, sketches))
    print(f"\nkeyed_hash of a 16-byte column: {options.rows / hashing / 1e6:.1f} million per second.")
    print(f"families.merge of {len(ids):,} templates: {len(ids) / merging:,.0f} per second.")


if __name__ == "__main__":
    main()
