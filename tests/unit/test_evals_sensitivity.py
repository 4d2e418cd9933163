"""Every case changes the log as it says, and the tables have a row for each."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from clonewatch.lab.simulate import simulate

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # evals is no part of the installed package

from evals import logs, paraphrase, sensitivity  # noqa: E402


@pytest.fixture(scope="module")
def study() -> ModuleType:
    return sensitivity


@pytest.fixture(scope="module")
def rewording() -> ModuleType:
    return paraphrase


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("study") / "log"
    simulate("s01_shared_cards", made, seed=5, scale=0.03)
    return made


@pytest.fixture(scope="module")
def log(study: ModuleType, folder: Path):  # type: ignore[no-untyped-def]
    return study.read(folder)


@pytest.fixture(scope="module")
def talk(study: ModuleType, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    made = tmp_path_factory.mktemp("talk") / "log"
    simulate("s01_shared_cards", made, seed=5, scale=0.02, text=True)
    return study.read(made)


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def test_the_trusted_share_is_as_requested_below_and_above_the_original(study, log) -> None:  # type: ignore[no-untyped-def]
    before = set(log.accounts.filter(log.accounts["anchor"])["account_id"].to_pylist())
    size = log.accounts.num_rows
    few = study.trusted(log, 0.02, rng()).accounts
    many = study.trusted(log, 0.3, rng()).accounts
    fewer = set(few.filter(few["anchor"])["account_id"].to_pylist())
    more = set(many.filter(many["anchor"])["account_id"].to_pylist())
    assert len(fewer) == round(0.02 * size)
    assert fewer < before
    assert len(more) == round(0.3 * size)
    assert before < more


def test_no_new_account_and_no_campaign_account_joins_the_trusted_set(study, log) -> None:  # type: ignore[no-untyped-def]
    before = set(log.accounts.filter(log.accounts["anchor"])["account_id"].to_pylist())
    many = study.trusted(log, 1.0, rng()).accounts.filter(study.trusted(log, 1.0, rng()).accounts["anchor"])
    joined = many.filter(pc.invert(pc.is_in(many["account_id"], value_set=pa.array(sorted(before)))))
    assert joined.num_rows > 0
    assert not set(joined["account_id"].to_pylist()) & set(log.members.to_pylist())
    assert pc.max(joined["created_at"]).as_py() < pc.min(log.exchanges["ts"]).as_py() - logs.AGED


def test_infiltration_trusts_this_share_of_the_campaign_and_keeps_the_others(study, log) -> None:  # type: ignore[no-untyped-def]
    ours = set(log.members.to_pylist())
    now, then = (
        set(t.filter(t["anchor"])["account_id"].to_pylist())
        for t in (study.infiltrated(log, 0.2, rng()).accounts, log.accounts)
    )
    assert len(now & ours) == round(0.2 * len(ours)) > 0
    assert now - ours == then - ours


def test_every_group_of_columns_exists_and_can_be_removed(study, log) -> None:  # type: ignore[no-untyped-def]
    for group, (table, columns) in study.COLUMNS.items():
        left = study.without(log, [group])
        if table == "events":
            assert log.events is not None
            assert left.events is None
            continue
        assert set(columns) <= set(getattr(log, table).column_names), group
        assert set(getattr(log, table).column_names) - set(getattr(left, table).column_names) == set(columns)


def test_a_subsample_has_its_share_of_exchanges_and_no_label_of_another(study, log) -> None:  # type: ignore[no-untyped-def]
    left = study.thinned(log, 0.95, rng())
    assert left.exchanges.num_rows == round(0.95 * log.exchanges.num_rows)
    assert 0 < left.label_exchanges.num_rows < log.label_exchanges.num_rows
    assert pc.all(
        pc.is_in(left.label_exchanges["exchange_id"], value_set=left.exchanges["exchange_id"].combine_chunks())
    )


def test_unseen_accounts_leave_no_trace(study, log) -> None:  # type: ignore[no-untyped-def]
    left = study.half_seen(log, 0.5, rng())
    ids = set(left.accounts["account_id"].to_pylist())
    assert len(ids) == round(0.5 * log.accounts.num_rows)
    assert set(left.exchanges["account_id"].to_pylist()) <= ids
    assert set(left.label_accounts["account_id"].to_pylist()) <= ids


def test_a_case_is_scanned_once_and_then_kept(study, folder, log, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    wanted = [study.cases()[0], next(c for c in study.cases() if c.name == "no prompt_id")]
    place = tmp_path / "kept.json"
    seen = []
    monkeypatch.setattr(study, "simulate", lambda _, out, **how: shutil.copytree(folder, out))
    monkeypatch.setattr(study, "scored", lambda copy, out, *_: (seen.append(study.read(copy)), out.mkdir(), COUNTS)[-1])
    first = study.measure("s01_shared_cards", 5, 0.03, wanted, place, "source")
    assert [("prompt_id" in log.exchanges.column_names) for log in seen] == [True, False]
    again = study.measure("s01_shared_cards", 5, 0.03, wanted, place, "source")
    assert again == first
    assert len(seen) == 2
    study.measure("s01_shared_cards", 5, 0.03, wanted[:1], place, "another source")
    assert len(seen) == 3


COUNTS = (
    dict.fromkeys(
        (
            "campaigns",
            "found",
            "alarms",
            "false_alarms",
            "members",
            "caught",
            "honest",
            "honest_flagged",
            "harvested",
            "attributed",
            "honest_hit",
        ),
        1,
    ),
    ["a"],
)


def test_a_tiny_log_is_really_scanned_and_scored(study, folder, tmp_path) -> None:  # type: ignore[no-untyped-def]
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_text("ab" * 32 + "\n", encoding="ascii")
    counts, flagged = study.scored(folder, tmp_path / "scan", key)
    assert counts["campaigns"] == 1
    assert counts["caught"] + counts["honest_flagged"] == len(flagged)
    assert counts["members"] == len(study.read(folder).members)


def test_the_table_has_a_row_per_case_and_one_for_all_draws_of_a_kind(study) -> None:  # type: ignore[no-untyped-def]
    every = [*study.cases(), *study.pairs(["cell", "task", "payment"])]
    run = {c.name: {"group": c.group, "trusted": 0.1, "accounts": ["a"], **COUNTS[0]} for c in every}
    rows = study.table([run, run])
    single = [c.name for c in every if c.group not in study.POOLED]
    assert [r["case"] for r in rows if r["group"] not in study.POOLED] == single
    assert len(rows) == len(single) + len(study.POOLED)
    assert {r["case"]: r["runs"] for r in rows}[study.POOLED["subsample"]] == 2 * study.DRAWS
    text = study.report(rows, study.stability({("s01_shared_cards", 5): run}), "said")
    assert all(f"| {r['case']} |" in text for r in rows)
    assert (
        f"| s01_shared_cards | 5 | clustering seed | {study.CLUSTERING_SEEDS} of {study.CLUSTERING_SEEDS} | 1.000 |"
        in text
    )


def test_the_worst_columns_are_those_that_lose_most_accounts(study) -> None:  # type: ignore[no-untyped-def]
    run = {f"no {name}": {"caught": 10} for name in study.COLUMNS} | {
        "no payment": {"caught": 2},
        "no cell": {"caught": 5},
    }
    assert study.worst([run], 2) == ["payment", "cell"]


def test_only_the_campaign_is_reworded(rewording, talk) -> None:  # type: ignore[no-untyped-def]
    log = talk
    made, share = rewording.reworded(log, 1.0)
    ours = pc.is_in(log.exchanges["exchange_id"], value_set=log.label_exchanges["exchange_id"].combine_chunks())
    same = pc.equal(log.exchanges["messages"], made.exchanges["messages"])
    assert pc.all(same.filter(pc.invert(ours))).as_py()
    assert pc.mean(same.filter(ours).cast("int8")).as_py() < 0.05
    assert share == 1.0
    kept = rewording.survival(rewording.harvest_fingerprints(log), rewording.harvest_fingerprints(log))
    lost = rewording.survival(rewording.harvest_fingerprints(log), rewording.harvest_fingerprints(made))
    assert kept["template_survives"] == kept["family_survives"] == kept["jaccard_mean"] == 1.0
    assert lost["template_survives"] < 0.1
    assert lost["jaccard_mean"] < 0.5


def test_words_alone_contain_no_address_payment_or_system_prompt(rewording, talk) -> None:  # type: ignore[no-untyped-def]
    left = rewording.bare(talk)
    assert not {"client_ip", "user_agent", "system_text", "api_key_id"} & set(left.exchanges.column_names)
    assert "payment_fingerprint" not in left.accounts.column_names
    assert not pc.any(pc.match_substring(left.exchanges["messages"], '"system"')).as_py()


def test_merging_by_meaning_has_a_row_per_threshold_after_that_of_sketches(rewording, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    said = [f"Explain how the {a} problem of the {b} is solved" for a in NOUNS for b in NOUNS if a != b]
    for name, column in (("human", "text"), ("harvest", "instruction")):
        pq.write_table(pa.table({column: said}), tmp_path / f"prompts_{name}.parquet")
    # Replaces the model: the first subject of a text is its meaning.
    subject = {word: row for row, word in enumerate(NOUNS)}
    monkeypatch.setattr(
        rewording.embedding,
        "embed",
        lambda texts: np.eye(len(NOUNS), dtype=np.float32)[
            [next(subject[w] for w in t.lower().split() if w in subject) for t in texts]
        ],
    )
    rows = rewording.merging_by_meaning(tmp_path, 0)
    assert [row["threshold"] for row in rows] == [None, *rewording.THRESHOLDS]
    assert rows[0]["together 0.25"] >= rows[0]["together 1"]
    assert all(row["together 1"] == 1 and row["apart"] > 0.5 for row in rows[1:])
    assert len(rewording.merging_table(rows).splitlines()) == 2 + len(rows)


NOUNS = ("kettle", "lantern", "orchard", "tunnel", "violin", "glacier", "pepper")
