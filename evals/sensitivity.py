"""How the verdict changes when the log or the set-up does: fewer trusted accounts, missing columns, other draws.

    python -m evals.sensitivity [--scenarios s01_shared_cards quiet] [--seeds 1 2] [--scale 0.3] [--jobs 2] [--out DIR]

Each scenario is simulated once a seed; every case rewrites the log as it says, and the copy is scanned and scored. What
is done is kept, so a run that was cut short goes on where it was, unless the source has changed. Everything is
simulated: figures say how a scan does on these worlds, not on your log.
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
WORST = 4  # column groups whose pairs are tried: six pairs
# Cases that differ by a draw only are told in one row.
POOLED = {
    "clustering seed": f"clustering seeds 1 to {CLUSTERING_SEEDS - 1}",
    "subsample": f"{SUBSAMPLE:.0%} of exchanges, {DRAWS} draws",
}
AS_IS = "as it is"


class Case(NamedTuple):
    """One change. group: the table it is told in. change: of the log, with a generator of its own. clustering: seed."""

    group: str
    name: str
    change: Callable[[Log, np.random.Generator], Log] | None = None
    clustering: int = 0


def cases() -> list[Case]:
    """Every case that is always run; pairs of columns follow from what these find."""
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
    """Two groups of columns missing at once."""
    return [Case("missing two", f"no {a}, no {b}", _without((a, b))) for a, b in combinations(groups, 2)]


def measure(
    scenario: str, seed: int, scale: float, wanted: Sequence[Case], place: Path, source: str
) -> dict[str, Result]:
    """The wanted cases of one simulated log, by name; `place` keeps what is done and is read first."""
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
    """The groups of columns whose absence loses most accounts, over all runs; ties in the order of COLUMNS."""
    runs = list(runs)
    caught = {name: sum(run[f"no {name}"]["caught"] for run in runs) for name in COLUMNS}
    return sorted(COLUMNS, key=lambda name: caught[name])[:count]


def jaccard(sets: Sequence[Iterable[str]]) -> float | None:
    """Mean mixture posterior of all pairs of sets in which something is; None when there is no such pair.

    >>> jaccard([{"a", "b"}, {"a"}, set()])
    0.16666666666666666
    """
    alike = [len(a & b) / len(a | b) for a, b in combinations([set(s) for s in sets], 2) if a | b]
    return sum(alike) / len(alike) if alike else None


def table(runs: Sequence[dict[str, Result]]) -> list[Result]:
    """A row for every case, and one for all draws of a kind: its counts summed over the runs."""
    rows: dict[str, Result] = {}
    for run in runs:
        for name, result in run.items():
            told = POOLED.get(result["group"], name)
            row = rows.setdefault(told, {"case": told, "group": result["group"], "runs": 0, "trusted": 0.0})
            row["runs"] += 1
            row["trusted"] += result["trusted"]
            for key, value in result.items():
                if key not in ("group", "accounts", "trusted"):
                    row[key] = row.get(key, 0) + value
    for row in rows.values():
        row["trusted"] = round(row["trusted"] / row["runs"], 4)
    return list(rows.values())


def stability(done: dict[tuple[str, int], dict[str, Result]]) -> list[Result]:
    """For every log: of the clustering seeds, and of the subsamples, how many flag it and how alike their flags are."""
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
    """The section in Markdown: a row for every case, then the stability of every log."""
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
        "Stability: how many of the draws flag anything, and how alike the flagged accounts of two draws are "
        "(mean Jaccard over pairs in which anything is flagged).",
        "",
        "| Scenario | Seed | Over | Draws that flag | Likeness |",
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


def _rounds(asked: argparse.Namespace, source: str) -> tuple[dict[tuple[str, int], dict[str, Result]], list[str]]:
    """All single cases of all logs, then the pairs of what turned out worst."""
    logs = [(name, seed) for name in asked.scenarios for seed in asked.seeds]
    done: dict[tuple[str, int], dict[str, Result]] = {}
    groups: list[str] = []
    for again in (False, True) if "missing" in asked.groups else (False,):
        if again:
            groups = worst(done.values())
        # One process a log: a case is a function and stays within its process.
        with ProcessPoolExecutor(asked.jobs, mp_context=get_context("spawn")) as pool:
            now = Round(asked.scale, asked.groups, groups, asked.out, source)
            waiting = {pool.submit(_one, *log, now): log for log in logs}
            for number, future in enumerate(as_completed(waiting), 1):
                done[waiting[future]] = future.result()
                print(f"{number}/{len(logs)} {' '.join(map(str, waiting[future]))} done", file=sys.stderr, flush=True)
    return {log: done[log] for log in logs}, groups


class Round(NamedTuple):
    """What is measured on each log. groups: kinds of cases. columns: those that are also left out in pairs."""

    scale: float
    groups: list[str]
    columns: list[str]
    out: Path
    source: str


def _one(scenario: str, seed: int, asked: Round) -> dict[str, Result]:
    place = asked.out / "sensitivity" / f"{scenario}-{seed}-{asked.scale:g}.json"
    wanted = [*(case for case in cases() if case.group in (AS_IS, *asked.groups)), *pairs(asked.columns)]
    done = measure(scenario, seed, asked.scale, wanted, place, asked.source)
    return {case.name: done[case.name] for case in wanted}


def main() -> int:
    """Run what is missing and write the section."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--scenarios", nargs="+", default=list(SCENARIOS), metavar="NAME")
    parse.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), metavar="N")
    parse.add_argument("--scale", type=float, default=SCALE)
    every = list(dict.fromkeys(case.group for case in cases() if case.group != AS_IS))
    parse.add_argument("--groups", nargs="+", choices=every, default=every, help="kinds of cases")
    parse.add_argument("--jobs", type=int, default=1, help="logs at a time")
    parse.add_argument("--out", type=Path, default=FOLDER)
    asked = parse.parse_args()
    strange = sorted(set(asked.scenarios) - set(scenarios()))
    if strange:
        parse.error(f"no scenario {', '.join(strange)}")
    source = fingerprint(*SCRIPTS)
    done, groups = _rounds(asked, source)
    if fingerprint(*SCRIPTS) != source:
        sys.exit("the source changed while it was measured: run again")
    rows, stable = table(list(done.values())), stability(done)
    said = (
        f"Scenarios {', '.join(asked.scenarios)}; seeds {', '.join(map(str, asked.seeds))}; scale {asked.scale:g}; "
        f"clonewatch {version('clonewatch')}, source {source}. Counts are summed over all {len(done)} logs, and over "
        "draws."
    )
    if groups:
        said += f" The absence of {', '.join(groups)} loses most accounts; they are tried two at a time."
    text = report(rows, stable, said)
    (asked.out / "sensitivity.md").write_text(text, encoding="utf-8")
    save(
        asked.out / "sensitivity.json",
        {
            "source": source,
            "scale": asked.scale,
            "seeds": asked.seeds,
            "scenarios": asked.scenarios,
            "worst": groups,
            "cases": rows,
            "stability": stable,
        },
    )
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
