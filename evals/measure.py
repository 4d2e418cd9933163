"""Runs one job: generates a log, scans it, and records what was found, what was missed, and who was wrongly flagged.

    python -m evals.measure '{"kind": "scan", "scenario": "s01_shared_cards", "seed": 1, "scale": 0.3}' result.json

The log and the scan are removed afterwards.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clonewatch.lab.evaluate import FOUND_PURITY, FOUND_SHARE, Truth, evaluate, read_truth
from clonewatch.lab.simulate import simulate
from evals.jobs import Job, Record, run_scan
from evals.oracles import rivalled

# Roles of a group that count as flagged; customers of a proxy are reported, but not flagged.
_FLAGGED_ROLES = ("core", "fringe")
# Columns of campaigns that a threshold can be set on: the total evidence, and the limiting criterion.
THRESHOLD_COLUMNS = ("score", "threshold_ratio")
# Days after the start of the log at which a replayed log is scanned, until the campaign is found.
_LADDER = (0.125, 0.25, 0.375, 0.5, 1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 17, 21, 25, 30, 37, 44)
_DAY = 86_400_000_000


class Harvest(NamedTuple):
    """The truly harvested exchanges of a log: campaign, account and time (microseconds since the epoch) of each."""

    campaign: NDArray[Any]
    account: NDArray[Any]
    ts: NDArray[np.int64]


def main(arguments: list[str]) -> int:
    """Run the job given by the first argument and write its result to the file given by the second."""
    job, out = Job(**json.loads(arguments[0])), Path(arguments[1])
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory(prefix="clonewatch-eval-") as scratch:
        folder = Path(scratch)
        made = simulate(job.scenario, folder / "log", seed=job.seed, scale=job.scale)
        if job.kind == "scan":
            found = scanned(job, folder, made)
        elif job.kind == "replay":
            found = replayed(job, folder, made)
        else:
            found = rivalled(job, folder)
    about = {"days": made["days"], "accounts": made["accounts"], "exchanges": made["exchanges"]}
    out.write_text(json.dumps(job.as_dict() | {"log": about} | found, default=str), encoding="utf-8")
    return 0


def scanned(job: Job, folder: Path, made: Record) -> Record:
    """Scan and score: the scores, every reported group, the frontier, and what each campaign spent."""
    began = time.process_time()
    result = run_scan(job, folder)
    cost = {"cpu_seconds": round(time.process_time() - began, 2), "peak_memory_mb": result.summary["peak_memory_mb"]}
    truth, harvest = read_truth(folder / "log"), read_harvest(folder / "log")
    groups = candidates(result.tables, truth)
    return {
        "scores": evaluate(folder / "scan", folder / "log"),
        "candidates": groups,
        "cost": cost,
        "curve": frontier(groups, result.tables, truth, harvest),
        "effort": effort(folder / "log", truth, harvest),
        "knobs": {k: v for k, v in made["knobs"].items() if k.rpartition(".")[2] in ("cover", "rate", "rollouts")},
    }


def replayed(job: Job, folder: Path, made: Record) -> Record:
    """Scan the log as of increasing times until the campaign is found; what share of the harvest was sent by then."""
    truth, harvest = read_truth(folder / "log"), read_harvest(folder / "log")
    first = int(pc.min(pq.read_table(folder / "log" / "exchanges", columns=["ts"])["ts"]).cast(pa.int64()).as_py())
    start = first // _DAY * _DAY
    steps: list[Record] = []
    for day in [*(day for day in _LADDER if day < made["days"]), made["days"]]:
        moment = start + int(day * _DAY)
        result = run_scan(
            job, folder, out=f"scan-{day:g}", as_of=datetime.fromtimestamp(0, UTC) + timedelta(microseconds=moment)
        )
        groups = candidates(result.tables, truth)
        alarms = [g for g in groups if g["flagged"]]
        # Only accounts that had harvested by then count.
        acting = len(np.unique(harvest.account[harvest.ts < moment]))
        found = any(g["purity"] >= FOUND_PURITY and g["members"] >= FOUND_SHARE * max(1, acting) for g in alarms)
        false = sum(g["purity"] < FOUND_SHARE for g in alarms)
        leaked = float((harvest.ts < moment).mean())
        steps.append(
            {
                "day": day,
                "leaked": leaked,
                "alarms": len(alarms),
                "false_alarms": false,
                "found": found,
                "honest_accused": sum(sum(g["honest"].values()) for g in alarms),
            }
        )
        if found:
            break
    return {"steps": steps}


def read_harvest(log: Path) -> Harvest:
    """What was truly harvested, from the labels and the log."""
    labels = pq.read_table(log / "labels" / "exchanges.parquet")
    table = pq.read_table(log / "exchanges", columns=["exchange_id", "account_id", "ts"])
    place = pc.index_in(table["exchange_id"], value_set=labels["exchange_id"].combine_chunks())
    taken = table.filter(pc.is_valid(place))
    campaign = labels["campaign_id"].combine_chunks().take(pc.drop_null(place.combine_chunks()))
    return Harvest(
        np.array(campaign.to_pylist(), object),
        np.array(taken["account_id"].to_pylist(), object),
        taken["ts"].cast(pa.int64()).to_numpy(),
    )


def candidates(tables: dict[str, pa.Table], truth: Truth) -> list[Record]:
    """Every group that the scan reported, flagged or not, with its scalar columns and its true members.

    purity: share of accounts of one true campaign. honest: number of all other accounts, by role.
    """
    inside = _flaggable(tables["members"])
    members = truth.members
    found = []
    for row in tables["campaigns"].to_pylist():
        accounts = sorted(a for a in inside.get(row["campaign_id"], set()) if a in truth.campaign)
        own: dict[str, int] = {}
        honest: dict[str, int] = {}
        for account in accounts:
            counts, name = (own, members[account]) if account in members else (honest, truth.role[account])
            counts[name] = counts.get(name, 0) + 1
        leading = max(sorted(own), key=lambda name: own[name], default=None)
        plain = {k: v for k, v in row.items() if v is None or isinstance(v, bool | int | float | str)}
        found.append(
            plain
            | {
                "visible_ts": None if row["visible_ts"] is None else round(row["visible_ts"].timestamp() * 1e6),
                "campaign": leading,
                "members": own.get(leading, 0) if leading else 0,
                "honest": honest,
                "purity": own.get(leading, 0) / len(accounts) if leading else 0.0,
            }
        )
    return found


def frontier(groups: list[Record], tables: dict[str, pa.Table], truth: Truth, harvest: Harvest) -> Record:
    """What acting on every group above a threshold, on its score or its threshold ratio, would have stopped and hit.

    One point per threshold, highest first: the share of every campaign's harvest that was not stopped (sent before the
    group became visible, or by accounts outside it), and the honest accounts acted on so far. `flagged` is the same for
    the groups that the scan flags. A group without a time at which it became visible stops nothing.
    """
    inside = _flaggable(tables["members"])
    names = sorted(set(truth.members.values()))

    def act(group: Record, stopped: NDArray[np.bool_], hit: set[str]) -> None:
        accounts = inside.get(group["campaign_id"], set())
        hit |= {a for a in accounts if a in truth.campaign and a not in truth.members}
        if group["visible_ts"] is not None and len(stopped):
            stopped |= np.isin(harvest.account, sorted(accounts)) & (harvest.ts >= group["visible_ts"])

    def leaked(stopped: NDArray[np.bool_]) -> dict[str, float]:
        return {name: round(1 - float(stopped[harvest.campaign == name].mean()), 6) for name in names}

    by: dict[str, list[Record]] = {}
    for column in (name for name in THRESHOLD_COLUMNS if name in tables["campaigns"].column_names):
        stopped, hit, by[column] = np.zeros(len(harvest.ts), bool), set[str](), []
        for group in sorted(groups, key=lambda g: (-g[column], g["campaign_id"])):
            act(group, stopped, hit)
            by[column].append({"at": group[column], "leaked": leaked(stopped), "honest": len(hit)})
    stopped, hit = np.zeros(len(harvest.ts), bool), set()
    for group in groups:
        if group["flagged"]:
            act(group, stopped, hit)
    return {
        "campaigns": names,
        "honest_accounts": len(truth.campaign) - len(truth.members),
        "by": by,
        "flagged": {"leaked": leaked(stopped), "honest": len(hit)},
    }


def effort(log: Path, truth: Truth, harvest: Harvest) -> dict[str, Record]:
    """What each campaign spent: accounts, their exchanges, how many of those were harvest, and the days it lasted."""
    sent = pq.read_table(log / "exchanges", columns=["account_id"])["account_id"].value_counts()
    count = dict(zip(sent.field("values").to_pylist(), sent.field("counts").to_pylist(), strict=True))
    found: dict[str, Record] = {}
    for name in sorted(set(truth.members.values())):
        accounts = [a for a, c in truth.members.items() if c == name]
        own = harvest.campaign == name
        found[name] = {
            "accounts": len(accounts),
            "exchanges": sum(count.get(a, 0) for a in accounts),
            "harvested": int(own.sum()),
            "days": float((harvest.ts[own].max() - harvest.ts[own].min()) / _DAY) if own.any() else 0.0,
        }
    return found


def _flaggable(members: pa.Table) -> dict[str, set[str]]:
    """Accounts of every group, without its proxy customers."""
    found: dict[str, set[str]] = {}
    columns = (members[name].to_pylist() for name in ("campaign_id", "account_id", "role"))
    for campaign, account, role in zip(*columns, strict=True):
        if role in _FLAGGED_ROLES:
            found.setdefault(campaign, set()).add(account)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
