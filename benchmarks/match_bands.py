"""Which bands of a sketch to compare: chance to match by resemblance, and false matches among a million families.

    python benchmarks/match_bands.py [FOLDER] [--out FILE.json]

FOLDER, by default shared/data beside the checkout, holds prompts_*.parquet with a column of texts. Each distinct
template is a family. Two that resemble each other by less than RELATED are unrelated; how many unrelated families
share a band with a family is counted over all pairs and scaled to a million families. The chance to match is measured
on pairs of real prompts as well, beside its formula.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
RELATED = 0.5
FAMILIES = 1_000_000
CHOICES = ((16, 4), (12, 5), (10, 6), (9, 7), (8, 8), (6, 10), (5, 12))
_BLOCK = 256
Sketches = npt.NDArray[np.uint32]


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beside = HERE.parents[1] / "shared" / "data"
    parser.add_argument("folder", type=Path, nargs="?", default=beside)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "match_bands.json")
    asked = parser.parse_args()
    paths = sorted(asked.folder.glob("prompts_*.parquet"))
    if not paths:
        print(f"Left out: there are no prompts_*.parquet in {asked.folder}")
        return
    sketches, texts = families(paths)
    told = measured(sketches) | {"texts": texts, "families": len(sketches), "scaled_to": FAMILIES, "related": RELATED}
    for row in told["choices"]:
        print(json.dumps(row))
    asked.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def families(paths: list[Path]) -> tuple[Sketches, int]:
    """A sketch of each distinct template, uint32[N, 64], and the number of texts."""
    from clonewatch.fingerprints.fingerprinting import Fingerprinter
    from clonewatch.kernels.sketching import sketch_matrix

    texts: list[str] = []
    for path in paths:
        table = pq.read_table(path)
        texts += [one for one in table["text" if "text" in table.column_names else "instruction"].to_pylist() if one]
    rows = pa.array([json.dumps([{"role": "user", "content": one}]) for one in texts])
    made = Fingerprinter(bytes(32)).apply(pa.record_batch({"messages": rows}))
    sketches = sketch_matrix(made["sketch"])
    templates = made["template_id"].fill_null(0).to_numpy(zero_copy_only=False)
    _, first = np.unique(templates, return_index=True)
    kept = np.sort(first[templates[first] != 0])
    return sketches[kept][sketches[kept].any(axis=1)], len(texts)


def measured(sketches: Sketches) -> dict[str, Any]:
    """For each choice of bands and rows: the curve, and unrelated families that share a band."""
    shared = np.zeros((len(CHOICES), 65), np.int64)  # pairs with so many equal positions that share a band
    pairs = np.zeros(65, np.int64)
    for at in range(0, len(sketches), _BLOCK):
        equal = sketches[at : at + _BLOCK, None, :] == sketches[None, at:, :]
        above = np.arange(at, len(sketches))[None, :] > np.arange(at, min(at + _BLOCK, len(sketches)))[:, None]
        count = equal.sum(axis=2)
        pairs += np.bincount(count[above], minlength=65)
        possible = above & (count >= min(rows for _, rows in CHOICES))
        chosen = equal[possible]
        for place, (bands, rows) in enumerate(CHOICES):
            cut = chosen[:, : bands * rows].reshape(-1, bands, rows)
            hit = cut.all(axis=2).any(axis=1)
            shared[place] += np.bincount(count[possible][hit], minlength=65)
    least = int(RELATED * 64)
    rows_out = []
    for place, (bands, rows) in enumerate(CHOICES):
        false = int(shared[place, :least].sum())
        curve = {}
        for low, high in ((0.5, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 1.01)):
            within = slice(int(np.ceil(low * 64)), min(65, int(np.ceil(high * 64))))
            seen = int(pairs[within].sum())
            curve[f"{low:g}"] = round(int(shared[place, within].sum()) / seen, 3) if seen else None
        formula = {f"{s:g}": round(1 - (1 - s**rows) ** bands, 3) for s in (0.3, 0.5, 0.6, 0.7, 0.8, 0.9)}
        rate = false / int(pairs.sum())
        row = {"bands": bands, "rows": rows, "formula": formula, "measured": curve, "false_pairs": false}
        row["unrelated_pairs"] = int(pairs[:least].sum())
        rows_out.append(row | {"false_families_per_query": round(rate * FAMILIES, 3)})
    related = int(pairs[least:].sum())
    return {"choices": rows_out, "pairs": int(pairs.sum()), "related_pairs": related}


if __name__ == "__main__":
    main()
