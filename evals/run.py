"""The evaluation in one command: runs the jobs that are missing, summarises them, and writes the page.

    python -m evals.run small            # a quarter of an hour on two cores
    python -m evals.run full             # hours; repeat the command to resume after a stop
    python -m evals.run full --only quiet rivals
    python -m evals.run full --no-run    # summarise what is there

Results of single runs are stored in evals/runs/house, summaries in evals/results; the page is docs/evaluation.md. A
result is kept until the source that it depends on changes.
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


def main(arguments: list[str] | None = None) -> int:
    """Run, summarise, write the page; 1 if a job failed."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("size", choices=SIZES)
    parse.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="jobs in parallel")
    parse.add_argument(
        "--only", nargs="+", metavar="SET", help="run only these sets; the page still covers every finished set"
    )
    parse.add_argument("--no-run", action="store_true", help="run nothing; summarise finished jobs")
    parse.add_argument(
        "--stale", action="store_true", help="also use results of other source versions (the page lists them)"
    )
    parse.add_argument(
        "--develop", action="store_true", help="use the development seeds; write to evals/runs/develop, not the page"
    )
    options = parse.parse_args(arguments)
    sets = plan(options.size, develop=options.develop)
    unknown = sorted(set(options.only or ()) - set(sets))
    if unknown:
        parse.error(f"no set {', '.join(unknown)}; there are {', '.join(sets)}")
    folder = RUNS / ("develop" if options.develop else "house")
    broken = []
    if not options.no_run:
        jobs = [job for name, of_set in sets.items() if not options.only or name in options.only for job in of_set]
        broken = run(jobs, folder, workers=options.jobs, say=_say)
    marks = {kind: fingerprint(kind) for kind in ("scan", "rivals", "replay")}
    done: dict[str, list[dict[str, Any]]] = {
        name: [r for job in of_set if (r := kept(job, folder, None if options.stale else marks[job.kind])) is not None]
        for name, of_set in sets.items()
    }
    summary = summarise(options.size, done, wanted={name: len(of_set) for name, of_set in sets.items()})
    results = folder / "results" if options.develop else RESULTS
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{options.size}.json").write_text(json.dumps(summary) + "\n", encoding="utf-8")
    for name in page.STUDIES:
        if (RUNS / f"{name}.md").is_file():
            shutil.copyfile(RUNS / f"{name}.md", results / f"{name}.md")
    where = page.write(results, folder / "page.md", folder) if options.develop else page.write(results)
    _say(f"page: {where}")
    for job, said in broken:
        _say(f"BROKEN {job.name}:\n{said}")
    return 1 if broken else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
