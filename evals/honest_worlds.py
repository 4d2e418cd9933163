"""The calibration that ships with the package: linked groups of many simulated logs without an attack.

    python -m evals.honest_worlds --worlds 300 --jobs 2 --write src/clonewatch/campaigns/calibration_groups.json

Every world has its own mix of people and look-alikes and its own size. Worlds of even seeds come from the laboratory
(scenario `quiet_mixed`), worlds of odd seeds from `evals.second_generator`. Each is scanned as it is, and again without
any trusted account. Seeds 5000 and up are reserved for this: logs that test the result must not use them. Finished
worlds are kept, so an interrupted run resumes.
"""

import argparse
import json
import shutil
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from clonewatch import __version__
from clonewatch.campaigns.calibration import Calibration, Group
from clonewatch.lab.simulate import simulate
from clonewatch.pipeline.scan import ScanSettings, scan
from evals.other_worlds import QUIET, make

FIRST_SEED = 5000
SCALES = {"laboratory": (0.1, 0.7), "second_generator": (0.3, 1.2)}
FOLDER = Path(__file__).parent / "runs" / "honest_worlds"
RESULTS = Path(__file__).parent / "results" / "honest_worlds.json"


def main() -> int:
    """Run the missing worlds and write the calibration of all."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--worlds", type=int, default=300)
    parse.add_argument("--jobs", type=int, default=2)
    parse.add_argument("--out", type=Path, default=FOLDER)
    parse.add_argument("--write", type=Path, required=True, metavar="FILE")
    options = parse.parse_args()
    for folder in (options.out, RESULTS.parent):
        folder.mkdir(parents=True, exist_ok=True)
    seeds = range(FIRST_SEED, FIRST_SEED + options.worlds)
    with ProcessPoolExecutor(options.jobs) as pool:
        for done, _ in enumerate(pool.map(partial(world, folder=options.out), seeds), 1):
            print(f"{done}/{options.worlds}", end="\r", file=sys.stderr, flush=True)
    kept = [json.loads((options.out / f"{seed}.json").read_text(encoding="utf-8")) for seed in seeds]
    groups = [Group(*row) for one in kept for row in one["groups"]]
    made = Calibration(groups, len(kept), "simulated worlds without an attack")
    about = {"version": __version__, "seeds": [seeds[0], seeds[-1]], "scales": SCALES}
    made.write(options.write, about)
    by_generator = {name: [row for one in kept if one["made"] == name for row in one["groups"]] for name in SCALES}
    RESULTS.write_text(json.dumps(about | {"worlds": len(kept), "groups": by_generator}) + "\n", encoding="utf-8")
    print(json.dumps(made.describe(), indent=1))
    return 0


def world(seed: int, folder: Path) -> None:
    """Simulate one world and keep the linked groups of both scans."""
    place = folder / f"{seed}.json"
    if place.is_file():
        return
    made = list(SCALES)[seed % 2]
    scale = float(np.exp(np.random.default_rng(seed).uniform(*np.log(SCALES[made]))))
    home = Path(tempfile.mkdtemp(prefix="clonewatch-world-"))
    try:
        log, key = home / "log", home / "key"
        key.touch(mode=0o600)
        key.write_text(f"{seed:064x}\n", encoding="ascii")
        if made == "laboratory":
            simulate("quiet_mixed", log, seed=seed, scale=scale)
        else:
            make(QUIET, seed, scale, log)
        settings = ScanSettings(paths=(str(log),), key_file=key, threads=1)
        rows = scan(settings).summary["linked_groups"]
        facts = pq.read_table(log / "accounts.parquet")
        pq.write_table(facts.drop_columns(["anchor"]), log / "accounts.parquet")
        rows = rows + scan(settings).summary["linked_groups"]
    finally:
        shutil.rmtree(home)
    draft = place.with_suffix(".part")
    draft.write_text(json.dumps({"made": made, "scale": scale, "groups": rows}) + "\n", encoding="utf-8")
    draft.replace(place)


if __name__ == "__main__":
    sys.exit(main())
