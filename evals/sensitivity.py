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
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import timedelta
from importlib.metadata import version
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import clonewatch
from clonewatch.lab.evaluate import evaluate, read_claim
from clonewatch.lab.simulate import scenarios, simulate
from clonewatch.pipeline.scan import ScanSettings, scan

FOLDER = Path(__file__).resolve().parent / "runs"
SCENARIOS = (
    "s01_shared_cards", "s02_mixing_proxy", "s04_stealth", "s05_agent_mimic", "s06_rollouts", "s12_disjoint_cells",
    "quiet",
)  # fmt: skip
SEEDS = (1, 2)
SCALE = 0.3
ENGINES = ("duckdb", "pyarrow", "numpy", "scipy", "numba", "graspologic-native")
# Accounts may join the trusted set only when they are this old at the first exchange: a trusted account is not new.
AGED = timedelta(days=60)
SHARES = (0.05, 0.1, 0.2, 0.4)
INFILTRATED = (0.1, 0.2)
CLUSTERING_SEEDS = 10
SUBSAMPLE, DRAWS = 0.95, 5
UNSEEN = 0.5
WORST = 4  # column groups whose pairs are tried: six pairs
# What is taken away together, because an operator has all of it or none: table, columns.
COLUMNS: dict[str, tuple[str, tuple[str, ...]]] = {
    "prompt_id": ("exchanges", ("prompt_id",)),
    "template_id": ("exchanges", ("template_id",)),
    "cell": ("exchanges", ("cell",)),
    "task": ("exchanges", ("task",)),
    "elicitation": ("exchanges", ("elicitation",)),
    "addresses": ("exchanges", ("client_ip", "asn", "country", "egress")),
    "client build": ("exchanges", ("user_agent", "tls_fingerprint", "sdk")),
    "sessions": ("exchanges", ("session_id", "turn")),
    "payment": ("accounts", ("payment_fingerprint",)),
    "device": ("accounts", ("device_fingerprint",)),
    "created_at": ("accounts", ("created_at",)),
    "events": ("events", ()),
    "org_declared": ("accounts", ("org_declared",)),
    "format_hash": ("exchanges", ("format_hash",)),
    "system and tools": ("exchanges", ("system_hash", "tools_hash")),
}
# Cases that differ by a draw only are told in one row.
POOLED = {
    "clustering seed": f"clustering seeds 1 to {CLUSTERING_SEEDS - 1}",
    "subsample": f"{SUBSAMPLE:.0%} of exchanges, {DRAWS} draws",
}
AS_IS = "as it is"
_TOLD = ("campaigns", "members", "attribution")  # the tables of a scan that scores are read from
Result = dict[str, Any]


class Log(NamedTuple):
    """A labelled log in memory. members: accounts of a campaign."""

    exchanges: pa.Table
    accounts: pa.Table
    events: pa.Table | None
    label_accounts: pa.Table
    label_exchanges: pa.Table

    @property
    def members(self) -> pa.Array:
        """Accounts that work for a campaign."""
        of = self.label_accounts.filter(pc.equal(self.label_accounts["role"], "member"))
        return of["account_id"].combine_chunks()


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


def trusted(log: Log, share: float, rng: np.random.Generator) -> Log:
    """The log with this share of its accounts trusted, as far as there are honest accounts that are not new.

    Fewer: some of the trusted, drawn at random. More: honest ones that are older than AGED join, drawn at random.
    """
    marks = log.accounts["anchor"].fill_null(False).to_numpy(zero_copy_only=False).astype(bool)
    wanted = round(share * len(marks))
    now = np.flatnonzero(marks)
    if wanted <= len(now):
        chosen = rng.choice(now, wanted, replace=False)
    else:
        old = pc.less(log.accounts["created_at"], pc.subtract(pc.min(log.exchanges["ts"]), pa.scalar(AGED)))
        honest = pc.invert(pc.is_in(log.accounts["account_id"], value_set=log.members))
        able = pc.and_(old.fill_null(False), honest).to_numpy(zero_copy_only=False)
        others = np.flatnonzero(np.asarray(able, bool) & ~marks)
        chosen = np.concatenate([now, rng.choice(others, min(wanted - len(now), len(others)), replace=False)])
    return _marked(log, chosen)


def infiltrated(log: Log, share: float, rng: np.random.Generator) -> Log:
    """The log with this share of every campaign's accounts among the trusted, whatever was trusted of it before."""
    marks = log.accounts["anchor"].fill_null(False).to_numpy(zero_copy_only=False).astype(bool)
    ours = np.flatnonzero(pc.is_in(log.accounts["account_id"], value_set=log.members).to_numpy(zero_copy_only=False))
    marks[ours] = False
    chosen = rng.choice(ours, round(share * len(ours)), replace=False)
    return _marked(log, np.concatenate([np.flatnonzero(marks), chosen]))


def without(log: Log, groups: Iterable[str]) -> Log:
    """The log without these groups of COLUMNS."""
    for group in groups:
        table, columns = COLUMNS[group]
        if table == "events":
            log = log._replace(events=None)
        else:
            kept = getattr(log, table)
            log = log._replace(**{table: kept.drop_columns([c for c in columns if c in kept.column_names])})
    return log


def thinned(log: Log, share: float, rng: np.random.Generator) -> Log:
    """The log with this share of its exchanges, drawn at random; every account keeps its facts."""
    kept = np.sort(rng.choice(log.exchanges.num_rows, round(share * log.exchanges.num_rows), replace=False))
    return _of_exchanges(log, log.exchanges.take(pa.array(kept)))


def half_seen(log: Log, share: float, rng: np.random.Generator) -> Log:
    """The log as an operator sees it who has none of the accounts drawn: another region, another product."""
    ids = log.accounts["account_id"].combine_chunks()
    kept = ids.take(pa.array(np.sort(rng.choice(len(ids), round((1 - share) * len(ids)), replace=False))))
    log = log._replace(
        accounts=_where(log.accounts, "account_id", kept),
        label_accounts=_where(log.label_accounts, "account_id", kept),
    )
    return _of_exchanges(log, _where(log.exchanges, "account_id", kept))


def read(folder: Path) -> Log:
    """A simulated log with its labels."""
    names = ("accounts", "events", "labels/accounts", "labels/exchanges")
    rest = [pq.read_table(folder / f"{name}.parquet") for name in names]
    return Log(pq.read_table(folder / "exchanges"), *rest)


def write(log: Log, folder: Path, origin: Path, before: Log) -> None:
    """The log as a folder; exchanges that are those of `before`, which lies at `origin`, are linked and not copied."""
    (folder / "exchanges").mkdir(parents=True)
    (folder / "labels").mkdir()
    if log.exchanges is before.exchanges:
        for part in (origin / "exchanges").iterdir():
            os.link(part, folder / "exchanges" / part.name)
    else:
        pq.write_table(log.exchanges, folder / "exchanges" / "part-0000.parquet", compression="lz4")
    pq.write_table(log.accounts, folder / "accounts.parquet")
    pq.write_table(log.label_accounts, folder / "labels" / "accounts.parquet")
    pq.write_table(log.label_exchanges, folder / "labels" / "exchanges.parquet")
    if log.events is not None:
        pq.write_table(log.events, folder / "events.parquet")


def scored(log: Path, scan_folder: Path, key: Path, clustering: int = 0) -> tuple[Result, list[str]]:
    """Scan and score a labelled log: counts, and the accounts flagged. The report is not drawn."""
    told = scan(ScanSettings(paths=(str(log),), seed=clustering, key_file=key, threads=1)).tables
    scan_folder.mkdir()
    for name in _TOLD:
        pq.write_table(told[name], scan_folder / f"{name}.parquet")
    scores, claim = evaluate(scan_folder, log), read_claim(scan_folder)
    accounts, campaigns, exchanges, counts = (scores[k] for k in ("accounts", "campaigns", "exchanges", "counts"))
    return {
        "campaigns": counts["true_campaigns"], "found": len(campaigns["found"]),
        "alarms": counts["flagged_campaigns"], "false_alarms": len(campaigns["false_alarms"]),
        "members": counts["member_accounts"], "caught": accounts["true_positive"], "honest": accounts["honest"],
        "honest_flagged": accounts["false_positive"], "harvested": counts["harvested_exchanges"],
        "attributed": exchanges["attributed"], "honest_hit": exchanges["honest_hit"],
    }, sorted({a for c in claim.flagged for a in claim.accounts[c]})  # fmt: skip


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
                file=sys.stderr, flush=True,
            )  # fmt: skip
    return done


def worst(runs: Iterable[dict[str, Result]], count: int = WORST) -> list[str]:
    """The groups of columns whose absence loses most accounts, over all runs; ties in the order of COLUMNS."""
    runs = list(runs)
    caught = {name: sum(run[f"no {name}"]["caught"] for run in runs) for name in COLUMNS}
    return sorted(COLUMNS, key=lambda name: caught[name])[:count]


def jaccard(sets: Sequence[Iterable[str]]) -> float | None:
    """Mean likeness of all pairs of sets in which something is; None when there is no such pair.

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
            found.append({
                "scenario": scenario, "seed": seed, "over": group, "draws": len(drawn),
                "flagged": sum(bool(r["accounts"]) for r in drawn), "found": sum(r["found"] for r in drawn),
                "jaccard": jaccard([r["accounts"] for r in drawn]),
            })  # fmt: skip
    return found


HEAD = (
    "Case", "Trusted", "Campaigns found", "Account recall", "Honest flagged", "False alarms", "Exchange precision",
    "Exchange recall",
)  # fmt: skip


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
        "", "Stability: how many of the draws flag anything, and how alike the flagged accounts of two draws are "
        "(mean Jaccard over pairs in which anything is flagged).", "",
        "| Scenario | Seed | Over | Draws that flag | Likeness |", "|---|---|---|---|---|",
        *(
            f"| {s['scenario']} | {s['seed']} | {s['over']} | {s['flagged']} of {s['draws']} "
            f"| {'-' if s['jaccard'] is None else format(s['jaccard'], '.3f')} |"
            for s in stable
        ), "",
    ]  # fmt: skip
    return "\n".join(lines)


def part(count: int, whole: int) -> str:
    """A share with three figures, or a dash where there is no whole."""
    return f"{count / whole:.3f}" if whole else "-"


def fingerprint(*scripts: Path) -> str:
    """SHA-256, shortened, over the package, these scripts, and the versions of what computes."""
    digest = hashlib.sha256(" ".join(f"{name} {version(name)}" for name in ENGINES).encode())
    root = Path(clonewatch.__file__).parent
    files = sorted(p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    for file in [*files, *scripts]:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def save(place: Path, content: object) -> None:
    """JSON, written aside and moved into place."""
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_suffix(".part")
    draft.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    draft.replace(place)


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


def _marked(log: Log, chosen: np.ndarray) -> Log:
    marks = np.zeros(log.accounts.num_rows, bool)
    marks[chosen] = True
    place = log.accounts.column_names.index("anchor")
    return log._replace(accounts=log.accounts.set_column(place, "anchor", pa.array(marks)))


def _trusted_share(log: Log) -> float:
    named = "anchor" in log.accounts.column_names
    return (pc.sum(log.accounts["anchor"]).as_py() or 0) / log.accounts.num_rows if named else 0.0


def _of_exchanges(log: Log, exchanges: pa.Table) -> Log:
    labels = _where(log.label_exchanges, "exchange_id", exchanges["exchange_id"].combine_chunks())
    return log._replace(exchanges=exchanges, label_exchanges=labels)


def _where(rows: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return rows.filter(pc.is_in(rows[column], value_set=values))


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
            waiting = {
                pool.submit(_one, *log, asked.scale, asked.groups, groups, str(asked.out), source): log for log in logs
            }
            for number, future in enumerate(as_completed(waiting), 1):
                done[waiting[future]] = future.result()
                print(f"{number}/{len(logs)} {' '.join(map(str, waiting[future]))} done", file=sys.stderr, flush=True)
    return {log: done[log] for log in logs}, groups


def _one(
    scenario: str, seed: int, scale: float, groups: list[str], columns: list[str], out: str, source: str
) -> dict[str, Result]:
    place = Path(out) / "sensitivity" / f"{scenario}-{seed}-{scale:g}.json"
    wanted = [*(case for case in cases() if case.group in (AS_IS, *groups)), *pairs(columns)]
    done = measure(scenario, seed, scale, wanted, place, source)
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
    source = fingerprint(Path(__file__))
    done, groups = _rounds(asked, source)
    if fingerprint(Path(__file__)) != source:
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
    save(asked.out / "sensitivity.json", {
        "source": source, "scale": asked.scale, "seeds": asked.seeds, "scenarios": asked.scenarios, "worst": groups,
        "cases": rows, "stability": stable,
    })  # fmt: skip
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
