"""The evaluation in one command: does what is not done yet, sums up, and writes the page.

    python -m evals.run small            # a quarter of an hour on two cores
    python -m evals.run full             # hours; go on with the same words after a stop
    python -m evals.run full --only quiet rivals
    python -m evals.run full --no-run    # sum up what is there

Results of single runs lie in evals/runs/house, sums in evals/results, the page is docs/evaluation.md. A result is kept
as long as the source it rests on stays the same.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from evals import page
from evals.jobs import SIZES, plan
from evals.runner import fingerprint, kept, run
from evals.summary import summarise

HERE = Path(__file__).resolve().parent
RUNS, RESULTS = HERE / "runs", HERE / "results"


def main(words: list[str] | None = None) -> int:
    """Run, sum up, write the page; 1 when a job broke."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("size", choices=SIZES)
    parse.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="jobs side by side")
    parse.add_argument("--only", nargs="+", metavar="SET", help="run these sets; the page still holds all that is done")
    parse.add_argument("--no-run", action="store_true", help="sum up what is done")
    parse.add_argument("--stale", action="store_true", help="sum up results of another source too (says which)")
    parse.add_argument(
        "--develop", action="store_true", help="seeds for building; writes to evals/runs/develop, not the page"
    )
    asked = parse.parse_args(words)
    sets = plan(asked.size, develop=asked.develop)
    strange = sorted(set(asked.only or ()) - set(sets))
    if strange:
        parse.error(f"no set {', '.join(strange)}; there are {', '.join(sets)}")
    folder = RUNS / ("develop" if asked.develop else "house")
    broken = []
    if not asked.no_run:
        jobs = [job for name, held in sets.items() if not asked.only or name in asked.only for job in held]
        broken = run(jobs, folder, workers=asked.jobs, say=_say)
    marks = {kind: fingerprint(kind) for kind in ("scan", "rivals", "replay")}
    done: dict[str, list[dict[str, Any]]] = {
        name: [r for job in held if (r := kept(job, folder, None if asked.stale else marks[job.kind])) is not None]
        for name, held in sets.items()
    }
    summary = summarise(asked.size, done, wanted={name: len(held) for name, held in sets.items()})
    results = folder / "results" if asked.develop else RESULTS
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{asked.size}.json").write_text(json.dumps(summary) + "\n", encoding="utf-8")
    for name in page.STUDIES:
        if (RUNS / f"{name}.md").is_file():
            shutil.copyfile(RUNS / f"{name}.md", results / f"{name}.md")
    where = page.write(results, folder / "page.md", folder) if asked.develop else page.write(results)
    _say(f"page: {where}")
    for job, said in broken:
        _say(f"BROKEN {job.name}:\n{said}")
    return 1 if broken else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
