"""How a scan performs on worlds of a third generator, which is used for reporting only.

    python -m evals.third_worlds [--first 7000] [--worlds 8] [--out FOLDER]

Seeds from 7000 are reported; look at seeds 1 to 5 while you work. One world after the other is generated, scanned and
scored; finished ones are kept, so an interrupted run resumes unless the source has changed.
"""

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import clonewatch
from clonewatch.lab.evaluate import FOUND_PURITY, FOUND_SHARE, evaluate
from clonewatch.pipeline.scan import ScanSettings, scan
from evals.third_generator.generate import generate

HERE = Path(__file__).parent
FIRST_SEED = 7000
FIRST_LINES = 5  # of the table of campaigns: what a reader sees without scrolling
Run = dict[str, Any]


def main() -> int:
    """Run the missing worlds and write the table of all."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--first", type=int, default=FIRST_SEED, metavar="SEED")
    parse.add_argument("--worlds", type=int, default=8)
    parse.add_argument("--size", type=float, default=1.0, help="factor on the number of honest accounts")
    parse.add_argument("--out", type=Path, default=HERE / "runs" / "third_worlds", help="folder of finished worlds")
    parse.add_argument("--page", type=Path, default=HERE / "results" / "third_worlds.md")
    options = parse.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    source, runs = fingerprint(), []
    for seed in range(options.first, options.first + options.worlds):
        runs.append(kept(options.out, seed, options.size, source))
        print(f"{len(runs)}/{options.worlds} {' | '.join(row(runs[-1]))}", file=sys.stderr, flush=True)
        options.page.write_text(report(runs), encoding="utf-8")
    print(report(runs))
    return 0


def fingerprint() -> str:
    """Shortened SHA-256 over the source of the package and of the generator."""
    digest = hashlib.sha256()
    package = Path(clonewatch.__file__).parent
    ours = [Path(__file__), *(HERE / "third_generator").glob("*.py")]
    for file in sorted([p for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts] + ours):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def kept(folder: Path, seed: int, size: float, source: str) -> Run:
    """The result of one world, from the folder where possible."""
    place = folder / f"{seed}-{size:g}.json"
    if place.is_file():
        run: Run = json.loads(place.read_text(encoding="utf-8"))
        if run["source"] == source:
            return run
    scratch = Path(tempfile.mkdtemp(prefix="clonewatch-third-"))
    try:
        run = {"source": source, "world": generate(seed, scratch / "log", size)} | scanned(scratch, seed)
    finally:
        shutil.rmtree(scratch)
    draft = place.with_suffix(".part")
    draft.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    draft.replace(place)
    return run


def scanned(scratch: Path, seed: int) -> Run:
    """Scan and score the log in `scratch/log`: scores, and for each campaign the line of its first pure group."""
    key = scratch / "key"
    key.touch(mode=0o600)
    # The same key every time, so that the scan is reproducible.
    key.write_text(hashlib.sha256(f"third {seed}".encode()).hexdigest() + "\n", encoding="ascii")
    log, out = scratch / "log", scratch / "scan"
    found = scan(ScanSettings(paths=(str(log),), out=out, key_file=key, threads=1))
    truth = {r["account_id"]: r for r in pq.read_table(log / "labels" / "accounts.parquet").to_pylist()}
    sizes = Counter(r["campaign_id"] for r in truth.values() if r["role"] == "member")
    groups: defaultdict[str, list[str]] = defaultdict(list)
    customers: Counter[str] = Counter()  # accounts of a group that the scan takes for customers of its proxies
    for member in found.tables["members"].to_pylist():
        if member["role"] == "proxy_customer":
            customers[member["campaign_id"]] += 1
        else:
            groups[member["campaign_id"]].append(member["account_id"])
    lines: dict[str, int | None] = dict.fromkeys(sorted(sizes))
    listed = []
    for i, group in enumerate(found.tables["campaigns"].to_pylist(), 1):
        accounts = groups[group["campaign_id"]]
        inside = Counter(truth[a]["campaign_id"] or truth[a]["role"] for a in accounts)
        listed.append(
            {
                "line": i,
                "flagged": group["flagged"],
                "score": group["score"],
                "inside": inside,
                "customers": customers[group["campaign_id"]],
            }
        )
        for name, n in inside.items():
            pure = name in sizes and n >= FOUND_PURITY * len(accounts) and n >= FOUND_SHARE * sizes[name]
            if pure and lines[name] is None:
                lines[name] = i
    seconds = sum(stage["seconds"] for stage in found.summary["stages"])
    return {
        "scores": evaluate(out, log / "labels"),
        "lines": lines,
        "sizes": dict(sorted(sizes.items())),
        "listed": listed,
        "seconds": round(seconds, 1),
    }


# What the words of a campaign mean, as `evals.third_generator.ranges` draws them.
KNOBS = (
    "size is how many accounts are in use at once: banned ones are replaced, and accounts that never "
    "sent anything are not in the log, so a campaign has more or fewer members than that. machine: "
    "whether it sends around the clock instead of by a daily rhythm. cover: share of ordinary "
    "exchanges; paraphrase: share of prompts reworded; demand: share of prompts that ask for the "
    "reasoning; rollouts: answers to one prompt; bans: whether it loses accounts; jump: whether it "
    "moves to a new model at its release."
)
HEAD = (
    *("Seed", "Log", "Accounts", "Exchanges", "Campaigns", "Flagged", "First line", "First five", "Line of each"),
    *("Members flagged", "Other alarms", "Honest flagged", "by crowd"),
)


def counts(run: Run) -> dict[str, int]:
    """The figures of one world that can be added up."""
    scores, lines = run["scores"], run["lines"].values()
    return {
        "accounts": run["world"]["accounts"],
        "exchanges": run["world"]["exchanges"],
        "campaigns": len(run["lines"]),
        "flagged": len(scores["campaigns"]["found"]),
        "first": sum(line == 1 for line in lines),
        "five": sum(line is not None and line <= FIRST_LINES for line in lines),
        "members": scores["counts"]["member_accounts"],
        "caught": scores["accounts"]["true_positive"],
        "alarms": len(scores["campaigns"]["false_alarms"]),
        "honest flagged": scores["accounts"]["false_positive"],
        "honest": scores["accounts"]["honest"],
    }


def row(run: Run) -> list[str]:
    """One world as a row of the table."""
    n = counts(run)
    honest, by_role = run["scores"]["accounts"]["honest_by_role"], run["scores"]["accounts"]["honest_flagged_by_role"]
    return [
        str(run["world"]["seed"]),
        "text" if run["world"]["text"] else "fingerprints",
        f"{n['accounts']:,}",
        f"{n['exchanges']:,}",
        *(str(n[k]) for k in ("campaigns", "flagged", "first", "five")),
        ", ".join(f"{run['sizes'][c]} members: {line or '-'}" for c, line in run["lines"].items()) or "-",
        f"{n['caught']}/{n['members']}",
        str(n["alarms"]),
        f"{n['honest flagged']}/{n['honest']:,}",
        ", ".join(f"{r} {k}/{honest[r]}" for r, k in by_role.items() if k) or "-",
    ]


def report(runs: list[Run]) -> str:
    """The page in Markdown."""
    total: Counter[str] = Counter()
    honest: Counter[str] = Counter()
    flagged: Counter[str] = Counter()
    for run in runs:
        total.update(counts(run))
        honest.update(run["scores"]["accounts"]["honest_by_role"])
        flagged.update(run["scores"]["accounts"]["honest_flagged_by_role"])
    last = ["Sum", "", f"{total['accounts']:,}", f"{total['exchanges']:,}"]
    last += [str(total[k]) for k in ("campaigns", "flagged", "first", "five")]
    last += [
        "",
        f"{total['caught']}/{total['members']}",
        str(total["alarms"]),
        f"{total['honest flagged']}/{total['honest']:,}",
        "",
    ]
    crowds = [f"| {r} | {flagged[r]} | {honest[r]:,} |" for r in sorted(honest)]
    return "\n".join(
        [
            "## A third simulator",
            "",
            "Logs from a third simulator, written without reading the detector or the other simulators, and "
            "used for reporting only. `python -m evals.third_worlds` makes this page. Flagged: one "
            f"alarm of purity {FOUND_PURITY} holds {FOUND_SHARE:.0%} of the campaign's accounts. First line, first "
            "five: such a group, flagged or not, stands there in the table of campaigns, in its own order. Other "
            "alarms: those that are no campaign in this sense, also where they hold less than half of one.",
            "",
            f"| {' | '.join(HEAD)} |",
            "|---" * len(HEAD) + "|",
            *(f"| {' | '.join(row(r))} |" for r in runs),
            f"| {' | '.join(last)} |",
            "",
            "Honest accounts flagged, by crowd:",
            "",
            "| Crowd | Flagged | Accounts |",
            "|---|---|---|",
            *crowds,
            "",
            f"The campaigns of these logs: {KNOBS}",
            "",
            "| Seed | Campaign | How |",
            "|---|---|---|",
            *(f"| {r['world']['seed']} | {c['name']} | {_how(c)} |" for r in runs for c in r["world"]["campaigns"]),
            "",
        ]
    )


def _how(campaign: dict[str, Any]) -> str:
    shown = {k: " and ".join(v) if isinstance(v, list) else v for k, v in campaign.items() if k != "name"}
    return ", ".join(f"{k} {v}" for k, v in shown.items())


if __name__ == "__main__":
    sys.exit(main())
