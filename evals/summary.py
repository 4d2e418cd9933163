"""Summary of kept runs: everything that the page states, in one small file that is versioned with the source."""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from scipy.stats import kstest

from clonewatch.lab.evaluate import ATTRIBUTED, FOUND_PURITY, FOUND_SHARE
from evals.intervals import precision_at
from evals.jobs import Job
from evals.runner import ENGINES

Record = dict[str, Any]
RATES = (1e-2, 1e-3, 1e-4)  # shares of honest accounts flagged at which recall is reported
BASES = (1e-3, 1e-4, 1e-5)  # shares of members among all accounts of a provider
# Group sizes in accounts, [from, below): the classes in which calibration is checked.
CLASSES = ((0, 12), (12, 30), (30, 1_000_000))
_THRESHOLDS = 80  # points of the frontier
_MONTH = 30.0  # days


def summarise(size: str, sets: Mapping[str, Sequence[Record]], *, wanted: Mapping[str, int]) -> Record:
    """Everything that the page is built from. sets: runs by set. wanted: how many runs each set should have."""
    large = list(sets.get("large", ()))
    scans = unique([*sets["campaigns"], *sets["mimic"], *large])
    quiet = list(sets["quiet"])
    return {
        "size": size,
        "made": {
            "clonewatch": version("clonewatch"),
            "python": platform.python_version(),
            "engines": {name: version(name) for name in ENGINES},
            "source": {
                kind: sorted({r["source"] for runs in sets.values() for r in runs if r["kind"] == kind})
                for kind in ("scan", "rivals", "replay")
            },
            "runs": {name: [len(runs), wanted[name]] for name, runs in sets.items()},
            "cpu_seconds_of_scans": round(sum(r["cost"]["cpu_seconds"] for r in [*scans, *quiet])),
        },
        "criteria": {"share": FOUND_SHARE, "purity": FOUND_PURITY, "posterior": ATTRIBUTED},
        "campaigns": [row(run) for run in sets["campaigns"]],
        "mimic": [row(run) for run in sets["mimic"]],
        "quiet": [row(run) for run in quiet],
        "large": [row(run) for run in large],
        "roles": roles([*scans, *quiet]),
        "calibration": calibration(quiet),
        "frontier": frontier([*unique(sets["campaigns"]), *quiet]),
        "rivals": rivals(sets["rivals"]),
        "oracles": oracles(sets["rivals"]),
        "rivalled": {k + "s": sorted({r[k] for r in sets["rivals"]}) for k in ("seed", "scale")},
        "replay": [{k: r[k] for k in ("scenario", "seed", "scale", "log", "steps")} for r in sets["replay"]],
    }


def unique(runs: Iterable[Record]) -> list[Record]:
    """Each run once, even if it is in two sets."""
    return list({Job(r["kind"], r["scenario"], r["seed"], r["scale"]).name: r for r in runs}.values())


def row(run: Record) -> Record:
    """The main figures of one scanned log."""
    scores = run["scores"]
    accounts, campaigns, exchanges, counts = (scores[k] for k in ("accounts", "campaigns", "exchanges", "counts"))
    leaked = run["curve"]["flagged"]["leaked"]
    return {
        "scenario": run["scenario"],
        "seed": run["seed"],
        "scale": run["scale"],
        "accounts": run["log"]["accounts"],
        "exchanges": run["log"]["exchanges"],
        "days": run["log"]["days"],
        "campaigns": counts["true_campaigns"],
        "found": len(campaigns["found"]),
        "alarms": counts["flagged_campaigns"],
        "false_alarms": len(campaigns["false_alarms"]),
        "merged": len(campaigns["merged_alarms"]),
        "alarms_per_campaign": [n for n in campaigns["alarms_per_campaign"].values() if n],
        "members": counts["member_accounts"],
        "caught": accounts["true_positive"],
        "honest": accounts["honest"],
        "honest_flagged": accounts["false_positive"],
        "harvested": counts["harvested_exchanges"],
        "attributed": exchanges["attributed"],
        "honest_hit": exchanges["honest_hit"],
        "honest_exchanges": exchanges["honest"],
        "blind": sum(g["flagged"] and g["visible_ts"] is None for g in run["candidates"]),
        "before": [v for v in campaigns["share_before_visible"].values() if v is not None],
        "leaked": [_brief(v) for v in leaked.values()],
        "effort": [run["effort"][name] | {"leaked": _brief(leaked[name])} for name in sorted(leaked)],
        "cover": [v for k, v in run["knobs"].items() if k.endswith(".cover")],
        "missed": [_missed(name, run) for name in campaigns["missed"]],
        "proxy_customers": [
            accounts["honest_by_role"].get("proxy_customer", 0),
            accounts["honest_flagged_by_role"].get("proxy_customer", 0),
        ],
        "candidates": [
            [g["p_value"], g["e_value"], g["accounts"], _brief(g["score"]), g["flagged"], _brief(g["purity"])]
            for g in run["candidates"]
        ],
        "stability": [_brief(g["stability"]) for g in run["candidates"] if g.get("stability") is not None],
    }


def _missed(name: str, run: Record) -> Record:
    """A campaign that was not found: the reported group, flagged or not, that contains most of its members."""
    own = max((g for g in run["candidates"] if g["campaign"] == name), key=lambda g: g["members"], default=None)
    size = run["effort"][name]["accounts"]
    base: Record = {"campaign": name, "accounts": size}
    if own is None:
        return base | {"members_reported": 0}
    return base | {
        "members_reported": own["members"],
        "flagged": own["flagged"],
        "purity": _brief(own["purity"]),
        "score": _brief(own["score"]),
    }


def roles(runs: Sequence[Record]) -> dict[str, list[int]]:
    """Honest accounts by role: how many there are, how many are in a reported group, how many are flagged."""
    found: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for run in runs:
        accounts = run["scores"]["accounts"]
        for role, count in accounts["honest_by_role"].items():
            found[role][0] += count
            found[role][1] += sum(g["honest"].get(role, 0) for g in run["candidates"])
            found[role][2] += accounts["honest_flagged_by_role"].get(role, 0)
    return dict(sorted(found.items()))


def calibration(quiet: Sequence[Record]) -> list[Record]:
    """The p-values of groups reported in attack-free logs, over all groups and by class of size.

    ks: one-sided Kolmogorov-Smirnov statistic, the largest excess of small p-values over the uniform distribution, with
    its p-value. Groups of one log are not independent.
    """
    every = [(g["p_value"], g["e_value"], g["accounts"]) for r in quiet for g in r["candidates"]]
    parts = [("all", every)] + [(_class(low, high), [x for x in every if low <= x[2] < high]) for low, high in CLASSES]
    found = []
    for name, rows in parts:
        p = np.array([x[0] for x in rows if x[0] is not None], float)
        e = np.array([x[1] for x in rows if x[1] is not None], float)
        test = kstest(p, "uniform", alternative="greater") if len(p) else None
        found.append(
            {
                "class": name,
                "groups": len(rows),
                "with_p": len(p),
                "p": sorted(float(f"{v:.5g}") for v in p),
                "ks": _brief(float(test.statistic)) if test else None,
                "ks_p": _brief(float(test.pvalue)) if test else None,
                "mean_e": _brief(float(e.mean())) if len(e) else None,
                "at_most": {str(line): int((p <= line).sum()) for line in (0.01, 0.05, 0.1)},
            }
        )
    return found


def _class(low: int, high: int) -> str:
    return (
        f"{low} or more accounts"
        if high >= CLASSES[-1][1]
        else f"fewer than {high}"
        if not low
        else f"{low} to {high - 1}"
    )


def frontier(runs: Sequence[Record]) -> Record:
    """Harvest not stopped against honest accounts acted on, by threshold on the score or on the threshold ratio alone.

    The scan's own rule is included. leaked: share of a campaign's harvest that is not stopped, averaged over campaigns.
    honest: honest accounts acted on per 100,000 account-months.
    """
    months = sum(r["curve"]["honest_accounts"] * r["log"]["days"] / _MONTH for r in runs)
    campaigns = sum(len(r["curve"]["campaigns"]) for r in runs)
    if not campaigns:
        return {"campaigns": 0, "account_months": _brief(months), "by": {}, "rule": None}

    def point(leaks: float, honest: int) -> Record:
        return {"leaked": _brief(leaks / campaigns), "honest": _brief(1e5 * honest / months)}

    by: dict[str, list[Record]] = {}
    for column in runs[0]["curve"]["by"]:
        by[column] = points = []
        values = np.array([p["at"] for r in runs for p in r["curve"]["by"][column]])
        if not len(values):
            continue
        for threshold in np.unique(np.quantile(values, np.linspace(0, 1, _THRESHOLDS), method="nearest"))[::-1]:
            leaks, honest = 0.0, 0
            for run in runs:
                reached = [p for p in run["curve"]["by"][column] if p["at"] >= threshold]
                names = run["curve"]["campaigns"]
                leaks += sum(reached[-1]["leaked"][n] for n in names) if reached else len(names)
                honest += reached[-1]["honest"] if reached else 0
            points.append({"threshold": _brief(threshold)} | point(leaks, honest))
    own = [r["curve"]["flagged"] for r in runs]
    rule = point(sum(sum(f["leaked"].values()) for f in own), sum(f["honest"] for f in own))
    return {"campaigns": campaigns, "account_months": _brief(months), "by": by, "rule": rule}


def rivals(runs: Sequence[Record]) -> dict[str, Record]:
    """Recall of every method at given false-positive rates, scores of all logs pooled, and precision at base rates."""
    found: dict[str, Record] = {}
    for name in runs[0]["methods"] if runs else ():
        kept = [r["methods"][name] for r in runs]
        honest = sum(m["honest"] for m in kept)
        top = sorted((_score(s) for m in kept for s in m["honest_top"]), reverse=True)
        members = [_score(s) for m in kept for s in m["members"]]
        at = {}
        for rate in RATES:
            recall = above(members, top, int(rate * honest))
            at[f"{rate:g}"] = {
                "allowed": int(rate * honest),
                "recall": _brief(recall),
                "precision": {f"{base:g}": _brief(precision_at(base, recall, rate)) for base in BASES},
                "each": [
                    _brief(
                        above(
                            [_score(s) for s in m["members"]],
                            [_score(s) for s in m["honest_top"]],
                            int(rate * m["honest"]),
                        )
                    )
                    for m in kept
                ],
            }
        groups = [m["groups"] for m in kept if "groups" in m]
        sums = {k: sum(g[k] for g in groups) for k in ("all", "honest", "campaigns", "found")}
        found[name] = {
            "honest": honest,
            "members": len(members),
            "logs": len(kept),
            "at": at,
            "groups": sums if groups else None,
        }
    return found


def above(members: Sequence[float], honest: Sequence[float], allowed: int) -> float:
    """Share of members that score above the first honest account beyond the allowed number; ties count against them.

    >>> above([3.0, 2.0, float("-inf")], [2.0, 1.0], 0)
    0.3333333333333333
    """
    threshold = honest[allowed] if allowed < len(honest) else -np.inf
    return sum(s > threshold for s in members) / len(members) if members else 0.0


def oracles(runs: Sequence[Record]) -> dict[str, Record]:
    """The unchanged scan and both oracles: sums over logs, and what was found in each scenario."""
    found: dict[str, Record] = {}
    for name in runs[0]["oracles"] if runs else ():
        sums = {k: sum(r["oracles"][name][k] for r in runs) for k in runs[0]["oracles"][name]}
        each: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        for run in runs:
            each[run["scenario"]][0] += run["oracles"][name]["found"]
            each[run["scenario"]][1] += run["oracles"][name]["campaigns"]
        found[name] = sums | {"each": dict(sorted(each.items()))}
    return found


def _score(kept: float | None) -> float:
    return float("-inf") if kept is None else float(kept)


def _brief(value: float | None) -> float | None:
    """Five significant figures: enough for the page."""
    return None if value is None else float(f"{float(value):.5g}")
