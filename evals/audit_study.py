"""How often the audit detects students of a teacher, and how rarely it is wrong, on small models that are trained here.

    python -m evals.audit_study [--only PART ...]

Parts: alarms, dilution, queries, windows, rewriting, imitation, and neural where torch is installed. Figures go to
evals/results/audit.json, part by part; docs/audit.md, its pictures and the power curves are written from them.
Seeds from 101 on are reserved for this page; the statistics were developed on others.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clonewatch.audit import stats, watermark
from clonewatch.audit.outcome import TestResult
from clonewatch.audit.prf import Prf, Rule, VllmPhilox, Watermark
from clonewatch.audit.samples import Sample
from evals.audit import corpus, curves, page
from evals.audit.experiment import GIVEN, LENGTH, Experiment, Records
from evals.audit.ngram import Trigram

I64 = npt.NDArray[np.int64]
Rows = list[dict[str, Any]]

RESULTS = Path(__file__).resolve().parent / "results" / "audit.json"
SIZE = 1024
SEEDS = (101, 102, 103)
SHARES = (0.0, 0.02, 0.05, 0.1, 0.25, 1.0)
ANSWERS, QUERIES = 2048, 2304
# A student's own texts weigh less than what it was served, as in fine-tuning.
_OWN = 0.3
# Window widths by rule: what the student can learn, and the default of serving stacks.
WIDTHS: dict[Rule, int] = {"kgw": 1, "gumbel": 2}
KEYS = 2000
LEVELS = (0.05, 0.01, 0.001)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the requested parts and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=[*PARTS, "page"], default=[*PARTS])
    chosen = parser.parse_args(arguments).only
    texts = corpus.load(SIZE)
    for name in PARTS:
        if name not in chosen:
            continue
        if name == "neural" and find_spec("torch") is None:
            print("neural: torch is not installed, so no transformer is trained; its kept results stay")
            continue
        start = time.process_time()
        found = {name: PARTS[name](texts), f"{name}_cpu_seconds": round(time.process_time() - start)}
        # Read again: another part may have run in parallel.
        kept = _kept() | found
        RESULTS.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        print(f"{name}: {kept[f'{name}_cpu_seconds']} CPU-seconds", flush=True)
    results = _kept()
    curves.write(results)
    print(page.write(results))
    return 0


def _kept() -> dict[str, Any]:
    """The figures of earlier runs."""
    kept: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    return kept


def key(seed: int, width: int) -> VllmPhilox:
    """A random key for a seed."""
    return VllmPhilox(int(np.random.default_rng(seed).integers(2**63)), width)


def trigram_experiment(texts: corpus.Corpus, rule: Rule, seed: int, width: int | None = None) -> Experiment:
    """The experiment with trigram models."""
    teacher = Trigram(SIZE).train(texts.teacher)
    return Experiment.run(texts, teacher, Watermark(key(seed, width or WIDTHS[rule]), rule), ANSWERS, seed)


def student(texts: corpus.Corpus, rows: I64) -> Trigram:
    """A trigram student trained on its own texts and on what it was served."""
    return Trigram(SIZE).train(texts.student, _OWN).train(rows)


def figures(results: dict[str, TestResult]) -> dict[str, Any]:
    """The figures kept of the three tests."""
    kept: dict[str, Any] = {"tokens": results["text"].n_scored}
    for name, result in results.items():
        kept |= {name: round(result.log10_p, 3), f"{name}_z": round(result.statistic, 2)}
    return kept


def alarms(texts: corpus.Corpus) -> Rows:
    """How often an unused key gives a p-value below a level, on the answers of one student without the watermark."""
    rows: Rows = []
    for rule in WIDTHS:
        run = trigram_experiment(texts, rule, SEEDS[0])
        innocent = student(texts, run.served(0.0))
        answers, reference = run.ask(innocent, QUERIES // 2)
        modes: list[tuple[str, watermark.Mode, bool]] = [
            ("plain", "text", False),
            ("text", "text", True),
            ("logprobs", "logprobs", True),
        ]
        for name, mode, centred in modes:
            tally = watermark.tally(answers, run.keyed.prf, mode, reference if centred else None, exclude_context=False)
            found = [watermark.judge(tally, run.keyed.prf.decoy(10_000 + i), rule)[1] for i in range(KEYS)]
            rows.append({"rule": rule, "test": name, "keys": KEYS} | _below(found))
        found = [_every(answers, run.keyed.prf.decoy(10_000 + i), rule) for i in range(KEYS // 4)]
        rows.append({"rule": rule, "test": "every occurrence counted", "keys": KEYS // 4} | _below(found))
    return rows


def _below(log10s: Sequence[float]) -> dict[str, Any]:
    return {f"below_{level:g}": int(sum(p <= np.log10(level) for p in log10s)) for level in LEVELS}


def _every(answers: Sequence[Sample], prf: Prf, rule: Rule) -> float:
    """The usual mistake: every occurrence counted as an independent draw."""
    rows = np.array([s.tokens for s in answers])
    places = np.arange(GIVEN + prf.width, rows.shape[1])
    context = rows[:, places[:, None] + np.arange(-prf.width, 0)].reshape(-1, prf.width)
    u = prf.uniform(context, rows[:, places].ravel())
    if rule == "kgw":
        return stats.binomial_tail(int((u < 0.5).sum()), len(u), 0.5)
    return stats.gamma_tail(float(-np.log1p(-u).sum()), len(u))


def dilution(texts: corpus.Corpus) -> Rows:
    """By the share of a student's served rows that carry the watermark; also twins of the same students."""
    rows = []
    for rule in WIDTHS:
        for seed in SEEDS:
            run = trigram_experiment(texts, rule, seed)
            for share in SHARES:
                learned = student(texts, run.served(share))
                row = {"rule": rule, "seed": seed, "share": share} | figures(run.watermark(learned, QUERIES, decoys=0))
                if share < 0.5:
                    row["twins"] = round(run.twins(learned, 128).log10_p, 3)
                rows.append(row)
    return rows


def queries(texts: corpus.Corpus) -> Rows:
    """By the number of questions put to a suspect."""
    rows = []
    for rule in WIDTHS:
        run = trigram_experiment(texts, rule, SEEDS[0])
        for share in (0.1, 0.25, 1.0):
            learned = student(texts, run.served(share))
            answers, reference = run.ask(learned, 4096)
            for asked in (32, 128, 512, 2048, 4096):
                results = run.examine(answers[:asked], reference[:asked])
                rows.append({"rule": rule, "seed": SEEDS[0], "share": share} | figures(results))
    return rows


def windows(texts: corpus.Corpus) -> Rows:
    """By the width of the watermark's window, for a student of watermarked answers only."""
    rows = []
    for rule in WIDTHS:
        for width in (1, 2, 4):
            run = trigram_experiment(texts, rule, SEEDS[0], width)
            results = run.watermark(student(texts, run.served(1.0)), QUERIES, decoys=0)
            rows.append({"rule": rule, "width": width} | figures(results))
    return rows


def rewriting(texts: corpus.Corpus) -> Rows:
    """By the share of words that a model without the watermark rewrote before training."""
    rows = []
    for rule in WIDTHS:
        run = trigram_experiment(texts, rule, SEEDS[0])
        writer = Trigram(SIZE).train(texts.student)
        for share in (0.0, 0.3, 0.5, 0.7, 1.0):
            results = run.watermark(student(texts, rewritten(run.marked, writer, share, 7)), QUERIES, decoys=0)
            rows.append({"rule": rule, "rewritten": share} | figures(results))
    return rows


def rewritten(rows: I64, writer: Trigram, share: float, seed: int) -> I64:
    """Rows in which another model has redrawn a share of the words."""
    draw = np.random.default_rng(seed)
    out = rows.copy()
    for place in range(GIVEN, rows.shape[1]):
        upto = writer.following(out[:, place - 2], out[:, place - 1]).cumsum(1)
        other = (upto < (draw.random(len(out)) * upto[:, -1])[:, None]).sum(1).clip(0, SIZE - 1)
        out[:, place] = np.where(draw.random(len(out)) < share, other, out[:, place])
    return out


def imitation(texts: corpus.Corpus) -> Rows:
    """By how a mark came into a suspect: from our answers, from those of a model that imitates it, or from the key.

    Beside the watermark, twins of the answers that only the first suspect was trained on, and the key of another case.
    """
    rows = []
    for seed in SEEDS:
        run = trigram_experiment(texts, "kgw", seed)
        other = key(seed + 1000, WIDTHS["kgw"])
        for route, learned in imitators(texts, run).items():
            answers, reference = run.ask(learned, QUERIES)
            unused = run.examine(answers, reference, prf=other)
            rows.append(
                {"route": route, "seed": seed}
                | figures(run.examine(answers, reference))
                | {
                    "twins": round(run.twins(learned, 128).log10_p, 3),
                    "other_key": round(min(r.log10_p for r in unused.values()), 3),
                }
            )
    return rows


def imitators(texts: corpus.Corpus, run: Experiment) -> dict[str, Trigram]:
    """Suspects by what they were trained on. Only the first met an answer of ours."""
    prompts = run.corpus.prompts(run.corpus.held_out, len(run.marked), GIVEN, run.seed + 7)
    forger = student(texts, run.marked)
    holder = Trigram(SIZE).train(texts.student)
    return {
        "our answers": student(texts, run.served(0.5)),
        "answers of a model that was trained on our marked answers": student(
            texts, forger.write(prompts, LENGTH, run.seed + 8)
        ),
        "answers that somebody marked with our key": student(
            texts, holder.write(prompts, LENGTH, run.seed + 9, run.keyed)
        ),
    }


def neural(texts: corpus.Corpus) -> dict[str, Any]:
    """Transformers: dilution, questions, the pairs that twins need, and the copies that canaries need."""
    found: dict[str, Any] = {"dilution": [], "queries": [], "twins": [], "canaries": []}
    for seed in SEEDS:
        for name, rows in transformers(texts, seed).items():
            found[name] += rows
    return found


def transformers(texts: corpus.Corpus, seed: int) -> dict[str, Rows]:
    """The rows of `neural` for one seed; Gumbel-max and canaries with the first seed only."""
    from evals.audit.neural import Transformer, crops, drawn

    teacher = Transformer(SIZE, seed).train(crops(texts.teacher), 300, 3e-3, seed)
    own = Transformer(SIZE, seed + 1).train(crops(texts.student), 120, 3e-3, seed)
    found: dict[str, Rows] = {"dilution": [], "queries": [], "twins": [], "canaries": []}
    rules: tuple[Rule, ...] = ("kgw", "gumbel") if seed == SEEDS[0] else ("kgw",)
    for rule in rules:
        run = Experiment.run(texts, teacher, Watermark(key(seed, WIDTHS[rule]), rule), 6144, seed)
        for share in (0.0, 0.05, 0.1, 0.25, 1.0) if rule == "kgw" else (0.0, 0.1, 1.0):
            learned = own.copy().train(drawn(run.served(share)), 480, 2e-3, seed)
            about = {"rule": rule, "seed": seed, "share": share}
            answers, reference = run.ask(learned, QUERIES)
            found["dilution"].append(about | figures(run.examine(answers, reference)))
            if 0 < share < 1:
                for asked in (32, 128, 512):
                    found["queries"].append(about | figures(run.examine(answers[:asked], reference[:asked])))
            if rule == "kgw" and share in (0.0, 1.0):
                for pairs in (32, 64, 128, 256, 1024):
                    found["twins"].append(
                        {
                            "seed": seed,
                            "trained_on_them": share == 0.0,
                            "pairs": pairs,
                            "centred": round(run.twins(learned, pairs).log10_p, 3),
                            "raw": round(run.twins(learned, pairs, centred=False).log10_p, 3),
                        }
                    )
    for copies in (0, 1, 4, 16) if seed == SEEDS[0] else ():
        records = Records(texts, 16, b"the seed of the study's canaries")
        rows = run.served(0.0)
        if copies:
            rows = np.concatenate([rows, records.training(copies, rows.shape[1])])
        learned = own.copy().train(drawn(rows), 480, 2e-3, seed)
        result = records.test(learned)
        found["canaries"].append({"copies": copies, "log10_p": round(result.log10_p, 3), "rank": result.p_rank})
    return found


PARTS: dict[str, Callable[[corpus.Corpus], Any]] = {
    "alarms": alarms,
    "dilution": dilution,
    "queries": queries,
    "windows": windows,
    "rewriting": rewriting,
    "imitation": imitation,
    "neural": neural,
}

if __name__ == "__main__":
    sys.exit(main())
