"""How the verdict changes with the log or the setup: fewer trusted accounts, missing columns, other draws.

    python -m evals.sensitivity [--scenarios s01_shared_cards quiet] [--seeds 1 2] [--scale 0.3] [--jobs 2] [--out DIR]

Each scenario is simulated once per seed. Every case rewrites the log, and the copy is scanned and scored. Finished
cases are kept, so an interrupted run resumes unless the source has changed. Everything is simulated: the figures
describe a scan on these worlds, not on your log.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.lab.simulate import scenarios, simulate
from evals.logs import (
    COLUMNS,
    FOLDER,
    Log,
    Result,
    fingerprint,
    half_seen,
    infiltrated,
    part,
    read,
    save,
    scored,
    thinned,
    trusted,
    without,
    write,
)

SCRIPTS = (Path(__file__), Path(__file__).with_name("logs.py"))
SCENARIOS = (
    "s01_shared_cards",
    "s02_mixing_proxy",
    "s04_stealth",
    "s05_agent_mimic",
    "s06_rollouts",
    "s12_disjoint_cells",
    "quiet",
)
SEEDS = (1, 2)
SCALE = 0.3
SHARES = (0.05, 0.1, 0.2, 0.4)
INFILTRATED = (0.1, 0.2)
CLUSTERING_SEEDS = 10
SUBSAMPLE, DRAWS = 0.95, 5
UNSEEN = 0.5
WORST = 4  # column groups that are also removed in pairs: six pairs
# Cases that differ only by a draw share one row.
POOLED = {
    "clustering seed": f"clustering seeds 1 to {CLUSTERING_SEEDS - 1}",
    "subsample": f"{SUBSAMPLE:.0%} of exchanges, {DRAWS} draws",
}
AS_IS = "as it is"


class Case(NamedTuple):
    """One change. group: the kind of case. change: of the log, with its own generator. clustering: seed."""

    group: str
    name: str
    change: Callable[[Log, np.random.Generator], Log] | None = None
    clustering: int = 0


def cases() -> list[Case]:
    """Every case that is always run; the pairs of columns depend on their results."""
    found = [Case(AS_IS, "nothing changed")]
    found += [Case("trusted accounts", f"{s:.0%} of accounts trusted", _trust(s)) for s in SHARES]
    found.append(Case("trusted accounts", "no trusted account named", _untrusted))
    found += [
        Case("trusted accounts", f"{s:.0%} of the campaign's accounts trusted", _infiltrate(s)) for s in INFILTRATED
    ]
    found += [Case("missing", f"no {name}", _without((name,))) for name in COLUMNS]
    # Seed 0 is the log as it is.
    found += [Case("clustering seed", f"seed {n}", None, n) for n in range(1, CLUSTERING_SEEDS)]
    found += [Case("subsample", f"{SUBSAMPLE:.0%} of exchanges, draw {n}", _thin(n)) for n in range(DRAWS)]
    found.append(Case("unseen", f"{UNSEEN:.0%} of accounts unseen", _unseen))
    return found


def pairs(groups: Sequence[str]) -> list[Case]:
    """Cases with two groups of columns missing."""
    return [Case("missing two", f"no {a}, no {b}", _without((a, b))) for a, b in combinations(groups, 2)]


def measure(
    scenario: str, seed: int, scale: float, wanted: Sequence[Case], place: Path, source: str
) -> dict[str, Result]:
    """The wanted cases of one simulated log, by name; `place` keeps finished cases and is read first."""
    kept: dict[str, Any] = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
    done: dict[str, Result] = kept["cases"] if kept.get("source") == source else {}
    missing = [case for case in wanted if case.name not in done]
    if not missing:
        return done
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory(prefix="clonewatch-sensitivity-") as scratch:
        folder = Path(scratch)
        key = folder / "key"
        key.touch(mode=0o600)
        key.write_text(hashlib.sha256(f"{scenario} {seed}".encode()).hexdigest() + "\n", encoding="ascii")
        simulate(scenario, folder / "log", seed=seed, scale=scale)
        whole = read(folder / "log")
        for number, case in enumerate(missing, 1):
            rng = np.random.default_rng([seed, int.from_bytes(hashlib.sha256(case.name.encode()).digest()[:4])])
            changed = case.change(whole, rng) if case.change else whole
            copy, out = folder / "copy", folder / "scan"
            write(changed, copy, folder / "log", whole)
            counts, flagged = scored(copy, out, key, case.clustering)
            done[case.name] = counts | {"group": case.group, "trusted": _trusted_share(changed), "accounts": flagged}
            shutil.rmtree(copy)
            shutil.rmtree(out)
            save(place, {"scenario": scenario, "seed": seed, "scale": scale, "source": source, "cases": done})
            print(
                f"{scenario} {seed}: {number}/{len(missing)} {case.name}: {counts['found']} of {counts['campaigns']} "
                f"found, {counts['caught']} of {counts['members']} accounts, {counts['honest_flagged']} honest",
                file=sys.stderr,
                flush=True,
            )
    return done


def worst(runs: Iterable[dict[str, Result]], count: int = WORST) -> list[str]:
    """The groups of columns whose absence loses most accounts over all runs; ties in the order of COLUMNS."""
    runs = list(runs)
    caught = {name: sum(run[f"no {name}"]["caught"] for run in runs) for name in COLUMNS}
    return sorted(COLUMNS, key=lambda name: caught[name])[:count]


def jaccard(sets: Sequence[Iterable[str]]) -> float | None:
    """Mean Jaccard similarity over pairs of sets that are not both empty; None without such a pair.

    >>> jaccard([{"a", "b"}, {"a"}, set()])
    0.16666666666666666
    """
    alike = [len(a & b) / len(a | b) for a, b in combinations([set(s) for s in sets], 2) if a | b]
    return sum(alike) / len(alike) if alike else None


def table(runs: Sequence[dict[str, Result]]) -> list[Result]:
    """A row per case, with one row for all draws of a kind: counts summed over the runs."""
    rows: dict[str, Result] = {}
    for run in runs:
        for name, result in run.items():
            label = POOLED.get(result["group"], name)
            row = rows.setdefault(label, {"case": label, "group": result["group"], "runs": 0, "trusted": 0.0})
            row["runs"] += 1
            row["trusted"] += result["trusted"]
            for key, value in result.items():
                if key not in ("group", "accounts", "trusted"):
                    row[key] = row.get(key, 0) + value
    for row in rows.values():
        row["trusted"] = round(row["trusted"] / row["runs"], 4)
    return list(rows.values())


def stability(done: dict[tuple[str, int], dict[str, Result]]) -> list[Result]:
    """For every log: how many clustering seeds and subsamples flag anything, and how similar their flags are."""
    found = []
    for (scenario, seed), run in done.items():
        # The log as it is was clustered with seed 0.
        for group, among in (("clustering seed", (AS_IS, "clustering seed")), ("subsample", ("subsample",))):
            drawn = [r for r in run.values() if r["group"] in among]
            if len(drawn) < 2:
                continue
            found.append(
                {
                    "scenario": scenario,
                    "seed": seed,
                    "over": group,
                    "draws": len(drawn),
                    "flagged": sum(bool(r["accounts"]) for r in drawn),
                    "found": sum(r["found"] for r in drawn),
                    "jaccard": jaccard([r["accounts"] for r in drawn]),
                }
            )
    return found


HEAD = (
    "Case",
    "Trusted",
    "Campaigns found",
    "Account recall",
    "Honest flagged",
    "False alarms",
    "Exchange precision",
    "Exchange recall",
)


def report(rows: Sequence[Result], stable: Sequence[Result], said: str) -> str:
    """The section in Markdown: a row per case, then the stability of every log."""
    lines = ["## Sensitivity", "", said, "", f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
    for row in rows:
        right = row["attributed"] - row["honest_hit"]
        lines.append(
            f"| {row['case']} | {row['trusted']:.1%} | {row['found']} of {row['campaigns']} "
            f"| {part(row['caught'], row['members'])} | {row['honest_flagged']:,} of {row['honest']:,} "
            f"| {row['false_alarms']} | {part(right, row['attributed'])} | {part(right, row['harvested'])} |"
        )
    lines += [
        "",
        "Stability: how many of the draws flag anything, and how similar the flagged accounts of two draws are "
        "(mean Jaccard similarity over pairs in which anything is flagged).",
        "",
        "| Scenario | Seed | Over | Draws that flag | Similarity |",
        "|---|---|---|---|---|",
        *(
            f"| {s['scenario']} | {s['seed']} | {s['over']} | {s['flagged']} of {s['draws']} "
            f"| {'-' if s['jaccard'] is None else format(s['jaccard'], '.3f')} |"
            for s in stable
        ),
        "",
    ]
    return "\n".join(lines)


def _trust(share: float) -> Callable[[Log, np.random.Generator], Log]:
    return lambda log, rng: trusted(log, share, rng)


def _infiltrate(share: float) -> Callable[[Log, np.random.Generator], Log]:
    return lambda log, rng: infiltrated(log, share, rng)


def _without(groups: Sequence[str]) -> Callable[[Log, np.random.Generator], Log]:
    return lambda log, rng: without(log, groups)


def _thin(draw: int) -> Callable[[Log, np.random.Generator], Log]:
    return lambda log, rng: thinned(log, SUBSAMPLE, rng)


def _unseen(log: Log, rng: np.random.Generator) -> Log:
    return half_seen(log, UNSEEN, rng)


def _untrusted(log: Log, rng: np.random.Generator) -> Log:
    return log._replace(accounts=log.accounts.drop_columns(["anchor"]))


def _trusted_share(log: Log) -> float:
    named = "anchor" in log.accounts.column_names
    return (pc.sum(log.accounts["anchor"]).as_py() or 0) / log.accounts.num_rows if named else 0.0


def _rounds(options: argparse.Namespace, source: str) -> tuple[dict[tuple[str, int], dict[str, Result]], list[str]]:
    """All single cases of all logs, then the pairs of the worst columns."""
    logs = [(name, seed) for name in options.scenarios for seed in options.seeds]
    done: dict[tuple[str, int], dict[str, Result]] = {}
    groups: list[str] = []
    for again in (False, True) if "missing" in options.groups else (False,):
        if again:
            groups = worst(done.values())
        # One process per log: a case is a function and stays within its process.
        with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
            now = Round(options.scale, options.groups, groups, options.out, source)
            waiting = {pool.submit(_one, *log, now): log for log in logs}
            for number, future in enumerate(as_completed(waiting), 1):
                done[waiting[future]] = future.result()
                print(f"{number}/{len(logs)} {' '.join(map(str, waiting[future]))} done", file=sys.stderr, flush=True)
    return {log: done[log] for log in logs}, groups


class Round(NamedTuple):
    """What is measured on each log. groups: kinds of cases. columns: groups that are also left out in pairs."""

    scale: float
    groups: list[str]
    columns: list[str]
    out: Path
    source: str


def _one(scenario: str, seed: int, options: Round) -> dict[str, Result]:
    place = options.out / "sensitivity" / f"{scenario}-{seed}-{options.scale:g}.json"
    wanted = [*(case for case in cases() if case.group in (AS_IS, *options.groups)), *pairs(options.columns)]
    done = measure(scenario, seed, options.scale, wanted, place, options.source)
    return {case.name: done[case.name] for case in wanted}


def main() -> int:
    """Run the missing cases and write the section."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--scenarios", nargs="+", default=list(SCENARIOS), metavar="NAME")
    parse.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), metavar="N")
    parse.add_argument("--scale", type=float, default=SCALE)
    every = list(dict.fromkeys(case.group for case in cases() if case.group != AS_IS))
    parse.add_argument("--groups", nargs="+", choices=every, default=every, help="kinds of cases")
    parse.add_argument("--jobs", type=int, default=1, help="logs in parallel")
    parse.add_argument("--out", type=Path, default=FOLDER)
    options = parse.parse_args()
    unknown = sorted(set(options.scenarios) - set(scenarios()))
    if unknown:
        parse.error(f"no scenario {', '.join(unknown)}")
    source = fingerprint(*SCRIPTS)
    done, groups = _rounds(options, source)
    if fingerprint(*SCRIPTS) != source:
        sys.exit("the source changed during the measurement: run again")
    rows, stable = table(list(done.values())), stability(done)
    said = (
        f"Scenarios {', '.join(options.scenarios)}; seeds {', '.join(map(str, options.seeds))}; scale "
        f"{options.scale:g}; clonewatch {version('clonewatch')}, source {source}. "
        f"Counts are summed over all {len(done)} logs, and over draws."
    )
    if groups:
        said += (
            f" Of single groups of columns, removing {', '.join(groups)} costs the most recall; these are also removed"
            " in pairs."
        )
    text = report(rows, stable, said)
    (options.out / "sensitivity.md").write_text(text, encoding="utf-8")
    save(
        options.out / "sensitivity.json",
        {
            "source": source,
            "scale": options.scale,
            "seeds": options.seeds,
            "scenarios": options.scenarios,
            "worst": groups,
            "cases": rows,
            "stability": stable,
        },
    )
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
