"""How large a campaign has to be to be found: drawn campaigns of every size and rate, on logs that lack this and that.

    python -m evals.power [--worlds 300] [--jobs 2] [--out FOLDER]

Every world draws a kind of campaign, its accounts and its requests per account and day, an honest crowd, and what the
log lacks. A logistic model then gives the chance of being flagged, and of being flagged or among the first five lines,
by size, rate and gaps. It needs some hundreds of worlds before it says anything. Seeds 9000 and up are reserved for
this. Finished worlds are kept, so an interrupted run resumes.
"""

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from math import exp, log2
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from clonewatch import __version__
from clonewatch.lab.evaluate import FOUND_PURITY, FOUND_SHARE, Truth, read_truth
from clonewatch.lab.scenarios import Scenario, plans
from clonewatch.lab.simulate import simulate
from clonewatch.pipeline.scan import ScanSettings, scan
from clonewatch.pipeline.scan_result import ScanResult
from evals.jobs import numbered

HERE = Path(__file__).parent
MODEL = HERE.parent / "src" / "clonewatch" / "campaigns" / "power.json"
FIRST_SEED, LINES = 9000, 5
# Half of the logs are complete; in the others each of these lacks with this chance.
COMPLETE, ABSENT = 0.5, 0.3
ACCOUNTS, RATE = (8, 300), (1, 30)
# Of the log of the honest crowd's usual size.
CROWD = 0.15
# The strength of the prior that draws coefficients to 0: of one world's worth.
_PRIOR = 0.5
_FOLDS = 5
SHOWN_ACCOUNTS, SHOWN_RATES = (20, 40, 80, 150, 300), (2, 6, 20)
# What a log may lack, by the names of `lab.gaps`.
GAPS = ("trusted", "payment", "device", "network", "client", "elicitation", "content")
# A campaign is called visible from this chance on.
USUAL = 0.8
_MOST_ACCOUNTS = 300  # of a campaign in the worlds that the model learned from
Run = dict[str, Any]


def main() -> int:
    """Run the missing worlds; write the model and the page."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--worlds", type=int, default=300)
    parse.add_argument("--jobs", type=int, default=2)
    parse.add_argument("--out", type=Path, default=HERE / "runs" / "power")
    parse.add_argument("--write", type=Path, default=MODEL, metavar="FILE")
    parse.add_argument("--page", type=Path, default=HERE / "results" / "power.md")
    options = parse.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    seeds = range(FIRST_SEED, FIRST_SEED + options.worlds)
    with ProcessPoolExecutor(options.jobs) as pool:
        runs = []
        for run in pool.map(partial(kept, folder=options.out), seeds):
            runs.append(run)
            print(f"{len(runs)}/{options.worlds}", end="\r", file=sys.stderr, flush=True)
    made = {name: fit(runs, name) for name in ("flagged", "listed")}
    about = {"version": __version__, "worlds": len(runs), "seeds": [seeds[0], seeds[-1]]}
    options.write.write_text(json.dumps({"about": about} | made, indent=1) + "\n", encoding="utf-8")
    options.page.write_text(report(runs, Power(made["flagged"], made["listed"], about)), encoding="utf-8")
    return 0


def kept(seed: int, folder: Path) -> Run:
    """The run of a world, from the folder of kept runs where possible."""
    place = folder / f"{seed}.json"
    if not place.is_file():
        draft = place.with_suffix(".part")
        draft.write_text(json.dumps(world(seed)) + "\n", encoding="utf-8")
        draft.replace(place)
    run: Run = json.loads(place.read_text(encoding="utf-8"))
    return run


def world(seed: int) -> Run:
    """Draw a world, scan it, and see whether its campaign is flagged, and among the first lines."""
    rng = np.random.default_rng(seed)
    family = str(rng.choice([name for name in numbered("s") + numbered("n") if name in plans()]))
    wanted = float(np.exp(rng.uniform(*np.log(ACCOUNTS)))) / CROWD
    rate = float(np.exp(rng.uniform(*np.log(RATE))))
    complete = rng.random() < COMPLETE
    without = () if complete else tuple(name for name in GAPS if rng.random() < ABSENT)
    pool = (("accounts", (wanted, wanted)), ("rate", (rate, rate)))
    scenario = Scenario("", (("pool", family),), drawn=True, pool=pool)
    home = Path(tempfile.mkdtemp(prefix="clonewatch-power-"))
    try:
        log, key = home / "log", home / "key"
        key.touch(mode=0o600)
        key.write_text(hashlib.sha256(f"power {seed}".encode()).hexdigest() + "\n", encoding="ascii")
        said = simulate("power", log, seed=seed, scale=CROWD, without=without, known={"power": scenario})
        found = scan(ScanSettings((str(log),), key_file=key, threads=1))
        truth = read_truth(log)
    finally:
        shutil.rmtree(home)
    pooled, days = said["campaigns"]["pool"], said["days"]
    # Accounts that were banned and replaced count once each; how much each asks is what it asked in the whole window.
    accounts = max(1, pooled["accounts"])
    return {
        "seed": seed,
        "family": family,
        "log": said["accounts"],
        "accounts": accounts,
        "per_day": said["exchanges_by_role"]["member"] / accounts / days,
        "harvested": pooled["harvested"],
        "without": list(without),
    } | outcome(found, truth)


def outcome(found: ScanResult, truth: Truth) -> Run:
    """Whether a group of purity 0.8 that holds half of the campaign is flagged, or stands among the first lines."""
    inside: defaultdict[str, Counter[bool]] = defaultdict(Counter)
    for member in found.members.to_pylist():
        if member["role"] != "proxy_customer":
            inside[member["campaign_id"]][member["account_id"] in truth.members] += 1
    flagged = listed = False
    for group in found.campaigns.to_pylist():
        held = inside[group["campaign_id"]]
        ours = held[True] >= max(FOUND_PURITY * held.total(), FOUND_SHARE * len(truth.members), 1)
        flagged |= ours and group["flagged"]
        listed |= ours and (group["flagged"] or group["rank"] <= LINES)
    honest = sum(held[False] for name, held in inside.items() if name in _flagged(found))
    return {"flagged": flagged, "listed": listed, "honest_flagged": honest}


def _flagged(found: ScanResult) -> set[str]:
    return set(found.flagged["campaign_id"].to_pylist())


def features(accounts: float, per_day: float, without: Collection[str]) -> dict[str, float]:
    """What the model looks at, by name. accounts: of the campaign. per_day: requests per account and day.

    >>> features(64, 8, ["payment"])["accounts"], features(64, 8, ["payment"])["without payment"]
    (6.0, 1.0)
    """
    size, rate = log2(max(1.0, accounts)), log2(max(1 / 16, per_day))
    return {"constant": 1.0, "accounts": size, "per_day": rate} | {
        f"without {name}": float(name in without) for name in GAPS
    }


class Power(NamedTuple):
    """Coefficients of the two outcomes by feature, and what the model was made from."""

    flagged: Mapping[str, float]
    listed: Mapping[str, float]
    about: Mapping[str, Any]

    def chances(self, accounts: float, per_day: float, without: Collection[str]) -> tuple[float, float]:
        """The chances, 0..1, that a campaign is flagged, and that it is flagged or among the first five groups."""
        seen = features(accounts, per_day, without)
        flagged, listed = (
            1 / (1 + exp(-sum(model.get(name, 0.0) * value for name, value in seen.items())))
            for model in (self.flagged, self.listed)
        )
        # The two are fitted apart; whatever is flagged is listed.
        return flagged, max(flagged, listed)

    def smallest(self, per_day: float, without: Collection[str], outcome: str = "flagged") -> int | None:
        """The smallest number of accounts of a campaign that is usually found; None where even a large one is not."""
        which = ("flagged", "listed").index(outcome)
        for accounts in range(2, _MOST_ACCOUNTS + 1):
            if self.chances(accounts, per_day, without)[which] >= USUAL:
                return accounts
        return None


def fit(runs: Sequence[Run], outcome: str) -> dict[str, float]:
    """Coefficients of a logistic model by feature, drawn a little to 0."""
    x, y = _design(runs), np.array([run[outcome] for run in runs], float)
    names = list(features(1, 1, ()))

    def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        score = x @ w
        p = 1 / (1 + np.exp(-score))
        prior = np.array([name != "constant" for name in names], float)
        nats = float((np.logaddexp(0, score) - y * score).sum() + _PRIOR / 2 * (prior * w * w).sum())
        return nats, x.T @ (p - y) + _PRIOR * prior * w

    found = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x
    return {name: round(float(w), 4) for name, w in zip(names, found, strict=True)}


def _design(runs: Sequence[Run]) -> NDArray[np.float64]:
    return np.array([list(features(r["accounts"], r["per_day"], r["without"]).values()) for r in runs])


def out_of_fold(runs: Sequence[Run], outcome: str) -> NDArray[np.float64]:
    """For every world the chance by a model that did not see it."""
    chances = np.empty(len(runs))
    for fold in range(_FOLDS):
        learned = fit([run for i, run in enumerate(runs) if i % _FOLDS != fold], outcome)
        held = [i for i in range(len(runs)) if i % _FOLDS == fold]
        score = _design([runs[i] for i in held]) @ np.array(list(learned.values()))
        chances[held] = 1 / (1 + np.exp(-score))
    return chances


def report(runs: Sequence[Run], power: Power) -> str:
    """The page: the tables of chances, the smallest campaign found in 8 of 10 logs, and how far the model holds."""
    lines = [
        "## Power: how large a campaign has to be",
        "",
        f"{len(runs)} drawn worlds of the laboratory (seeds {runs[0]['seed']} to {runs[-1]['seed']}), one campaign"
        " each: a drawn kind, 8 to 300 accounts, 1 to 30 requests per account and day, 30 to 44 days, among some 150 to"
        " 1,300 honest accounts with look-alikes; half of the logs lack something. `python -m evals.power` makes this"
        " page. Chance of being flagged, and of being flagged or among the first five lines, by a logistic model of the"
        " outcomes.",
        "",
        f"Honest accounts flagged in these logs: {sum(r['honest_flagged'] for r in runs)}"
        f" of {sum(r['log'] - r['accounts'] for r in runs):,}.",
        "",
        "| Accounts | " + " | ".join(f"{rate} a day" for rate in SHOWN_RATES) + " |",
        "|---|" + "---|" * len(SHOWN_RATES),
    ]
    for accounts in SHOWN_ACCOUNTS:
        cells = (power.chances(accounts, rate, ()) for rate in SHOWN_RATES)
        lines.append(f"| {accounts} | " + " | ".join(f"{100 * f:.0f} %, {100 * b:.0f} %" for f, b in cells) + " |")
    lines += [
        "",
        "Smallest number of accounts flagged, and flagged or listed, in 8 of 10 logs, at"
        f" {SHOWN_RATES[1]} requests per account and day:",
        "",
        "| The log lacks | Flagged | Flagged or listed | Worlds |",
        "|---|---|---|---|",
    ]
    for gap in ((), *((name,) for name in GAPS)):
        smallest = (power.smallest(SHOWN_RATES[1], gap, outcome) for outcome in ("flagged", "listed"))
        worlds = sum(set(r["without"]) == set() if not gap else gap[0] in r["without"] for r in runs)
        said = " | ".join("-" if least is None else f"{least:,}" for least in smallest)
        lines.append(f"| {', '.join(gap) or 'nothing'} | {said} | {worlds} |")
    lines += ["", "How far the model holds, on worlds that it did not see (five folds):", ""]
    lines += ["| Predicted | Worlds | Flagged | Predicted | Worlds | Flagged or listed |", "|---|---|---|---|---|---|"]
    halves = [_reliability(runs, outcome) for outcome in ("flagged", "listed")]
    lines += [f"| {' | '.join((*a, *b))} |" for a, b in zip(*halves, strict=True)]
    return "\n".join([*lines, "", *_by_family(runs)]) + "\n"


def _reliability(runs: Sequence[Run], outcome: str) -> list[tuple[str, str, str]]:
    chances = out_of_fold(runs, outcome)
    seen = np.array([run[outcome] for run in runs])
    rows = []
    for low, high in ((0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.01)):
        inside = (chances >= low) & (chances < high)
        share = f"{100 * seen[inside].mean():.0f} %" if inside.any() else "-"
        rows.append((f"{100 * low:.0f} to {min(100, 100 * high):.0f} %", str(int(inside.sum())), share))
    return rows


def _by_family(runs: Sequence[Run]) -> list[str]:
    """Outcomes by kind of campaign, over all sizes and gaps."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for run in runs:
        counts[run["family"]].update(worlds=1, flagged=run["flagged"], listed=run["listed"])
    return [
        "By kind, over all sizes and gaps:",
        "",
        "| Kind | Worlds | Flagged | Flagged or listed |",
        "|---|---|---|---|",
        *(f"| `{n}` | {c['worlds']} | {c['flagged']} | {c['listed']} |" for n, c in sorted(counts.items())),
    ]


if __name__ == "__main__":
    sys.exit(main())
