"""How well scans do over the scenarios of the laboratory, seed by seed: what was found, and who was wronged.

    python evals/scenarios.py [--scenarios s01_shared_cards quiet] [--seeds 101 102] [--scale 0.5] [--text] [--out DIR]

Each scenario and seed is simulated, scanned and scored by the command line, one after another, in processes of their
own; the log is then removed. What is done is kept, so a run that was cut short goes on where it was, unless the source
or the installed engines have changed. Everything is simulated: figures say how a scan does on these worlds, not on your
log.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import clonewatch
from clonewatch.lab.simulate import scenarios

# Seeds below 100 were looked at while the detector was made; figures are reported on others.
SEEDS = (101, 102)
SCALE = 0.5
# Far larger than the rest, or a part of another: asked for by name only.
ON_REQUEST = ("headline", "mixed", "demo", "quiet_plain")
FOLDER = Path(__file__).parent / "runs"
ENGINES = ("duckdb", "pyarrow", "numpy", "scipy", "numba", "graspologic-native")
Run = dict[str, Any]


def main() -> int:
    """Run what is missing and write the table of all."""
    usual = [name for name in scenarios() if name not in ON_REQUEST]
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--scenarios", nargs="+", default=usual, metavar="NAME")
    parse.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), metavar="N")
    parse.add_argument("--scale", type=float, default=SCALE)
    parse.add_argument("--text", action="store_true", help="made-up messages in place of fingerprints; slower")
    parse.add_argument("--out", type=Path, default=FOLDER)
    asked = parse.parse_args()
    strange = sorted(set(asked.scenarios) - set(scenarios()))
    if strange:
        parse.error(f"no scenario {', '.join(strange)}")
    asked.out.mkdir(parents=True, exist_ok=True)
    source, runs = fingerprint(), []
    wanted = [(name, seed) for name in asked.scenarios for seed in asked.seeds]
    for i, (name, seed) in enumerate(wanted, 1):
        place = asked.out / f"{name}-{seed}-{asked.scale:g}{'-text' if asked.text else ''}.json"
        run = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else None
        if run is None or run["source"] != source:
            run = one(name, seed, asked.scale, asked.text) | {"source": source}
            if fingerprint() != source:
                sys.exit("the source changed while it was measured: run again")
            draft = place.with_suffix(".part")
            draft.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
            draft.replace(place)
        runs.append(run)
        print(f"{i}/{len(wanted)} {' | '.join(row(run))}", file=sys.stderr, flush=True)
    text = report(runs, asked.scale, asked.text, source)
    (asked.out / "scenarios.md").write_text(text, encoding="utf-8")
    summary = {"source": source, "scale": asked.scale, "text": asked.text, "sums": sums(runs), "runs": runs}
    (asked.out / "scenarios.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    print(text)
    return 0


def fingerprint() -> str:
    """SHA-256, shortened, over the package's source and the versions of what computes."""
    digest = hashlib.sha256(" ".join(f"{name} {version(name)}" for name in ENGINES).encode())
    root = Path(clonewatch.__file__).parent
    for file in sorted(p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def one(name: str, seed: int, scale: float, text: bool) -> Run:
    """Simulate, scan and score once. A scan that fails ends the evaluation: it is a bug, not a missed campaign."""
    folder = Path(tempfile.mkdtemp(prefix="clonewatch-eval-"))
    try:
        log, scan = folder / "log", folder / "scan"
        options = ["--seed", str(seed), "--scale", str(scale), *(["--text"] if text else [])]
        # The same key every time: a scan depends on nothing else that is drawn.
        key = folder / "key"
        key.touch(mode=0o600)
        key.write_text(hashlib.sha256(f"{name} {seed}".encode()).hexdigest() + "\n", encoding="ascii")
        command("simulate", name, "--out", str(log), *options)
        command("scan", str(log), "--out", str(scan), "--quiet", "--key", str(key))
        scores = json.loads(command("evaluate", str(scan), str(log / "labels"), "--json"))
        summary = json.loads((scan / "scan.json").read_text(encoding="utf-8"))
    finally:
        shutil.rmtree(folder)
    stages = summary["stages"]
    cost = {k: round(sum(s[k] for s in stages), 2) for k in ("seconds", "cpu_seconds")}
    cost |= {"peak_memory_mb": summary["peak_memory_mb"], "exchanges": summary["counts"]["kept"]}
    return {"scenario": name, "seed": seed, "scale": scale, "text": text, "cost": cost, "scores": scores}


def command(*words: str) -> str:
    """Run one command of clonewatch; its standard output. What it said otherwise is shown when it fails."""
    program = [sys.executable, "-c", "from clonewatch.cli.main import run; run()"]
    done = subprocess.run([*program, *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"clonewatch {' '.join(words)} left with {done.returncode}:\n{done.stderr}")
    return done.stdout


HEAD = (
    "Scenario", "Seed", "Campaigns", "False alarms", "Merged", "Account precision", "Account recall", "Honest flagged",
    "Exchange precision", "Exchange recall", "Sent before visible", "Exchanges", "CPU s", "MB",
)  # fmt: skip


def row(run: Run) -> list[str]:
    """One run as a line of the table."""
    scores, cost = run["scores"], run["cost"]
    accounts, campaigns, exchanges = scores["accounts"], scores["campaigns"], scores["exchanges"]
    early = [v for v in campaigns["share_before_visible"].values() if v is not None]
    return [
        run["scenario"], str(run["seed"]), f"{len(campaigns['found'])}/{scores['counts']['true_campaigns']}",
        str(len(campaigns["false_alarms"])), str(len(campaigns["merged_alarms"])), part(accounts["precision"]),
        part(accounts["recall"]), f"{accounts['false_positive']}/{accounts['honest']:,}", part(exchanges["precision"]),
        part(exchanges["recall"]), part(max(early, default=None)), f"{cost['exchanges']:,}",
        f"{cost['cpu_seconds']:.0f}", str(cost["peak_memory_mb"]),
    ]  # fmt: skip


def sums(runs: list[Run]) -> dict[str, Any]:
    """Counts over all runs, and shares of the counts."""
    total: dict[str, Any] = {
        "runs": len(runs), "campaigns": 0, "found": 0, "alarms": 0, "false_alarms": 0, "members": 0, "caught": 0,
        "honest": 0, "honest_flagged": 0, "attributed": 0, "honest_hit": 0, "harvested": 0,
    }  # fmt: skip
    wronged: dict[str, list[int]] = {}
    for run in runs:
        accounts, campaigns, exchanges, counts = (
            run["scores"][k] for k in ("accounts", "campaigns", "exchanges", "counts")
        )
        for key, value in (
            ("campaigns", counts["true_campaigns"]), ("found", len(campaigns["found"])),
            ("alarms", counts["flagged_campaigns"]), ("false_alarms", len(campaigns["false_alarms"])),
            ("members", counts["member_accounts"]), ("caught", accounts["true_positive"]),
            ("honest", accounts["honest"]), ("honest_flagged", accounts["false_positive"]),
            ("attributed", exchanges["attributed"]), ("honest_hit", exchanges["honest_hit"]),
            ("harvested", counts["harvested_exchanges"]),
        ):  # fmt: skip
            total[key] += value
        for role, heads in accounts["honest_by_role"].items():
            held = wronged.setdefault(role, [0, 0])
            held[0] += accounts["honest_flagged_by_role"].get(role, 0)
            held[1] += heads
    total["honest_flagged_by_role"] = {r: v for r, v in sorted(wronged.items()) if v[0]}
    return total


def report(runs: list[Run], scale: float, text: bool, source: str) -> str:
    """The table in Markdown, with the sums below."""
    total = sums(runs)
    lines = [
        "# Scenarios, measured", "",
        f"Simulated worlds, scale {scale:g}, {'with' if text else 'without'} text; clonewatch {version('clonewatch')}, "
        f"source {source}. A campaign counts as found when one alarm of purity 0.8 holds half of its accounts.", "",
        f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|", *(f"| {' | '.join(row(run))} |" for run in runs), "",
        f"Campaigns found: {of(total['found'], total['campaigns'])}. False alarms: "
        f"{of(total['false_alarms'], total['alarms'])} alarms.",
        f"Accounts: {of(total['caught'], total['members'])} of campaigns flagged; "
        f"{of(total['honest_flagged'], total['honest'])} honest ones flagged.",
        f"Exchanges: {of(total['attributed'] - total['honest_hit'], total['harvested'])} harvested ones attributed; "
        f"{of(total['honest_hit'], total['attributed'])} attributed ones are honest.",
        "Honest accounts flagged, by role: "
        + (", ".join(f"{r} {n} of {h:,}" for r, (n, h) in total["honest_flagged_by_role"].items()) or "none") + ".", "",
    ]  # fmt: skip
    return "\n".join(lines)


def of(count: int, whole: int) -> str:
    """A count, its whole and their share."""
    return f"{count:,} of {whole:,}" + (f" ({count / whole:.2%})" if whole else "")


def part(share: float | None) -> str:
    """A share with three figures, or a dash where there is no whole."""
    return "-" if share is None else f"{share:.3f}"


if __name__ == "__main__":
    sys.exit(main())
