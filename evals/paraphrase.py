"""How much rewording a scan tolerates: each message of the campaign is reworded independently, and the log is scanned.

    python -m evals.paraphrase [--scenarios s01_shared_cards] [--seeds 1] [--scale 0.2] [--strengths 0 0.5 1]
    python -m evals.paraphrase --embedding FOLDER     # merging by meaning, on the real prompts of a folder

The rewording follows rules (`clonewatch.lab.text.rewriting`): synonyms, order of clauses, voice, courtesies, filler.
Every exchange is reworded independently, so two accounts that send one question no longer send the same words: the
hardest case for links by text. Code, quotations, numbers and forced formats stay, because changing them would change
the answers. Finished strengths are kept, so an interrupted run resumes unless the source has changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
import zlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import vl_convert

from clonewatch.fingerprints import embedding, families
from clonewatch.fingerprints.fingerprinting import Fingerprinter
from clonewatch.kernels.sketching import resemblance, sketch_matrix
from clonewatch.lab.simulate import scenarios, simulate
from clonewatch.lab.text.rewriting import reword
from evals.logs import FOLDER, Log, fingerprint, part, read, save, scored, write

SCENARIOS = ("s01_shared_cards", "s04_stealth", "s02_mixing_proxy")
SEEDS = (1,)
SCALE = 0.2
STRENGTHS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
# Rewording changes words only, so each log is also scanned with nothing but users' words, times and trust.
WORDS = {
    "exchanges": ("exchange_id", "ts", "account_id", "session_id", "turn", "model", "status", "messages"),
    "accounts": ("account_id", "created_at", "org_id", "org_declared", "anchor", "training_permitted"),
}
WHOLE, BARE, FREE = "whole log", "words alone", "words alone, no format"
KEY = bytes(32)
# Merging by meaning: cosine thresholds tried, prompts of each kind, and how strongly they are reworded.
THRESHOLDS = (0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
MERGED = 1_000
MERGED_STRENGTHS = (0.25, 0.5, 1.0)
LEAST_WORDS = 6
COLOURS = ("#1d4e89", "#3d9a6c", "#b03a5b", "#d9822b", "#9b9b9b")
DASHES = ((1, 0), (8, 2), (4, 2), (3, 3), (1, 3))
QUANTILES = (0.1, 0.5, 0.9)
PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "evaluation-paraphrase.svg"
Result = dict[str, Any]


def reworded(log: Log, strength: float) -> tuple[Log, float]:
    """The log with the last user message of each harvested exchange reworded, and the share of places changed."""
    ours = pc.is_in(log.exchanges["exchange_id"], value_set=log.label_exchanges["exchange_id"].combine_chunks())
    messages = log.exchanges["messages"].to_pylist()
    places = changed = 0
    for row in np.flatnonzero(ours.to_numpy()).tolist():
        talk = json.loads(messages[row])
        last = max(i for i, turn in enumerate(talk) if turn["role"] == "user")
        made = reword(talk[last]["content"], strength, seed=row)
        talk[last]["content"] = made.text
        messages[row] = json.dumps(talk, ensure_ascii=False)
        places, changed = places + made.places, changed + made.changed
    place = log.exchanges.column_names.index("messages")
    exchanges = log.exchanges.set_column(place, "messages", pa.array(messages, pa.string()))
    return log._replace(exchanges=exchanges), changed / max(places, 1)


def bare(log: Log) -> Log:
    """The log with the columns of WORDS and the messages of users only."""
    exchanges, accounts = log.exchanges.select(WORDS["exchanges"]), log.accounts.select(WORDS["accounts"])
    talks = (json.loads(talk) for talk in exchanges["messages"].to_pylist())
    said = [json.dumps([t for t in talk if t["role"] == "user"], ensure_ascii=False) for talk in talks]
    place = exchanges.column_names.index("messages")
    return log._replace(exchanges=exchanges.set_column(place, "messages", pa.array(said)), accounts=accounts)


def free(log: Log) -> Log:
    """The same with one forced format for every account: as if no format were ever forced."""
    left = bare(log)
    same = pa.array(np.ones(left.exchanges.num_rows, np.uint64))
    return left._replace(exchanges=left.exchanges.append_column("format_hash", same))


def harvest_fingerprints(log: Log) -> pa.Table:
    """Template and sketch of the harvested exchanges, in the order of the log."""
    ours = log.exchanges.filter(
        pc.is_in(log.exchanges["exchange_id"], value_set=log.label_exchanges["exchange_id"].combine_chunks())
    )
    kept = [name for name in ("system_text", "messages") if name in ours.column_names]
    fingerprinter = Fingerprinter(KEY)
    made = [fingerprinter.apply(batch) for batch in ours.select(kept).combine_chunks().to_batches()]
    return pa.Table.from_batches(made).select(["template_id", "sketch"]).combine_chunks()


def survival(before: pa.Table, after: pa.Table) -> Result:
    """Which of the harvest's fingerprints survive the rewording, over exchanges that have a template.

    A template survives when its hash is unchanged. A family survives when near-duplicate merging over all old and new
    templates still merges the two. jaccard: estimated Jaccard similarity of the word sequences.
    """
    old, new = (t["template_id"].fill_null(0).to_numpy().astype(np.uint64) for t in (before, after))
    left, right = sketch_matrix(before["sketch"]), sketch_matrix(after["sketch"])
    both = (old != 0) & (new != 0)
    old, new, left, right = old[both], new[both], left[both], right[both]
    merged = families.merge(np.concatenate([old, new]), np.concatenate([left, right]))
    similarity = resemblance(left, right)
    return {
        "exchanges": len(old),
        "template_survives": float((old == new).mean()),
        "family_survives": float((merged[: len(old)] == merged[len(old) :]).mean()),
        "templates_before": len(np.unique(old)),
        "templates_after": len(np.unique(new)),
        "families_after": len(np.unique(merged[len(old) :])),
        "jaccard_mean": float(similarity.mean()),
        "jaccard_quantiles": [float(q) for q in np.quantile(similarity, QUANTILES)],
    }


def measure(scenario: str, seed: int, scale: float, strengths: Sequence[float], place: Path, source: str) -> Result:
    """Every strength on one simulated log, by strength as text; `place` keeps finished ones and is read first."""
    kept: Result = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
    done: Result = kept["strengths"] if kept.get("source") == source else {}
    missing = [s for s in strengths if f"{s:g}" not in done]
    if not missing:
        return done
    with tempfile.TemporaryDirectory(prefix="clonewatch-paraphrase-") as scratch:
        folder = Path(scratch)
        key = folder / "key"
        key.touch(mode=0o600)
        key.write_text(hashlib.sha256(f"{scenario} {seed}".encode()).hexdigest() + "\n", encoding="ascii")
        simulate(scenario, folder / "log", seed=seed, scale=scale, text=True)
        whole = read(folder / "log")
        before = harvest_fingerprints(whole)
        for strength in missing:
            changed, share = reworded(whole, strength)
            result: Result = {"changed": share} | survival(before, harvest_fingerprints(changed))
            for condition, left in ((WHOLE, changed), (BARE, bare(changed)), (FREE, free(changed))):
                write(left, folder / "copy", folder / "log", whole)
                result[condition], _ = scored(folder / "copy", folder / "scan", key)
                shutil.rmtree(folder / "copy")
                shutil.rmtree(folder / "scan")
            done[f"{strength:g}"] = result
            save(place, {"scenario": scenario, "seed": seed, "scale": scale, "source": source, "strengths": done})
            counts = ", ".join(
                f"{c} {result[c]['caught']} of {result[c]['members']} accounts" for c in (WHOLE, BARE, FREE)
            )
            print(
                f"{scenario} {seed}: strength {strength:g}, {counts}, {result['family_survives']:.0%} same family",
                file=sys.stderr,
                flush=True,
            )
    return done


def table(runs: Sequence[Result]) -> list[Result]:
    """A row per run and strength, weakest first."""
    return [
        {"scenario": run["scenario"], "seed": run["seed"], "strength": float(strength), **result}
        for run in runs
        for strength, result in sorted(run["strengths"].items(), key=lambda item: float(item[0]))
    ]


HEAD = (
    "Scenario",
    "Seed",
    "Strength",
    "Changed",
    "Template survives",
    "Family survives",
    "Templates",
    "Similarity 10 %, 50 %, 90 %",
    "Found",
    "Account recall",
    "Exchange recall",
    "Honest flagged",
    "Words alone: account recall",
    "without forced formats",
    "honest flagged",
)


def report(rows: Sequence[Result], said: str) -> str:
    """The section in Markdown."""
    lines = [
        "## Paraphrase",
        "",
        said,
        "",
        "![Detection and survival by strength](pictures/evaluation-paraphrase.svg)",
        "",
        f"| {' | '.join(HEAD)} |",
        "|---" * len(HEAD) + "|",
    ]
    for r in rows:
        whole, lean, least = r[WHOLE], r[BARE], r[FREE]
        right = whole["attributed"] - whole["honest_hit"]
        quantiles = ", ".join(f"{q:.2f}" for q in r["jaccard_quantiles"])
        lines.append(
            f"| {r['scenario']} | {r['seed']} | {r['strength']:g} | {r['changed']:.2f} | {r['template_survives']:.3f} "
            f"| {r['family_survives']:.3f} | {r['templates_after']:,} | {quantiles} | {whole['found']} of "
            f"{whole['campaigns']} | {part(whole['caught'], whole['members'])} | {part(right, whole['harvested'])} "
            f"| {whole['honest_flagged']} of {whole['honest']:,} | {part(lean['caught'], lean['members'])} "
            f"| {part(least['caught'], least['members'])} | {least['honest_flagged']} of {least['honest']:,} |"
        )
    return "\n".join([*lines, ""])


def draw(rows: Sequence[Result]) -> str:
    """SVG of account recall and surviving fingerprints by strength, for each scenario; means over seeds."""
    names = ("accounts found", "by words alone", "by words, no forced format", "same template family", "same template")
    values = []
    for r in rows:
        whole, lean, least = r[WHOLE], r[BARE], r[FREE]
        found = [c["caught"] / max(c["members"], 1) for c in (whole, lean, least)]
        shares = (*found, r["family_survives"], r["template_survives"])
        values += [
            {"scenario": r["scenario"], "strength": r["strength"], "of": name, "share": share}
            for name, share in zip(names, shares, strict=True)
        ]
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "data": {"values": values},
        "facet": {"column": {"field": "scenario", "title": None, "header": {"labelFontSize": 12}}},
        "spec": {
            "width": 210,
            "height": 200,
            "mark": {"type": "line", "point": {"size": 28}, "strokeWidth": 1.8},
            "encoding": {
                "x": {"field": "strength", "type": "quantitative", "title": "share of places reworded"},
                "y": {
                    "field": "share",
                    "aggregate": "mean",
                    "type": "quantitative",
                    "title": "share",
                    "scale": {"domain": [0, 1]},
                },
                "color": {
                    "field": "of",
                    "type": "nominal",
                    "scale": {"domain": list(names), "range": COLOURS},
                    "legend": {"title": None, "orient": "bottom", "columns": 3, "labelFontSize": 12, "labelLimit": 260},
                },
                "strokeDash": {
                    "field": "of",
                    "type": "nominal",
                    "legend": None,
                    "scale": {
                        "domain": list(names),
                        "range": DASHES,
                    },
                },
            },
        },
        "config": {"view": {"stroke": None}, "axis": {"gridColor": "#e4e4e4"}, "background": "white"},
    }
    return str(vl_convert.vegalite_to_svg(spec))


def merging_by_meaning(folder: Path, half: int, count: int = MERGED) -> list[Result]:
    """How often merging templates by meaning is right and wrong, by cosine threshold.

    folder: contains `prompts_human.parquet` and `prompts_harvest.parquet`. half: 0 for the prompts that the threshold
    was chosen on, 1 for the others. apart: of people's prompts that no sketch merges, the share merged with another one
    (wrong, except for a few that do ask the same). together: of harvest prompts, the share merged with their own
    rewording.
    """
    human = pq.read_table(folder / "prompts_human.parquet", columns=["text"])["text"].to_pylist()
    harvest = pq.read_table(folder / "prompts_harvest.parquet", columns=["instruction"])["instruction"].to_pylist()
    honest, taken = (_distinct(texts, half, count) for texts in (human, harvest))
    vectors = {"people": embedding.embed(honest), "harvest": embedding.embed(taken)}
    others = {s: [reword(text, s, i).text for i, text in enumerate(taken)] for s in MERGED_STRENGTHS}
    turned = {s: embedding.embed(texts) for s, texts in others.items()}
    rows: list[Result] = []
    for threshold in THRESHOLDS:
        sizes = _sizes(embedding.joined(vectors["people"], range(len(honest)), threshold), len(honest))
        row: Result = {
            "threshold": threshold,
            "apart": float(sizes[sizes > 1].sum() / len(honest)),
            "largest": int(sizes.max()),
        }
        for strength, after in turned.items():
            alone = embedding.joined(np.concatenate([vectors["harvest"], after]), range(2 * len(taken)), threshold)
            same = [alone.get(i, i) == alone.get(i + len(taken), i + len(taken)) for i in range(len(taken))]
            row[f"together {strength:g}"] = float(np.mean(same))
        rows.append(row)
    sketches = {s: _sketches(texts) for s, texts in ((0.0, taken), *others.items())}
    by_words: Result = {"threshold": None, "apart": 0.0, "largest": 1}
    for strength in MERGED_STRENGTHS:
        alike = resemblance(sketches[0.0], sketches[strength]) >= families.THRESHOLD
        by_words[f"together {strength:g}"] = float(alike.mean())
    return [by_words, *rows]


def merging_table(rows: Sequence[Result]) -> str:
    """The figures of `merging_by_meaning` in Markdown; the first row is what sketches merge."""
    head = ["Cosine threshold", "People's prompts merged", "Largest family"]
    head += [f"Reworded {s:.0%}: merged" for s in MERGED_STRENGTHS]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows:
        together = " | ".join(f"{row[f'together {s:g}']:.3f}" for s in MERGED_STRENGTHS)
        label = "sketches only" if row["threshold"] is None else f"{row['threshold']:g}"
        lines.append(f"| {label} | {row['apart']:.3f} | {row['largest']} | {together} |")
    return "\n".join(lines)


def _distinct(texts: Sequence[str | None], half: int, count: int) -> list[str]:
    """At most `count` prompts of one half, no two near-identical by sketch, in an arbitrary fixed order."""
    kept = sorted(
        {t for t in texts if t and len(t.split()) >= LEAST_WORDS and zlib.crc32(t.encode()) % 2 == half},
        key=lambda t: hashlib.sha256(t.encode()).digest(),
    )
    family = families.merge(np.arange(1, len(kept) + 1, dtype=np.uint64), _sketches(kept))
    return [kept[i] for i in np.sort(np.unique(family, return_index=True)[1])][:count]


def _sketches(texts: Sequence[str]) -> np.ndarray:
    messages = [json.dumps([{"role": "user", "content": text}]) for text in texts]
    made = Fingerprinter(KEY).apply(pa.record_batch({"messages": pa.array(messages)}))
    return sketch_matrix(made["sketch"])


def _sizes(family: dict[int, int], count: int) -> np.ndarray:
    return np.unique([family.get(i, i) for i in range(count)], return_counts=True)[1]


def main() -> int:
    """Run the missing strengths, write the section and draw the picture."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--scenarios", nargs="+", default=list(SCENARIOS), metavar="NAME")
    parse.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), metavar="N")
    parse.add_argument("--scale", type=float, default=SCALE)
    parse.add_argument("--strengths", nargs="+", type=float, default=list(STRENGTHS), metavar="S")
    parse.add_argument("--out", type=Path, default=FOLDER)
    parse.add_argument("--picture", type=Path, default=PICTURE)
    parse.add_argument("--embedding", type=Path, metavar="FOLDER", help="folder of real prompts; nothing is simulated")
    options = parse.parse_args()
    if options.embedding:
        for half, name in enumerate(("chosen on", "the other half")):
            print(f"{name}\n\n{merging_table(merging_by_meaning(options.embedding, half))}\n", flush=True)
        return 0
    unknown = sorted(set(options.scenarios) - set(scenarios()))
    if unknown:
        parse.error(f"no scenario {', '.join(unknown)}")
    scripts = [Path(__file__), Path(__file__).with_name("logs.py")]
    source, runs = fingerprint(*scripts), []
    for scenario in options.scenarios:
        for seed in options.seeds:
            place = options.out / "paraphrase" / f"{scenario}-{seed}-{options.scale:g}.json"
            done = measure(scenario, seed, options.scale, options.strengths, place, source)
            wanted = {f"{s:g}": done[f"{s:g}"] for s in options.strengths}
            runs.append({"scenario": scenario, "seed": seed, "strengths": wanted})
    if fingerprint(*scripts) != source:
        sys.exit("the source changed during the measurement: run again")
    rows = table(runs)
    said = (
        f"Scenarios {', '.join(options.scenarios)} with text; seeds {', '.join(map(str, options.seeds))}; scale "
        f"{options.scale:g}; clonewatch {version('clonewatch')}, source {source}. Every harvested exchange is reworded "
        "independently, by rule; strength is the share of applicable places that are changed. "
        "Words alone: the same log with only users' messages, times, sessions, models and trust; "
        "without forced formats: the same with one format for every account."
    )
    text = report(rows, said)
    (options.out / "paraphrase.md").write_text(text, encoding="utf-8")
    save(options.out / "paraphrase.json", {"source": source, "scale": options.scale, "rows": rows})
    options.picture.parent.mkdir(parents=True, exist_ok=True)
    options.picture.write_text(draw(rows), encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
