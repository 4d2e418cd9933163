"""Other methods and two oracles on one log: the best that linking alone and testing alone could give.

Each oracle is a scan with a detector of its own. One reads the clusters and judges them by the labels; the other gets
the true campaigns as clusters and lets the tests judge. Together they show which half loses campaigns.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clonewatch.graph.clusters import Grains, of_labels
from clonewatch.graph.weights import Incidences
from clonewatch.lab.evaluate import (
    FOUND_PURITY,
    FOUND_SHARE,
    Claim,
    Truth,
    evaluate,
    read_claim,
    read_truth,
    score_accounts,
    score_campaigns,
)
from clonewatch.lab.simulate import simulate
from clonewatch.pipeline.detection.detect import detect
from clonewatch.pipeline.detection.stages import Calibrated
from clonewatch.pipeline.examine import examine
from clonewatch.pipeline.intake.staged import Intake
from clonewatch.pipeline.scan_result import ScanResult
from clonewatch.pipeline.steps import StepRunner
from evals.baselines import BASELINES, Ranking, open_log
from evals.jobs import OURS, QUIET, Job, Record, run_scan

# Seed of the attack-free log that calibrates the baseline "discrepancy"; not a reported seed.
_ATTACK_FREE_SEED = 5999
# Recall at the reported rates needs the scores of this many honest accounts per thousand.
_TOP_PER_MILLE = 20


def rivalled(job: Job, folder: Path) -> Record:
    """Every baseline, our own ranking, and both oracles, on the log in `folder`."""
    log, attack_free = folder / "log", folder / "attack_free"
    simulate(QUIET, attack_free, seed=_ATTACK_FREE_SEED, scale=job.scale)
    truth, opened = read_truth(log), open_log(log, attack_free)
    ids = opened.ids
    member = np.array([account in truth.members for account in ids])
    methods = {name: _ranked(method(opened), member, ids, truth) for name, method in BASELINES.items()}
    unreported: dict[str, set[str]] = {}
    run_scan(job, folder, examine=watching(unreported))
    claim = read_claim(folder / "scan")
    methods[OURS] = _ranked(_own(claim, ids), member, ids, truth)
    run_scan(job, folder, out="tested", examine=given_clusters(truth))
    tested = evaluate(folder / "tested", log)
    return {
        "methods": methods,
        "oracles": {
            "as it is": _verdict(truth, claim),
            "our clusters, true labels": _verdict(truth, labelled(truth, claim.accounts | unreported)),
            "true clusters, our tests": _counts(tested["accounts"], tested["campaigns"], tested["counts"]),
        },
    }


def labelled(truth: Truth, groups: dict[str, set[str]]) -> Claim:
    """The claim of an oracle that flags a group exactly when most of its labelled accounts are members."""
    members = truth.members
    known = {name: {a for a in accounts if a in truth.campaign} for name, accounts in groups.items()}
    flagged = {name for name, group in known.items() if group and sum(a in members for a in group) > len(group) / 2}
    none = pa.table({"exchange_id": pa.array([], pa.string()), "campaign_id": pa.array([], pa.string())})
    return Claim(dict.fromkeys(groups, 0.0), flagged, groups, [], none, dict.fromkeys(groups))


def _ranked(ranking: Ranking, member: NDArray[np.bool_], ids: list[str], truth: Truth) -> Record:
    """Scores of all members and of the highest-ranked honest accounts, and what the groups contain."""
    honest = np.sort(ranking.score[~member])[::-1]
    top = honest[: max(10, len(honest) * _TOP_PER_MILLE // 1000)]
    kept: Record = {
        "honest": len(honest),
        "honest_top": [_plain(s) for s in top],
        "members": [_plain(s) for s in np.sort(ranking.score[member])[::-1]],
    }
    if ranking.groups is not None:
        wanted: dict[str, int] = {}
        for campaign in truth.members.values():
            wanted[campaign] = wanted.get(campaign, 0) + 1
        campaigns = [[truth.members.get(ids[i]) for i in group] for group in ranking.groups]
        kept["groups"] = {
            "all": len(campaigns),
            "honest": sum(sum(c is not None for c in g) < FOUND_SHARE * len(g) for g in campaigns),
            "campaigns": len(wanted),
            "found": sum(
                any(g.count(c) >= FOUND_SHARE * n and g.count(c) >= FOUND_PURITY * len(g) for g in campaigns)
                for c, n in wanted.items()
            ),
        }
    return kept


def _own(claim: Claim, ids: list[str]) -> Ranking:
    """Our ranking: an account's best score of a group plus the logarithm of its membership; flagged groups first."""
    best: dict[str, float] = {}
    for campaign, account, membership, role in claim.membership:
        if role in ("core", "fringe") and membership > 0:
            # Bits are logarithms of odds. A flagged group has also met criteria that the score does not include.
            score = claim.score[campaign] + float(np.log2(membership)) + 1000.0 * (campaign in claim.flagged)
            best[account] = max(best.get(account, -np.inf), score)
    groups = [
        np.array([i for i, a in enumerate(ids) if a in claim.accounts[name]], np.int64)
        for name in sorted(claim.flagged)
    ]
    return Ranking(np.array([best.get(a, -np.inf) for a in ids]), groups)


def _verdict(truth: Truth, claim: Claim) -> Record:
    counts = {"true_campaigns": len(set(truth.members.values())), "member_accounts": len(truth.members)}
    return _counts(score_accounts(truth, claim), score_campaigns(truth, claim), counts)


def _counts(accounts: Record, campaigns: Record, counts: Record) -> Record:
    return {
        "campaigns": counts["true_campaigns"],
        "found": len(campaigns["found"]),
        "members": counts["member_accounts"],
        "caught": accounts["true_positive"],
        "honest": accounts["honest"],
        "honest_flagged": accounts["false_positive"],
        "false_alarms": len(campaigns["false_alarms"]),
    }


def _plain(score: float) -> float | None:
    """Six significant figures; None for an account without a score."""
    return None if np.isneginf(score) else float(f"{score:.6g}")


def watching(unreported: dict[str, set[str]]) -> Callable[..., ScanResult]:
    """The `examine` of a scan that puts the accounts of clusters that its result tables leave out into `unreported`."""

    def watched(runner: StepRunner, intake: Intake, *rest: Any, **named: Any) -> ScanResult:
        def detector(*arguments: Any) -> Calibrated:
            found = detect(*arguments)
            reported = {verdict.cluster for verdict in found.reported}
            groups = found.judged.merged.clustering.clusters.groups.select(["cluster", "entity"])
            owned = runner.engine.fetch("SELECT entity, account FROM owners")
            rows = groups.join(owned, "entity", join_type="inner")
            for cluster, account in zip(rows["cluster"].to_pylist(), rows["account"].to_pylist(), strict=True):
                if cluster not in reported:
                    unreported.setdefault(f"cluster {cluster}", set()).add(intake.ids[account])
            return found

        return examine(runner, intake, *rest, **named, detector=detector)

    return watched


def given_clusters(truth: Truth) -> Callable[..., ScanResult]:
    """The `examine` of a scan whose clusters are the true campaigns, without members that have no rare attribute."""
    names = {name: number for number, name in enumerate(sorted(set(truth.members.values())))}

    def given(runner: StepRunner, intake: Intake, *rest: Any, **named: Any) -> ScanResult:
        def true_clusters(incidences: Incidences, *_: Any) -> Grains:
            owned = runner.engine.fetch("SELECT entity, account FROM owners")
            label: dict[int, int] = {}
            for entity, account in zip(owned["entity"].to_pylist(), owned["account"].to_pylist(), strict=True):
                campaign = truth.members.get(intake.ids[account])
                if campaign is not None:
                    label[entity] = names[campaign]
            return of_labels(incidences, label)

        return examine(runner, intake, *rest, **named, detector=partial(detect, clusterer=true_clusters))

    return given
