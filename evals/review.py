"""How good the list for review is: campaigns at its top, honest groups in it, questions until it is empty.

    python -m evals.review --half report [--only quiet] [--out evals/runs/review_list]

Development seeds only. The rule of `campaigns.review` was chosen on the half `choose`; `report` holds the worlds that
took no part. Finished worlds are kept, so an interrupted run resumes unless the source has changed. An analyst is
simulated who answers every question by the labels, first to look at first.
"""

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from clonewatch.campaigns.calibration import Calibration
from clonewatch.campaigns.review import FLAGGED, REVIEW, Candidate, Standing, review
from clonewatch.lab.evaluate import FOUND_PURITY, read_truth
from clonewatch.lab.simulate import simulate
from clonewatch.model.answers import Answer
from clonewatch.pipeline.detection.attribute import attribute
from clonewatch.pipeline.detection.detect import detect
from clonewatch.pipeline.detection.ranking import candidates
from clonewatch.pipeline.detection.stages import Dated
from clonewatch.pipeline.intake.deduplicate import settle
from clonewatch.pipeline.intake.staged import Intake
from clonewatch.pipeline.progress.stage_timer import StageTimer
from clonewatch.pipeline.scan import ScanSettings, scan
from clonewatch.pipeline.scan_result import ScanResult
from clonewatch.pipeline.steps import StepRunner
from evals.jobs import numbered
from evals.logs import fingerprint
from evals.other_worlds import QUIET, make
from evals.second_generator.campaigns import FAMILIES

OUT = Path(__file__).parent / "runs" / "review_list"
LINES = 5  # of the list that a person is taken to read
LARGE = 5_000  # accounts from which a quiet log counts by itself; smaller ones are only added up
PER_ACCOUNTS = 10_000
LABORATORY, OTHER = "laboratory", "second_generator"
# Worlds by half: generator, names, seeds, size. No seed is one that evals/other_worlds.py or evals/honest_worlds.py
# report on, or that the page of the evaluation shows.
WORLDS: dict[str, tuple[tuple[str, Sequence[str], Sequence[int], float], ...]] = {
    "choose": (
        (LABORATORY, numbered("s"), (1, 2, 3), 0.3),
        (LABORATORY, ("quiet_mixed",), range(5001, 5012, 2), 1.0),
        (LABORATORY, ("quiet_mixed",), (5013, 5015), 3.0),
        (LABORATORY, ("mixed",), (1, 2), 0.1),
        (OTHER, sorted(FAMILIES), (71, 72, 73, 74), 0.5),
        (OTHER, sorted(FAMILIES), (77,), 2.0),
        (OTHER, (QUIET,), range(71, 77), 1.0),
        (OTHER, (QUIET,), (82, 83, 84, 85), 3.5),
        (OTHER, (QUIET,), (81,), 8.0),
    ),
    "report": (
        (OTHER, (QUIET,), (86, 87, 88, 89), 3.5),
        (LABORATORY, ("quiet_mixed",), (5017, 5019, 5021, 5023), 1.0),
        (OTHER, sorted(FAMILIES), (75, 76), 0.5),
        (OTHER, sorted(FAMILIES), (78,), 2.0),
        (LABORATORY, ("mixed",), (3, 4), 0.1),
        (LABORATORY, numbered("s"), (4, 5), 0.3),
    ),
}
# Questions to which the truth is yes, by role of most accounts of a group. Campaigns and whoever is not named: none.
TRUE = {
    "university_class": ("class_or_event",),
    "hackathon": ("class_or_event",),
    "student": ("class_or_event",),
    "contest": ("class_or_event",),
    "marketing_wave": ("class_or_event",),
    "viral_prompt": ("class_or_event", "app_users"),
    "coding_agent": ("app_users",),
    "rag_app": ("app_users",),
    "app": ("app_users",),
    "agent_user": ("app_users",),
    "privacy_vpn": ("public_network",),
    "cheap_phone": ("public_network",),
    "enterprise": ("one_customer", "colleagues"),
    "newsroom": ("one_customer", "colleagues"),
    "red_team": ("one_customer", "colleagues", "benchmark_or_monitor"),
    "office": ("one_customer", "colleagues"),
    "shadow_it": ("colleagues",),
    "reseller": ("one_customer",),
    "quiet_reseller": ("one_customer",),
    "multi_provider_router": ("one_customer",),
    "batch_customer": ("one_customer",),
    "annotation_vendor": ("one_customer",),
    "synthetic_data_firm": ("one_customer",),
    "ci_fleet": ("one_customer", "benchmark_or_monitor"),
    "eval_lab": ("benchmark_or_monitor",),
    "evaluator": ("benchmark_or_monitor",),
    "drift_monitor": ("benchmark_or_monitor",),
    "small_monitors": ("benchmark_or_monitor",),
    "one_card_office": ("one_customer", "colleagues"),
    "key_pool": ("one_customer",),
    "agency": ("one_customer",),
    "returners": ("wrongly_banned",),
}
Run = dict[str, Any]


def main() -> int:
    """Scan the missing worlds of a half and print its figures."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--half", choices=sorted(WORLDS), default="report")
    parse.add_argument("--only", nargs="*", default=[], metavar="NAME", help="only worlds of these names")
    parse.add_argument("--out", type=Path, default=OUT)
    options = parse.parse_args()
    pa.set_cpu_count(1)
    options.out.mkdir(parents=True, exist_ok=True)
    source = fingerprint(Path(__file__), *sorted((Path(__file__).parent / "second_generator").glob("*.py")))
    runs = []
    for generator, name, seed, size in worlds(options.half):
        if not options.only or name in options.only:
            runs.append(kept(options.out, (generator, name, seed, size), source))
            print(len(runs), generator, name, seed, size, len(runs[-1]["groups"]), file=sys.stderr, flush=True)
    print(json.dumps(sums(runs), indent=1))
    return 0


def worlds(half: str) -> Iterator[tuple[str, str, int, float]]:
    """Generator, name, seed and size of every world of a half."""
    for generator, names, seeds, size in WORLDS[half]:
        yield from ((generator, name, seed, size) for seed in seeds for name in names)


def kept(out: Path, world: tuple[str, str, int, float], source: str) -> Run:
    """The run of a world, from the folder of kept runs where possible."""
    generator, name, seed, size = world
    place = out / f"{generator}-{name}-{seed}-{size:g}.json"
    if place.is_file():
        run: Run = json.loads(place.read_text(encoding="utf-8"))
        if run["source"] == source:
            return run
    run = {"source": source, "generator": generator, "name": name, "seed": seed, "size": size} | one(*world)
    draft = place.with_suffix(".part")
    draft.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    draft.replace(place)
    return run


def one(generator: str, name: str, seed: int, size: float) -> Run:
    """Generate a world and scan it: its groups in order with who is in them, and what the analyst had to answer."""
    home = Path(tempfile.mkdtemp(prefix="clonewatch-review-"))
    try:
        log, key = home / "log", home / "key"
        key.touch(mode=0o600)
        key.write_text(hashlib.sha256(f"{name} {seed}".encode()).hexdigest() + "\n", encoding="ascii")
        if generator == LABORATORY:
            simulate(name, log, seed=seed, scale=size)
        else:
            make(name, seed, size, log)
        found: list[Candidate] = []

        def examine(
            runner: StepRunner, intake: Intake, calibration: Calibration, timer: StageTimer, *_: Any, **chosen: Any
        ) -> ScanResult:
            settle(runner, intake.read)
            attributed = attribute(runner, detect(runner, chosen["seed"], calibration, timer), timer)
            found.extend(candidates(Dated(attributed, {}, {}), intake.ids))
            return ScanResult(None, {}, {})

        scan(ScanSettings(paths=(str(log),), key_file=key, threads=1), examine=examine)
        truth = read_truth(log)
    finally:
        shutil.rmtree(home)
    inside = [Counter(truth.role.get(account, "unknown") for account in one.accounts) for one in found]
    whose = [Counter(truth.members.get(account, "") for account in one.accounts) for one in found]
    standings = review(found)
    groups: list[Run] = [
        {
            "rank": standing.rank,
            "outcome": standing.outcome,
            "odds_bits": standing.odds_bits,
            "score": one.verdict.bits,
            "question": standing.question,
            "limiting": standing.limiting_criterion,
            "accounts": len(one.accounts),
            "purity": roles["member"] / max(1, len(one.accounts)),
            "campaign": next((c for c, _ in campaigns.most_common() if c), None),
            "role": roles.most_common(1)[0][0] if roles else "nobody",
        }
        for one, standing, roles, campaigns in zip(found, standings, inside, whose, strict=True)
    ]
    return {
        "accounts": len(truth.role),
        "campaigns": sorted(set(truth.members.values())),
        "groups": sorted(groups, key=itemgetter("rank")),
        "asked": analyst(found, [str(group["role"]) for group in groups]),
    }


def analyst(found: Sequence[Candidate], roles: Sequence[str]) -> dict[str, int]:
    """Questions that are answered until none is open, first to look at first, and what is left in review then."""
    answers: list[Answer] = []
    while True:
        standings = review(found, answers)
        waiting = [i for i, s in enumerate(standings) if s.outcome == REVIEW and s.question]
        if not waiting:
            return {"questions": len(answers), "left": sum(s.outcome == REVIEW for s in standings)}
        first = min(waiting, key=lambda i: standings[i].rank)
        answers.append(_answered(standings[first], found[first], roles[first]))


def _answered(standing: Standing, group: Candidate, role: str) -> Answer:
    question = str(standing.question)
    return Answer(question, question in TRUE.get(role, ()), group.accounts, "", "", "", "")


def sums(runs: Sequence[Run]) -> dict[str, Any]:
    """The figures of a half: about campaigns, about quiet logs, and about the questions."""
    attacked, quiet = ([r for r in runs if bool(r["campaigns"]) == with_one] for with_one in (True, False))
    honest = [(r, [g for g in r["groups"] if g["outcome"] == REVIEW and g["purity"] < 1 - FOUND_PURITY]) for r in runs]
    large = [len(groups) for r, groups in honest if not r["campaigns"] and r["accounts"] >= LARGE]
    accounts = sum(r["accounts"] for r in quiet)
    return {
        "campaigns": {
            generator: _campaigns([r for r in attacked if r["generator"] == generator])
            for generator in (LABORATORY, OTHER)
        },
        "quiet": {
            "logs": len(quiet),
            "accounts": accounts,
            "groups": sum(len(r["groups"]) for r in quiet),
            "honest_for_review": sum(len(groups) for r, groups in honest if not r["campaigns"]),
            "per_10000_accounts": round(
                PER_ACCOUNTS * sum(len(g) for r, g in honest if not r["campaigns"]) / max(1, accounts), 2
            ),
            "large_logs": sorted(large, reverse=True),
            "flagged": sum(g["outcome"] == FLAGGED for r in quiet for g in r["groups"]),
            "questions": sorted((r["asked"]["questions"] for r in quiet), reverse=True),
            "left": sum(r["asked"]["left"] for r in quiet),
        },
        "attacked": {
            "logs": len(attacked),
            "honest_for_review": sum(len(groups) for r, groups in honest if r["campaigns"]),
            "questions": sum(r["asked"]["questions"] for r in attacked),
            "most_questions": max((r["asked"]["questions"] for r in attacked), default=0),
        },
        "pairs_in_order": {name: _in_order(runs, name) for name in ("odds_bits", "score")},
        "first_question_settles": _settled([g for _, groups in honest for g in groups]),
    }


def _campaigns(runs: Sequence[Run]) -> dict[str, Any]:
    """Where the purest group of every campaign stands. In the first line: among as many lines as the log has campaigns.

    by_score: the same in the order before there was a review, flagged ones first and then by score.
    """
    count: Counter[str] = Counter()
    for run in runs:
        scored = sorted(run["groups"], key=lambda g: (g["outcome"] != FLAGGED, -g["score"]))
        for campaign in run["campaigns"]:
            count["campaigns"] += 1
            mine = [g for g in run["groups"] if g["campaign"] == campaign and g["purity"] >= FOUND_PURITY]
            if not mine:
                count["no_pure_group"] += 1
                continue
            rank, before = mine[0]["rank"], min(scored.index(g) for g in mine) + 1
            outcome = FLAGGED if any(g["outcome"] == FLAGGED for g in mine) else mine[0]["outcome"]
            count[outcome] += 1
            count["first_line"] += rank <= len(run["campaigns"])
            count["first_five"] += rank <= LINES
            count["by_score_first_line"] += before <= len(run["campaigns"])
            count["by_score_first_five"] += before <= LINES
    return dict(count)


def _in_order(runs: Sequence[Run], column: str) -> float | None:
    """Share of pairs of an unflagged campaign's pure group and an honest group, of any log, that the column orders."""
    unflagged = [g for r in runs for g in r["groups"] if g["outcome"] != FLAGGED]
    ours = np.array([g[column] for g in unflagged if g["purity"] >= FOUND_PURITY])
    honest = np.array([g[column] for g in unflagged if g["purity"] < 1 - FOUND_PURITY])
    if not len(ours) or not len(honest):
        return None
    gap = ours[:, None] - honest
    return round(float((gap > 0).mean() + 0.5 * (gap == 0).mean()), 3)


def _settled(groups: Sequence[Run]) -> str:
    """Of honest groups for review, how many the first question settles with a yes."""
    return f"{sum(g['question'] in TRUE.get(g['role'], ()) for g in groups)} of {len(groups)}"


if __name__ == "__main__":
    sys.exit(main())
