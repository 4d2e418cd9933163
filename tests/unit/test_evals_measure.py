"""What a job writes down: who is in a group, what acting on it would stop, and what the oracles change."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from clonewatch.lab.evaluate import Truth, evaluate, read_truth
from clonewatch.lab.simulate import simulate

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # evals is no part of the installed package

from evals.jobs import Job, run_scan  # noqa: E402
from evals.measure import Harvest, candidates, effort, frontier, read_harvest  # noqa: E402
from evals.oracles import given_clusters, labelled, watching  # noqa: E402

TRUTH = Truth(
    {"m1": "ring", "m2": "ring", "h1": None, "h2": None, "p1": "ring"},
    {"m1": "member", "m2": "member", "h1": "hackathon", "h2": "benign", "p1": "proxy_customer"},
    pa.array(["x1", "x2", "x3", "x4"]),
    ["ring"] * 4,
    100,
)
HARVEST = Harvest(np.array(["ring"] * 4, object), np.array(["m1", "m1", "m2", "m2"], object), np.array([1, 5, 3, 9]))


def tables(groups: dict[str, tuple[float, int | None, bool, list[str]]]) -> dict[str, pa.Table]:
    """Result tables of groups: score, when each could be seen, whether flagged, accounts. A `~` marks a customer."""
    rows = [
        {"campaign_id": n, "score": s, "visible_ts": t, "flagged": f, "accounts": len(a)}
        for n, (s, t, f, a) in groups.items()
    ]
    when = pa.array([r["visible_ts"] for r in rows], pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    campaigns = pa.Table.from_pylist([{k: v for k, v in r.items() if k != "visible_ts"} for r in rows])
    inside = [(n, a) for n, (_, _, _, accounts) in groups.items() for a in accounts]
    members = {
        "campaign_id": [n for n, _ in inside],
        "account_id": [a.strip("~") for _, a in inside],
        "role": ["proxy_customer" if a.startswith("~") else "core" for _, a in inside],
    }
    return {"campaigns": campaigns.append_column("visible_ts", when), "members": pa.table(members)}


def test_a_group_has_its_campaign_its_purity_and_its_honest_accounts() -> None:
    reported = tables({"C1": (5.0, 4, True, ["m1", "m2", "h1", "~p1"]), "C2": (1.0, None, False, ["h2", "p1"])})
    first, second = candidates(reported, TRUTH)
    assert (first["campaign"], first["members"], first["honest"]) == ("ring", 2, {"hackathon": 1})
    assert first["purity"] == pytest.approx(2 / 3) and first["visible_ts"] == 4
    assert (second["campaign"], second["members"], second["visible_ts"]) == (None, 0, None)
    assert second["honest"] == {"benign": 1, "proxy_customer": 1}


def test_acting_on_a_group_stops_its_accounts_from_the_time_it_is_visible() -> None:
    reported = tables({"C1": (5.0, 4, True, ["m1", "h1"]), "C2": (2.0, 9, False, ["m2", "h2"])})
    found = frontier(candidates(reported, TRUTH), reported, TRUTH, HARVEST)
    # m1 sent one of its two after 4, m2 one of its two at 9.
    assert [(p["at"], p["leaked"]["ring"], p["honest"]) for p in found["by"]["score"]] == [
        (5.0, 0.75, 1),
        (2.0, 0.5, 2),
    ]
    assert found["flagged"] == {"leaked": {"ring": 0.75}, "honest": 1}


def test_a_group_without_a_visible_time_stops_nothing_but_still_hits_honest_accounts() -> None:
    reported = tables({"C1": (5.0, None, True, ["m1", "m2", "h1"])})
    found = frontier(candidates(reported, TRUTH), reported, TRUTH, HARVEST)
    assert found["flagged"] == {"leaked": {"ring": 1.0}, "honest": 1}


def test_the_label_oracle_flags_exactly_the_groups_of_mostly_members() -> None:
    claim = labelled(TRUTH, {"a": {"m1", "m2", "h1"}, "b": {"m1", "h1"}, "c": {"h1", "h2"}, "d": {"unknown"}})
    assert claim.flagged == {"a"}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Path]:
    made = Job("scan", "s02_mixing_proxy", 1, 0.06)
    folder = tmp_path_factory.mktemp("job")
    simulate(made.scenario, folder / "log", seed=made.seed, scale=made.scale)
    return made, folder


def test_effort_counts_cover_and_harvest_separately(job: tuple[Job, Path]) -> None:
    _, folder = job
    truth, harvest = read_truth(folder / "log"), read_harvest(folder / "log")
    spent = effort(folder / "log", truth, harvest)["s02_mixing_proxy"]
    assert spent["harvested"] == len(truth.exchange_ids) == len(harvest.ts)
    assert spent["accounts"] == len(truth.members) and spent["exchanges"] > 2 * spent["harvested"]
    assert set(harvest.account.tolist()) <= set(truth.members)


def inside(result: Any) -> set[str]:
    return set(result.tables["members"]["account_id"].to_pylist())


def test_an_oracle_that_is_given_the_true_clusters_tests_those(job: tuple[Job, Path]) -> None:
    made, folder = job
    truth = read_truth(folder / "log")
    found = inside(run_scan(made, folder, out="tested", examine=given_clusters(truth)))
    # Accounts of one entity go together, so that a few more than the members may be in it.
    assert len(found & truth.members.keys()) >= 0.9 * len(truth.members)
    assert len(found - truth.members.keys()) <= 0.1 * len(found)
    assert evaluate(folder / "tested", folder / "log")["accounts"]["false_positive"] == 0


def test_watching_a_scan_adds_what_it_leaves_out_and_changes_nothing(job: tuple[Job, Path]) -> None:
    made, folder = job
    unreported: dict[str, set[str]] = {}
    watched = run_scan(made, folder, out="watched", examine=watching(unreported))
    alone = run_scan(made, folder, out="alone")
    assert watched.tables["members"].equals(alone.tables["members"])
    assert unreported and not inside(alone) & set().union(*unreported.values())
