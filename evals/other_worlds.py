"""How a scan performs on worlds of a second generator, written without reading the detector or the laboratory.

    python -m evals.other_worlds --seeds 11 12 --size 0.5 [--families crowd slow_drip] [--quiet 20] [--jobs 2]

Ten kinds of harvest, each in its own world, and worlds without a harvest (`--quiet N`, seeds from `--quiet-from`). All
distributions of a world are drawn from its seed. Finished runs are kept, so an interrupted run resumes unless the
source has changed. `--log FOLDER` writes the worlds as log folders instead, and scans nothing.
"""

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import clonewatch
from clonewatch.lab.evaluate import evaluate
from clonewatch.pipeline.scan import ScanSettings, scan
from evals.second_generator.campaigns import FAMILIES
from evals.second_generator.export import write
from evals.second_generator.honest_users import populate
from evals.second_generator.other_world import OtherWorld

QUIET = "quiet"
# Worlds with a smaller trusted share are counted separately: on development seeds little was linked there.
FEW_TRUSTED = 0.1
# Worlds scanned by one set of processes before they are replaced.
BATCH = 12
HERE = Path(__file__).parent
RUNS = HERE / "runs"
Run = dict[str, Any]
# Writes a labelled log folder, given a name, a seed, a size and a path; returns a description to keep.
Make = Callable[[str, int, float, Path], dict[str, Any]]


def main() -> int:
    """Run the missing worlds and write the table of all."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--seeds", nargs="*", type=int, default=[11, 12])
    parse.add_argument("--families", nargs="*", default=sorted(FAMILIES), choices=sorted(FAMILIES), metavar="NAME")
    parse.add_argument("--quiet", type=int, default=0, metavar="N", help="number of worlds without a campaign")
    parse.add_argument(
        "--quiet-from", type=int, default=11, metavar="SEED", help="first seed of worlds without a campaign"
    )
    parse.add_argument("--size", type=float, default=0.5, help="factor on the number of accounts")
    parse.add_argument("--jobs", type=int, default=1)
    parse.add_argument("--out", type=Path, default=RUNS)
    parse.add_argument("--log", type=Path, help="write the logs to this folder and stop")
    options = parse.parse_args()
    wanted = [(f, s) for f in options.families for s in options.seeds]
    wanted += [(QUIET, options.quiet_from + i) for i in range(options.quiet)]
    if options.log:
        for family, seed in wanted:
            print(json.dumps(make(family, seed, options.size, options.log / f"{family}-{seed}")))
        return 0
    runs = []
    for i, run in enumerate(measure(make, wanted, options.size, options.jobs, options.out / "other_worlds"), 1):
        runs.append(run)
        print(f"{i}/{len(wanted)} {' | '.join(row(run))}", file=sys.stderr, flush=True)
    text = report(runs)
    (options.out / "other_worlds.md").write_text(text, encoding="utf-8")
    summary = {"size": options.size, "sums": sums(runs), "runs": runs}
    (options.out / "other_worlds.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    print(text)
    return 0


def make(family: str, seed: int, size: float, out: Path) -> dict[str, Any]:
    """Write the log folder of one world with labels; family `quiet` has no campaign."""
    branch = 0 if family == QUIET else 1 + list(FAMILIES).index(family)
    world = OtherWorld(seed, size, branch)
    populate(world)
    if family != QUIET:
        FAMILIES[family](world, family)
    return write(world, out, None if family == QUIET else family, seed) | {"family": family}


def measure(make: Make, wanted: list[tuple[str, int]], size: float, jobs: int, kept: Path) -> Iterator[Run]:
    """Every wanted run in the given order, from the folder of kept runs where possible."""
    kept.mkdir(parents=True, exist_ok=True)
    source = fingerprint()
    for first in range(0, len(wanted), BATCH):
        # Fresh processes: the scan's engines keep threads that do not survive a fork, and do not return their memory.
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            batch = wanted[first : first + BATCH]
            waiting = [
                _kept_run(kept, f, s, size, source) or pool.submit(one, make, f, s, size, source, kept)
                for f, s in batch
            ]
            for run in waiting:
                yield run if isinstance(run, dict) else run.result()


def _place(kept: Path, family: str, seed: int, size: float) -> Path:
    return kept / f"{family}-{seed}-{size:g}.json"


def _kept_run(kept: Path, family: str, seed: int, size: float, source: str) -> Run | None:
    place = _place(kept, family, seed, size)
    if not place.is_file():
        return None
    run: Run = json.loads(place.read_text(encoding="utf-8"))
    return run if run["source"] == source else None


def one(make: Make, family: str, seed: int, size: float, source: str, kept: Path) -> Run:
    """Generate, scan and score one log, and keep the result."""
    folder = Path(tempfile.mkdtemp(prefix="clonewatch-world-"))
    try:
        world = make(family, seed, size, folder / "log")
        run = {"source": source, "family": family, "seed": seed, "world": world} | scanned(
            folder / "log", folder / "scan", f"{family} {seed}"
        )
    finally:
        shutil.rmtree(folder)
    place = _place(kept, family, seed, size)
    draft = place.with_suffix(".part")
    draft.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    draft.replace(place)
    return run


def scanned(log: Path, out: Path, name: str) -> Run:
    """Scan a log folder and score it: the scores, and the roles of the accounts in every reported group."""
    key = log.parent / "key"
    key.touch(mode=0o600)
    # The same key every time, so that the scan is reproducible.
    key.write_text(hashlib.sha256(name.encode()).hexdigest() + "\n", encoding="ascii")
    found = scan(ScanSettings(paths=(str(log),), out=out, key_file=key, threads=1))
    labels = pq.read_table(log / "labels" / "accounts.parquet")
    role = dict(zip(labels["account_id"].to_pylist(), labels["role"].to_pylist(), strict=True))
    within: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for member in found.tables["members"].to_pylist():
        within[member["campaign_id"]][role[member["account_id"]]] += member["role"] != "proxy_customer"
    candidates = [
        {k: c[k] for k in ("campaign_id", "score", "p_value", "flagged", "level", "accounts")}
        | {"roles": within[c["campaign_id"]]}
        for c in found.tables["campaigns"].to_pylist()
    ]
    spent = sum(stage["seconds"] for stage in found.summary["stages"])
    return {"scores": evaluate(out, log / "labels"), "candidates": candidates, "seconds": round(spent, 2)}


def fingerprint() -> str:
    """Shortened SHA-256 over the source of the package and of the generator."""
    digest = hashlib.sha256()
    package = Path(clonewatch.__file__).parent
    ours = [HERE / "other_worlds.py", HERE / "semi_synthetic.py", *(HERE / "second_generator").glob("*.py")]
    for file in sorted([p for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts] + ours):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


# Columns for any run, and columns for the worlds of this generator.
COLUMNS = ("Seed", "Found", "Members", "Recall", "Honest flagged", "Exchange precision", "Exchange recall", "Trusted")
HEAD = ("Family", *COLUMNS, "Linked", "Honest flagged by role", "Not logged")


def cells(run: Run) -> list[str]:
    """The values of COLUMNS for a run with a campaign."""
    scores, world = run["scores"], run["world"]
    accounts, exchanges = scores["accounts"], scores["exchanges"]
    return [
        str(run["seed"]),
        f"{len(scores['campaigns']['found'])}/{scores['counts']['true_campaigns']}",
        str(scores["counts"]["member_accounts"]),
        part(accounts["recall"]),
        f"{accounts['false_positive']}/{accounts['honest']:,}",
        part(exchanges["precision"]),
        part(exchanges["recall"]),
        f"{world['trusted'] / world['accounts']:.0%}",
    ]


def row(run: Run) -> list[str]:
    """One world with a campaign as a row of the table."""
    accounts, world = run["scores"]["accounts"], run["world"]
    roles = ", ".join(f"{r} {n}/{accounts['honest_by_role'][r]}" for r, n in accounts["honest_flagged_by_role"].items())
    absent = world["absent_columns"] + world["absent_account_facts"]
    return [run["family"], *cells(run), part(linked(run)), roles or "-", f"{len(absent)} columns"]


def linked(run: Run) -> float | None:
    """Share of the members in the one reported group, flagged or not, that contains most of them."""
    members = run["scores"]["counts"]["member_accounts"]
    most = max((c["roles"].get("member", 0) for c in run["candidates"]), default=0)
    return float(most / members) if members else None


def by_trust(runs: list[Run]) -> dict[str, list[int]]:
    """Campaigns found and worlds, where few accounts are trusted and where more are."""
    counts = {"few": [0, 0], "more": [0, 0]}
    for run in runs:
        count = counts["few" if run["world"]["trusted"] < FEW_TRUSTED * run["world"]["accounts"] else "more"]
        count[0] += bool(run["scores"]["campaigns"]["found"])
        count[1] += 1
    return counts


def sums(runs: list[Run]) -> dict[str, Any]:
    """Counts over all runs: campaigns and accounts found, honest ones flagged by role, attack-free worlds."""
    attacked, quiet = ([r for r in runs if (r["family"] == QUIET) == q] for q in (False, True))
    honest: Counter[str] = Counter()
    flagged: Counter[str] = Counter()
    for run in runs:
        honest.update(run["scores"]["accounts"]["honest_by_role"])
        flagged.update(run["scores"]["accounts"]["honest_flagged_by_role"])
    by_family: dict[str, list[int]] = {}
    for run in attacked:
        count = by_family.setdefault(run["family"], [0, 0])
        count[0] += len(run["scores"]["campaigns"]["found"])
        count[1] += 1
    return {
        "worlds": len(attacked),
        "found_by_trusted_share": by_trust(attacked),
        "found": sum(count[0] for count in by_family.values()),
        "found_by_family": by_family,
        "members": sum(r["scores"]["counts"]["member_accounts"] for r in attacked),
        "caught": sum(r["scores"]["accounts"]["true_positive"] for r in attacked),
        "false_alarms": sum(len(r["scores"]["campaigns"]["false_alarms"]) for r in attacked),
        "honest": sum(honest.values()),
        "honest_flagged": sum(flagged.values()),
        "honest_flagged_by_role": {r: [n, honest[r]] for r, n in sorted(flagged.items())},
        "quiet_worlds": len(quiet),
        "quiet_worlds_with_alarm": sum(bool(r["scores"]["counts"]["flagged_campaigns"]) for r in quiet),
        "quiet_candidates": sum(len(r["candidates"]) for r in quiet),
        "quiet_honest_flagged": sum(r["scores"]["accounts"]["false_positive"] for r in quiet),
        "quiet_honest": sum(r["scores"]["accounts"]["honest"] for r in quiet),
    }


def report(runs: list[Run]) -> str:
    """The section in Markdown."""
    total = sums(runs)
    few, more = (total["found_by_trusted_share"][k] for k in ("few", "more"))
    attacked = [r for r in runs if r["family"] != QUIET]
    lines = [
        "## A second simulator",
        "",
        "Logs from a second simulator that shares no code with the first and was written without reading the "
        "source of the detector. It has other distributions of repetition, visits and topics, other look-alikes, "
        "columns missing at random, and a trusted share of 3 to 40 %. A campaign counts as found when one alarm of "
        "purity 0.8 contains half of its accounts.",
    ]
    if attacked:
        lines += [
            "",
            f"| {' | '.join(HEAD)} |",
            "|---" * len(HEAD) + "|",
            *(f"| {' | '.join(row(r))} |" for r in attacked),
            "",
            f"Campaigns found: {total['found']} of {total['worlds']}. "
            f"Members flagged: {total['caught']:,} of {total['members']:,}. "
            f"False alarms: {total['false_alarms']}.",
            "",
            "Linked: share of the members in the one reported group, flagged or not, that contains most of them. Where "
            f"less than {FEW_TRUSTED:.0%} of the accounts are trusted, {few[0]} of {few[1]} campaigns were found; "
            f"elsewhere {more[0]} of {more[1]}.",
        ]
    roles = ", ".join(f"{r} {n} of {h:,}" for r, (n, h) in total["honest_flagged_by_role"].items())
    lines += [
        "",
        f"Honest accounts flagged: {total['honest_flagged']:,} of {total['honest']:,}. By role: {roles or 'none'}.",
    ]
    if total["quiet_worlds"]:
        lines += [
            "",
            f"Logs without a campaign: {total['quiet_worlds_with_alarm']} of {total['quiet_worlds']} with a false "
            f"alarm, {total['quiet_honest_flagged']:,} of {total['quiet_honest']:,} accounts flagged; "
            f"{total['quiet_candidates']} "
            "groups were reported as linked.",
        ]
    return "\n".join([*lines, ""])


def part(share: float | None) -> str:
    """A share with two decimals, or a dash for None."""
    return "-" if share is None else f"{share:.2f}"


if __name__ == "__main__":
    sys.exit(main())
