"""Measures the fingerprints on prompts written by real people and for real harvests.

    python evals/prompts.py --data FOLDER [--write docs/fingerprints-measured.md]

FOLDER has `prompts_human.parquet` and `prompts_harvest.parquet`. No model is trained on them; only figures are kept.
"""

import argparse
import json
import random
import re
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clonewatch.fingerprints import families, train
from clonewatch.fingerprints.fingerprinting import Fingerprinter
from clonewatch.kernels.prompts import CELLS
from clonewatch.kernels.sketching import sketch_matrix
from clonewatch.model.schema import TASKS

SEED = 7
KEY = bytes(range(32))

# The task a set was made for, where it has one; the other sets have no single task.
HARVEST_TASKS = {
    "gpteacher-codegen": "software_engineering",
    "gorilla-apibench-torchhub": "agentic_tool_use",
    "toolalpaca-eval": "agentic_tool_use",
}
GROUP_TASKS = {
    ("dolly-3k", "open_qa"): "chat",
    ("dolly-3k", "general_qa"): "chat",
    ("dolly-3k", "brainstorming"): "chat",
    ("dolly-3k", "creative_writing"): "chat",
    ("dolly-3k", "summarization"): "other",
    ("dolly-3k", "information_extraction"): "other",
    ("dolly-3k", "classification"): "other",
    ("mt_bench", "coding"): "software_engineering",
    ("mt_bench", "math"): "reasoning",
    ("mt_bench", "reasoning"): "reasoning",
    ("mt_bench", "writing"): "chat",
    ("mt_bench", "roleplay"): "chat",
    ("mt_bench", "extraction"): "other",
    ("vicuna_bench", "coding"): "software_engineering",
    ("vicuna_bench", "math"): "reasoning",
    ("vicuna_bench", "fermi"): "reasoning",
    ("vicuna_bench", "generic"): "chat",
    ("vicuna_bench", "knowledge"): "chat",
    ("vicuna_bench", "roleplay"): "chat",
    ("vicuna_bench", "writing"): "chat",
}
SYNONYMS = {
    "write": "compose", "create": "make", "make": "create", "generate": "produce", "explain": "describe",
    "describe": "explain", "give": "provide", "provide": "give", "list": "name", "help": "assist", "find": "locate",
    "show": "display", "using": "with", "need": "require", "want": "would like", "big": "large", "best": "finest",
    "should": "must", "example": "instance", "following": "next", "how": "in what way", "use": "employ", "good": "fine",
    "get": "obtain", "step": "stage", "detailed": "thorough", "each": "every", "also": "too", "important": "key",
    "different": "distinct", "then": "afterwards", "between": "among", "given": "supplied", "ensure": "make sure",
    "program": "application", "function": "routine", "people": "persons", "many": "numerous", "new": "fresh",
}  # fmt: skip
NAMES = ["Mira", "Tomas", "Leyla", "Oslo", "Quito", "Nimbus", "Falcon", "Ostrava"]


def load(folder: Path) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Human and harvest prompts as rows of source, group and text."""
    human = pq.read_table(folder / "prompts_human.parquet").to_pylist()
    harvest = pq.read_table(folder / "prompts_harvest.parquet").to_pylist()
    people = [{"source": r["source"], "group": r["group"] or "", "text": r["text"]} for r in human if r["text"]]
    taken = [
        {"source": r["source"], "group": "", "text": "\n".join(t for t in (r["instruction"], r["input"]) if t)}
        for r in harvest
    ]
    return people, taken


def fingerprints(texts: list[str]) -> pa.RecordBatch:
    """Fingerprint texts as single user messages."""
    messages = [json.dumps([{"role": "user", "content": text}]) for text in texts]
    return Fingerprinter(KEY).apply(pa.record_batch({"messages": pa.array(messages)}))


def tasks(rows: list[dict[str, str]], half: int = 1) -> str:
    """Confusion matrix of the sets that have a task."""
    expected = [HARVEST_TASKS.get(r["source"]) or bfcl(r) or GROUP_TASKS.get((r["source"], r["group"])) for r in rows]
    # One half was examined while the training material was written; the figures are of the other half.
    kept = [(r, e) for r, e in zip(rows, expected, strict=True) if e and zlib.crc32(r["text"].encode()) % 2 == half]
    made = fingerprints([r["text"] for r, _ in kept])["task"].to_pylist()
    table = Counter((e, m) for (_, e), m in zip(kept, made, strict=True))
    present = [t for t in TASKS if any(e == t for e, _ in table)]
    lines = ["| made for \\ labelled | " + " | ".join(TASKS) + " | n | right |", "|---" * (len(TASKS) + 3) + "|"]
    shares = []
    for e in present:
        n = sum(table[e, m] for m in (*TASKS, None))
        shares.append(table[e, e] / n)
        lines.append(f"| {e} | " + " | ".join(str(table[e, m]) for m in TASKS) + f" | {n} | {shares[-1]:.0%} |")
    right = sum(table[e, e] for e in present)
    total = sum(table.values())
    lines.append(
        f"\nRight: {right} of {total} ({right / total:.1%}); mean over the {len(present)} tasks: {np.mean(shares):.1%}."
    )
    by_set = Counter()
    for (r, e), m in zip(kept, made, strict=True):
        by_set[r["source"], e == m] += 1
    names = sorted({s for s, _ in by_set})
    lines.append(
        "By set: " + ", ".join(f"{s} {by_set[s, True] / (by_set[s, True] + by_set[s, False]):.0%}" for s in names) + "."
    )
    return "\n".join(lines)


def bfcl(row: dict[str, str]) -> str | None:
    """Task of live function-calling queries, except those collected because no function fits."""
    fits = row["source"] == "bfcl-live" and "irrelevance" not in row["group"]
    return "agentic_tool_use" if fits else None


def elicitation(people: list[dict[str, str]], taken: list[dict[str, str]]) -> str:
    """How often ordinary prompts score high, and recall on patterns held out of training."""
    lines = ["| set | n | median | 99 % | >= 0.5 | >= 0.9 |", "|---|---|---|---|---|---|"]
    for source in sorted({r["source"] for r in people + taken}):
        score = fingerprints([r["text"] for r in people + taken if r["source"] == source])["elicitation"].to_numpy(
            zero_copy_only=False
        )
        score = score[~np.isnan(score)]
        lines.append(
            f"| {source} | {len(score)} | {np.median(score):.3f} | {np.quantile(score, 0.99):.3f} "
            f"| {np.mean(score >= 0.5):.2%} | {np.mean(score >= 0.9):.2%} |"
        )
    caught, alarmed = held_out()
    lines.append(
        f"\nPatterns held out of training (five folds): {caught:.1%} of demands for a trace score >= 0.5, "
        f"and {alarmed:.1%} of the close but ordinary questions do."
    )
    return "\n".join(lines)


def held_out() -> tuple[float, float]:
    """Share of held-out patterns scored 0.5 or more: demands, and close negatives; folds by pattern."""
    place = Path(train.__file__).with_name("training")
    read = lambda name: train.tomllib.loads((place / name).read_text(encoding="utf-8"))  # noqa: E731
    material, demands = read("tasks.toml"), read("elicitation.toml")
    hits, seen = [0, 0], [0, 0]
    for fold in range(5):
        draw = random.Random(SEED + fold)  # noqa: S311 - sampling, no secret
        kept = {
            side: {"patterns": [p for k, p in enumerate(demands[side]["patterns"]) if k % 5 != fold]}
            for side in ("positive", "negative")
        }
        sides = train.elicitation_prompts({**kept, "slots": demands["slots"]}, material, draw)
        x = train.features_of([t for t, _ in sides])
        weights = train.fit_elicitation(x, np.array([y for _, y in sides]))
        slots = material["slots"] | demands["slots"]
        any_task = [p for t in TASKS for p in material[t]["patterns"]]
        for side, name in enumerate(("positive", "negative")):
            left = [p for k, p in enumerate(demands[name]["patterns"]) if k % 5 == fold]
            texts = [
                train.fill(p.replace("{task}", draw.choice(any_task)), slots, draw) for p in left for _ in range(5)
            ]
            hits[side] += int(((train.features_of(texts) @ weights) >= 0).sum())
            seen[side] += len(texts)
    return hits[0] / seen[0], hits[1] / seen[1]


def merges(rows: list[dict[str, str]], name: str) -> list[str]:
    """How many different prompts share a template or a family."""
    made = fingerprints([r["text"] for r in rows])
    prompt = made["prompt_id"].to_numpy(zero_copy_only=False)
    template = made["template_id"].fill_null(0).to_numpy(zero_copy_only=False)
    sketch = sketch_matrix(made["sketch"])
    _, first = np.unique(prompt, return_index=True)
    prompt, template, sketch = prompt[first], template[first], sketch[first]
    known = template != 0
    lines = []
    for label, family in [("template", template[known])] + [
        (f"family, threshold {t}", families.merge(template[known], sketch[known], t)) for t in (0.4, 0.5, 0.6, 0.7)
    ]:
        sizes = np.unique(family, return_counts=True)[1]
        shared = sizes[sizes > 1].sum()
        lines.append(
            f"| {name} | {label} | {known.sum()} | {(~known).sum()} | {len(sizes)} "
            f"| {shared} ({shared / known.sum():.1%}) | {sizes.max()} |"
        )
    return lines


def change_slots(text: str, draw: random.Random) -> str:
    """Replace numbers, and names in mid-sentence."""
    text = re.sub(r"\d+", lambda m: str(draw.randrange(10 ** len(m.group()) + 7)), text)
    return re.sub(r"(?<=[a-z,] )[A-Z][a-z]+\b", lambda _: draw.choice(NAMES), text)


def synonyms(share: float) -> Callable[[str, random.Random], str]:
    """Replace a share of the words that have a synonym."""

    def swap(text: str, draw: random.Random) -> str:
        def one(match: re.Match[str]) -> str:
            other = SYNONYMS.get(match.group().lower())
            return other if other and draw.random() < share else match.group()

        return re.sub(r"[A-Za-z]+", one, text)

    return swap


def drop_words(share: float) -> Callable[[str, random.Random], str]:
    """Drop a share of the words, at least one."""

    def drop(text: str, draw: random.Random) -> str:
        words = text.split(" ")
        for k in sorted(draw.sample(range(len(words)), max(1, int(share * len(words)))), reverse=True):
            del words[k]
        return " ".join(words)

    return drop


CHANGES: dict[str, Callable[[str, random.Random], str]] = {
    "other numbers and names": change_slots,
    "greeting before, thanks after": lambda t, _: f"Hello there! {t} Thank you very much.",
    "half of the synonyms": synonyms(0.5),
    "all synonyms": synonyms(1.0),
    "one word in 50 dropped": drop_words(0.02),
    "one word in 10 dropped": drop_words(0.1),
}


def paraphrase(rows: list[dict[str, str]]) -> str:
    """Share of changed prompts that keep template and family, by length of the prompt."""
    draw = random.Random(SEED)  # noqa: S311 - sampling, no secret
    texts = list(dict.fromkeys(r["text"] for r in rows if len(r["text"].split()) >= 6))
    draw.shuffle(texts)
    texts = texts[:3000]
    length = np.array([len(t.split()) for t in texts])
    bands = {"6-15 words": length <= 15, "16-50": (length > 15) & (length <= 50), "over 50": length > 50}
    base = fingerprints(texts)
    lines = ["| change | length | n | same template | same family |", "|---|---|---|---|---|"]
    for change, make in CHANGES.items():
        changed = [make(t, draw) for t in texts]
        other = fingerprints(changed)
        both = pa.concat_batches([base, other]) if hasattr(pa, "concat_batches") else None
        if both is None:
            raise SystemExit("pyarrow 18 or later is needed")
        template = both["template_id"].fill_null(0).to_numpy(zero_copy_only=False)
        family = families.merge(template, sketch_matrix(both["sketch"]))
        n = len(texts)
        for label, band in bands.items():
            pick = band & (template[:n] != 0) & np.array([a != b for a, b in zip(texts, changed, strict=True)])
            if not pick.any():
                continue
            same_t = np.mean(template[:n][pick] == template[n:][pick])
            same_f = np.mean(family[:n][pick] == family[n:][pick])
            lines.append(f"| {change} | {label} | {pick.sum()} | {same_t:.0%} | {same_f:.0%} |")
    return "\n".join(lines)


def cells(people: list[dict[str, str]]) -> str:
    """How often two prompts of one narrow topic share a cell, compared with any two prompts."""
    rows = [r for r in people if r["source"] == "arena-hard-v0.1"]
    cell = fingerprints([r["text"] for r in rows])["cell"].to_numpy(zero_copy_only=False)
    groups: dict[str, list[float]] = {}
    for r, c in zip(rows, cell, strict=True):
        groups.setdefault(r["group"], []).append(c)
    pairs = [(a, b) for g in groups.values() for i, a in enumerate(g) for b in g[i + 1 :]]
    same = np.mean([a == b for a, b in pairs])
    every = cell[~np.isnan(cell)]
    counts = np.unique(every, return_counts=True)[1]
    chance = (counts * (counts - 1)).sum() / (len(every) * (len(every) - 1))
    whole = fingerprints([r["text"] for r in people])["cell"].drop_null().to_numpy()
    sizes = np.sort(np.unique(whole, return_counts=True)[1])[::-1]
    return (
        f"Pairs of prompts that the arena-hard v0.1 authors put into one of {len(groups)} narrow topics: "
        f"{same:.1%} share a cell ({len(pairs)} pairs); any two prompts of that set: {chance:.2%}. "
        f"All {len(whole)} human prompts fill {len(sizes)} of {CELLS} cells; the fullest cell holds "
        f"{sizes[0] / len(whole):.2%}, the ten fullest {sizes[:10].sum() / len(whole):.1%}."
    )


def main() -> None:
    """Measure and print; with --write, replace the figures in a document."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--write", type=Path)
    options = arguments.parse_args()
    people, taken = load(options.data)
    head = (
        "| set | unit | prompts | too short | units | prompts that share one | largest |\n|---|---|---|---|---|---|---|"
    )
    sections = {
        "tasks": tasks(people + taken),
        "elicitation": elicitation(people, taken),
        "merges": "\n".join(
            [
                head,
                *merges([r for r in people if r["source"] == "dolly-3k"], "dolly-3k, people"),
                *merges([r for r in people if r["source"].startswith("arena")], "arena-hard, people"),
                *merges([r for r in people if r["source"] == "bfcl-live"], "bfcl-live, people"),
                *merges([r for r in taken if r["source"] == "gpteacher-codegen"], "gpteacher-codegen, harvest"),
            ]
        ),
        "paraphrase": paraphrase(
            [r for r in people if r["source"] in ("dolly-3k", "arena-hard-v0.1", "arena-hard-v2.0")]
        ),
        "cells": cells(people),
    }
    for name, text in sections.items():
        print(f"## {name}\n{text}\n")
    if options.write:
        page = options.write.read_text(encoding="utf-8")
        for name, text in sections.items():
            page = re.sub(
                rf"(<!-- {name} -->\n).*?(<!-- end -->)", lambda m, t=text: f"{m[1]}{t}\n{m[2]}", page, flags=re.DOTALL
            )
        options.write.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
