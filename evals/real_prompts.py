"""Measures a scan on prompts written by real people and for real harvests, assigned to simulated accounts.

    python evals/real_prompts.py --data FOLDER [--scenario s01_shared_cards ...] [--scale 0.1] [--seeds 0 1]

FOLDER contains `prompts_human.parquet` and `prompts_harvest.parquet`. No public log combines accounts, prompts and
times, so accounts and times are simulated and only the words are real. Only figures are kept.
"""

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clonewatch.adapters.reading import open_log
from clonewatch.fingerprints import families
from clonewatch.fingerprints.fingerprinting import Fingerprinter
from clonewatch.kernels.sketching import sketch_matrix
from clonewatch.lab.evaluate import evaluate
from clonewatch.lab.simulate import simulate
from clonewatch.pipeline.scan import ScanSettings, scan

KEY = bytes(32)


class Prompts(NamedTuple):
    """Texts by origin: harvest prompts written for a teacher model, and people's own prompts."""

    harvest: list[str]
    human: list[str]


def load(data: Path) -> Prompts:
    """The distinct prompts of a folder. An instruction and its input form one prompt, as they were sent."""
    harvest = pq.read_table(data / "prompts_harvest.parquet", columns=["instruction", "input"]).to_pylist()
    human = pq.read_table(data / "prompts_human.parquet", columns=["text"])["text"].to_pylist()
    joined = ("\n".join(part for part in (row["instruction"], row["input"]) if part) for row in harvest)
    return Prompts(*([text for text in dict.fromkeys(texts) if text and text.strip()] for texts in (joined, human)))


def measure(prompts: Prompts, campaign: str, scenario: str, scale: float, seed: int, folder: Path) -> dict[str, Any]:
    """One simulated log with real words, scanned with text.

    campaign: source of the harvest's words, "harvest" or "human"; other accounts always use people's words.
    """
    log, out = folder / "log", folder / "scan"
    words = {"campaign": getattr(prompts, campaign), "honest": prompts.human}
    made = simulate(scenario, log, seed=seed, scale=scale, text=words)
    found = scan(ScanSettings(paths=(str(log),), out=out, threads=2))
    scores = evaluate(out, log)
    flagged = [r for r in found.tables["campaigns"].to_pylist() if r["flagged"]]
    return {
        "scenario": scenario,
        "seed": seed,
        "words": campaign,
        "accounts": made["accounts"],
        "exchanges": made["exchanges"],
        "seconds": round(sum(s["seconds"] for s in found.summary["stages"]), 1),
        "flagged": len(flagged),
        "score": [round(r["score"], 1) for r in flagged],
        "members": scores["counts"]["member_accounts"],
        **flagged_accounts(log, found.tables["members"], flagged),
        **harvest_fingerprints(log),
    }


def flagged_accounts(log: Path, members: pa.Table, flagged: list[dict[str, Any]]) -> dict[str, int]:
    """How many flagged accounts belong to the campaign, and how many are honest."""
    ids = {r["campaign_id"] for r in flagged}
    found = {r["account_id"] for r in members.to_pylist() if r["campaign_id"] in ids and r["role"] != "proxy_customer"}
    labels = pq.read_table(log / "labels" / "accounts.parquet").to_pylist()
    true_members = {r["account_id"] for r in labels if r["role"] == "member"}
    return {"members_flagged": len(found & true_members), "honest_flagged": len(found - true_members)}


def harvest_fingerprints(log: Path) -> dict[str, Any]:
    """Fingerprints of the campaign's distinct prompts: template families and tasks."""
    harvested = pq.read_table(log / "labels" / "exchanges.parquet")["exchange_id"]
    fingerprint = Fingerprinter(KEY)
    opened = open_log((str(log),))
    parts = []
    for batch in opened.batches(lambda rows: None):
        ours = batch.filter(pc.is_in(batch["exchange_id"], harvested.combine_chunks()))
        if ours.num_rows:
            parts.append(pa.Table.from_batches([fingerprint.apply(ours)]))
    table = pa.concat_tables(parts).combine_chunks()
    _, first = np.unique(table["prompt_id"].fill_null(0).to_numpy(), return_index=True)
    table = table.take(first).combine_chunks()
    known = table.filter(pc.and_(pc.is_valid(table["template_id"]), pc.is_valid(table["sketch"]))).combine_chunks()
    sketches = sketch_matrix(known["sketch"].chunk(0))
    family = families.merge(known["template_id"].to_numpy(), sketches)
    sizes = np.unique(family, return_counts=True)[1]
    tasks = Counter(table["task"].to_pylist())
    return {
        "prompts": table.num_rows,
        "families": len(sizes),
        "in_shared_family": round(float(sizes[sizes > 1].sum() / max(table.num_rows, 1)), 3),
        "largest_family": round(float(sizes.max(initial=0) / max(table.num_rows, 1)), 3),
        "demanding_reasoning": round(float((table["elicitation"].fill_null(0).to_numpy() >= 0.5).mean()), 3),
        "tasks": {str(t): round(n / table.num_rows, 3) for t, n in tasks.most_common(4)},
    }


def main() -> None:
    """Print one line of JSON per run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scenario", nargs="+", default=["s01_shared_cards", "s02_mixing_proxy", "s04_stealth"])
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    options = parser.parse_args()
    prompts = load(options.data)
    for scenario in options.scenario:
        for seed in options.seeds:
            for words in ("harvest", "human"):
                with tempfile.TemporaryDirectory() as folder:
                    result = measure(prompts, words, scenario, options.scale, seed, Path(folder))
                print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
