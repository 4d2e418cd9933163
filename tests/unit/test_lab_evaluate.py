"""Evaluation on tiny scans written by hand: every figure is worked out on paper."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clonewatch.kernels.arrow import arrow_schema
from clonewatch.lab.evaluate import evaluate
from clonewatch.model.errors import InputError
from clonewatch.model.schema import ATTRIBUTION, CAMPAIGNS, LABEL_ACCOUNTS, LABEL_EXCHANGES, MEMBERS, Table


def save(path: Path, table: Table, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=arrow_schema(table)), path)


def campaign(name: str, score: float, flagged: bool = True, **more: Any) -> dict[str, Any]:
    return {"campaign_id": name, "score": score, "flagged": flagged, **more}


def member(name: str, account: str, membership: float = 1.0, role: str = "core") -> dict[str, Any]:
    return {"campaign_id": name, "account_id": account, "membership": membership, "role": role}


def scan(folder: Path, campaigns: list[Any], members: list[Any], attribution: list[tuple[str, str, float]]) -> Path:
    save(folder / "campaigns.parquet", CAMPAIGNS, campaigns)
    save(folder / "members.parquet", MEMBERS, members)
    rows = [{"exchange_id": x, "campaign_id": c, "posterior": p} for x, c, p in attribution]
    save(folder / "attribution.parquet", ATTRIBUTION, rows)
    return folder


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Two harvests of four accounts each, twelve honest accounts, ten harvested exchanges each."""
    accounts = [(f"a{i}", "red", "member") for i in range(4)] + [(f"b{i}", "blue", "member") for i in range(4)]
    accounts += [(f"h{i}", None, "benign") for i in range(8)] + [(f"c{i}", None, "coding_agent") for i in range(3)]
    accounts += [("p0", None, "proxy_customer")]
    rows = [{"account_id": a, "campaign_id": c, "role": r} for a, c, r in accounts]
    folder = tmp_path / "log" / "labels"
    save(folder / "accounts.parquet", LABEL_ACCOUNTS, rows)
    exchanges = [{"exchange_id": f"{c}{i}", "campaign_id": c} for c in ("red", "blue") for i in range(10)]
    save(folder / "exchanges.parquet", LABEL_EXCHANGES, exchanges)
    return folder


def test_a_perfect_scan_scores_one_everywhere(tmp_path: Path, labels: Path) -> None:
    members = [member("1", f"a{i}") for i in range(4)] + [member("2", f"b{i}", role="fringe") for i in range(4)]
    exchanges = [(f"red{i}", "1", 0.9) for i in range(10)] + [(f"blue{i}", "2", 0.5) for i in range(10)]
    said = evaluate(scan(tmp_path / "scan", [campaign("1", 9.0), campaign("2", 5.0)], members, exchanges), labels)
    assert said["accounts"]["precision"] == said["accounts"]["recall"] == 1.0
    assert said["accounts"]["false_positive_rate"] == 0.0
    assert said["campaigns"]["recall"] == 1.0 and said["campaigns"]["fragmentation"] == 1.0
    assert said["exchanges"]["precision"] == said["exchanges"]["recall"] == 1.0
    assert said["ranking"]["recall_at_fpr_0.001"] == 1.0


def test_honest_accounts_flagged_are_counted_by_role(tmp_path: Path, labels: Path) -> None:
    members = [member("1", a) for a in ("a0", "a1", "a2", "c0", "h1")]
    said = evaluate(scan(tmp_path / "scan", [campaign("1", 9.0)], members, []), labels)["accounts"]
    assert said["honest_flagged_by_role"] == {"benign": 1, "coding_agent": 1}
    assert (said["precision"], said["recall"], said["false_positive_rate"]) == (3 / 5, 3 / 8, 2 / 12)


def test_proxy_customers_reported_by_the_scan_do_not_count_as_flagged(tmp_path: Path, labels: Path) -> None:
    members = [member("1", f"a{i}") for i in range(4)] + [member("1", "p0", 0.1, "proxy_customer")]
    said = evaluate(scan(tmp_path / "scan", [campaign("1", 9.0)], members, []), labels)["accounts"]
    assert said["false_positive"] == 0 and said["flagged"] == 4


def test_campaigns_that_are_not_flagged_flag_no_account(tmp_path: Path, labels: Path) -> None:
    members = [member("1", f"a{i}") for i in range(4)]
    said = evaluate(scan(tmp_path / "scan", [campaign("1", 9.0, flagged=False)], members, [("red0", "1", 1.0)]), labels)
    assert said["accounts"]["flagged"] == 0 and said["accounts"]["precision"] is None
    assert said["campaigns"]["missed"] == ["blue", "red"]
    assert said["exchanges"]["attributed"] == 0
    assert said["ranking"]["recall_at_fpr_0.0001"] == 0.5  # the ranking looks past the flag


def test_a_campaign_is_found_only_by_a_pure_alarm_with_half_of_its_accounts(tmp_path: Path, labels: Path) -> None:
    pure = [member("1", "a0"), member("1", "a1")]
    diluted = [member("2", f"b{i}") for i in range(4)] + [member("2", "h0"), member("2", "h1")]
    said = evaluate(scan(tmp_path / "scan", [campaign("1", 9.0), campaign("2", 5.0)], pure + diluted, []), labels)
    assert said["campaigns"]["found"] == ["red"] and said["campaigns"]["missed"] == ["blue"]
    assert said["campaigns"]["alarms"]["2"]["purity"] == pytest.approx(4 / 6)


def test_several_alarms_per_campaign_merged_alarms_and_false_alarms_are_distinguished(
    tmp_path: Path, labels: Path
) -> None:
    members = [member("1", "a0"), member("1", "a1"), member("2", "a2"), member("2", "a3")]
    members += [member("3", "b0"), member("3", "b1"), member("3", "a0"), member("4", "h0"), member("4", "h1")]
    campaigns = [campaign(str(i), 5.0 + i) for i in range(1, 5)]
    said = evaluate(scan(tmp_path / "scan", campaigns, members, []), labels)["campaigns"]
    assert said["alarms_per_campaign"] == {"blue": 1, "red": 2}
    assert said["merged_alarms"] == ["3"]
    assert said["false_alarms"] == ["4"] and said["false_discovery_rate"] == 0.25


def test_attribution_counts_honest_exchanges_once_and_ignores_doubtful_ones(tmp_path: Path, labels: Path) -> None:
    members = [member("1", f"a{i}") for i in range(4)] + [member("2", f"b{i}") for i in range(4)]
    exchanges = [("red0", "1", 0.9), ("red1", "1", 0.49), ("x0", "1", 0.8), ("x0", "2", 0.8), ("blue0", "2", 0.7)]
    folder = scan(tmp_path / "scan", [campaign("1", 9.0), campaign("2", 5.0)], members, exchanges)
    said = evaluate(folder, labels)["exchanges"]
    assert (said["attributed"], said["honest_hit"]) == (3, 1)
    assert said["precision"] == pytest.approx(2 / 3) and said["recall"] == pytest.approx(2 / 20)
    assert said["by_alarm"]["1"] == {"attributed": 2, "honest_hit": 1, "precision": 0.5}
    assert said["honest"] is None and said["honest_hit_rate"] is None


def test_with_the_log_the_share_of_honest_exchanges_attributed_is_known(tmp_path: Path, labels: Path) -> None:
    log = labels.parent / "exchanges"
    log.mkdir()
    pq.write_table(pa.table({"exchange_id": ["x0", *map(str, range(119))]}), log / "part-0000.parquet")
    folder = scan(tmp_path / "scan", [campaign("1", 9.0)], [member("1", "a0")], [("x0", "1", 0.8)])
    assert evaluate(folder, labels.parent)["exchanges"]["honest_hit_rate"] == pytest.approx(1 / 100)


def test_ranking_takes_recall_where_honest_accounts_begin_to_outrank(tmp_path: Path, labels: Path) -> None:
    members = [member("1", "a0", 0.9), member("1", "h0", 0.8), member("1", "a1", 0.7), member("2", "b0", 1.0)]
    folder = scan(tmp_path / "scan", [campaign("1", 9.0), campaign("2", 5.0)], members, [])
    assert evaluate(folder, labels)["ranking"]["recall_at_fpr_0.001"] == pytest.approx(1 / 8)


def test_share_before_visible_is_taken_from_the_earliest_alarm(tmp_path: Path, labels: Path) -> None:
    campaigns = [
        campaign("1", 9.0, visible_exchanges=30, harvested_exchanges=100),
        campaign("2", 8.0, visible_exchanges=5, harvested_exchanges=50),
    ]
    members = [member("1", "a0"), member("1", "a1"), member("2", "a2"), member("2", "a3")]
    said = evaluate(scan(tmp_path / "scan", campaigns, members, []), labels)["campaigns"]
    assert said["share_before_visible"] == {"red": 0.1}


def test_ids_of_several_exchanges_are_left_out_and_counted(tmp_path: Path, labels: Path) -> None:
    rows = [(f"red{i}", "1", 0.9) for i in range(4)]
    red = [campaign("1", 9.0)], [member("1", "a0")]
    assert evaluate(scan(tmp_path / "s", *red, rows), labels)["exchanges"]["unjoined"] == {"labels": 0, "attributed": 0}
    (labels.parent / "exchanges").mkdir()
    times = pa.array([1772359200_000000] * 3, pa.timestamp("us", "UTC"))
    log = pa.table({"exchange_id": ["red1", "red1", "red2"], "account_id": ["a0", "h0", "a0"], "ts": times})
    pq.write_table(log, labels.parent / "exchanges" / "0.parquet")
    found = evaluate(scan(tmp_path / "t", *red, [*rows, rows[0]]), labels)["exchanges"]
    assert found["unjoined"] == {"labels": 2, "attributed": 3}
    assert found["attributed"] == 2 and found["recall"] == pytest.approx(2 / 18)


def test_a_scan_whose_ids_are_not_those_of_the_labelled_log_has_no_share_of_exchanges(
    tmp_path: Path, labels: Path
) -> None:
    (labels.parent / "exchanges").mkdir()
    times = pa.array([1772359200_000000], pa.timestamp("us", "UTC"))
    log = pa.table({"exchange_id": ["red1"], "account_id": ["a0"], "ts": times})
    pq.write_table(log, labels.parent / "exchanges" / "0.parquet")
    folder = scan(
        tmp_path / "s", [campaign("1", 9.0)], [member("1", "a0")], [("3f2a-1", "1", 0.9), ("3f2a-2", "1", 0.9)]
    )
    found = evaluate(folder, labels.parent)["exchanges"]
    assert found["unjoined"] == {"labels": 20, "attributed": 2}
    assert [found[key] for key in ("precision", "recall", "honest_hit_rate", "attributed")] == [None, None, None, 0]


def test_accounts_without_a_label_are_left_out_and_counted(tmp_path: Path, labels: Path) -> None:
    members = [member("1", a) for a in ("a0", "a1", "a2", "a3", "stranger")]
    said = evaluate(scan(tmp_path / "scan", [campaign("1", 9.0)], members, []), labels)
    assert said["counts"]["accounts_without_label"] == 1
    assert said["accounts"]["precision"] == 1.0 and said["campaigns"]["found"] == ["red"]


def test_labels_of_another_log_are_refused(tmp_path: Path, labels: Path) -> None:
    folder = scan(tmp_path / "scan", [campaign("1", 9.0)], [member("1", "stranger")], [])
    with pytest.raises(InputError, match="none of the 1 accounts of the scan has a label"):
        evaluate(folder, labels)


def test_an_empty_scan_is_scored_without_a_division_by_zero(tmp_path: Path, labels: Path) -> None:
    said = evaluate(scan(tmp_path / "scan", [], [], []), labels)
    assert said["accounts"]["recall"] == 0.0 and said["campaigns"]["recall"] == 0.0
    assert said["exchanges"]["precision"] is None and said["ranking"]["recall_at_fpr_0.001"] == 0.0


def test_a_missing_table_is_named(tmp_path: Path, labels: Path) -> None:
    folder = scan(tmp_path / "scan", [], [], [])
    (folder / "members.parquet").unlink()
    with pytest.raises(InputError, match=r"no members\.parquet"):
        evaluate(folder, labels)


def test_a_missing_column_is_named(tmp_path: Path, labels: Path) -> None:
    folder = scan(tmp_path / "scan", [], [], [])
    pq.write_table(pa.table({"campaign_id": pa.array([], pa.string())}), folder / "campaigns.parquet")
    with pytest.raises(InputError, match="no column score, flagged"):
        evaluate(folder, labels)


def test_a_damaged_table_is_named(tmp_path: Path, labels: Path) -> None:
    folder = scan(tmp_path / "scan", [], [], [])
    (folder / "attribution.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(InputError, match="not a Parquet file"):
        evaluate(folder, labels)


def test_members_of_an_unlisted_campaign_are_refused(tmp_path: Path, labels: Path) -> None:
    folder = scan(tmp_path / "scan", [campaign("1", 9.0)], [member("7", "a0")], [])
    with pytest.raises(InputError, match=r"not in campaigns\.parquet: 7"):
        evaluate(folder, labels)


def test_two_labels_for_one_account_are_refused(tmp_path: Path) -> None:
    rows = [{"account_id": "a", "campaign_id": None, "role": "benign"}] * 2
    save(tmp_path / "labels" / "accounts.parquet", LABEL_ACCOUNTS, rows)
    save(tmp_path / "labels" / "exchanges.parquet", LABEL_EXCHANGES, [])
    with pytest.raises(InputError, match="two labels"):
        evaluate(scan(tmp_path / "scan", [], [], []), tmp_path / "labels")
