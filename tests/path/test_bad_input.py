"""Bad logs and bad set-ups: a message says what is wrong, where, and how to fix it, and never shows a traceback."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from clonewatch.cli.main import app
from clonewatch.kernels.arrow import arrow_schema
from clonewatch.lab.simulate import simulate
from clonewatch.model.schema import ACCOUNTS, EXCHANGES

Row = dict[str, Any]


def rows(count: int = 200, accounts: int = 20) -> list[Row]:
    return [
        {
            "exchange_id": f"x{i}",
            "ts": f"2026-05-{1 + i // 100 % 28:02}T{i % 24:02}:{i % 60:02}:00Z",
            "account_id": f"a{i % accounts}",
            "client_ip": f"192.0.2.{i % 9}",
            "model": "m",
            "cell": i % 40,
        }
        for i in range(count)
    ]


def lines(*texts: Row | str | bytes) -> bytes:
    encoded = (t if isinstance(t, bytes) else (t if isinstance(t, str) else json.dumps(t)).encode() for t in texts)
    return b"".join(t + b"\n" for t in encoded)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An earlier result that worked."""
    folder = tmp_path_factory.mktemp("before")
    (folder / "log.ndjson").write_bytes(lines(*rows()))
    ended(folder / "log.ndjson", out=folder / "result")
    return folder / "result"


@pytest.fixture
def out(tmp_path: Path, before: Path) -> Path:
    return Path(shutil.copytree(before, tmp_path / "result"))


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def ended(*paths: Path, out: Path, code: int = 0, also: Iterable[str] = ()) -> str:
    """Scan and return standard error; a bug is raised again unchanged."""
    line = ["scan", *map(str, paths), "--out", str(out), "--quiet", "--threads", "1", *also]
    found = CliRunner().invoke(app, line)
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == code, found.stderr + found.stdout
    assert "Traceback" not in found.stderr
    return found.stderr


def refused(*paths: Path, out: Path, before: Path, also: Iterable[str] = ()) -> str:
    """A bad set-up: the message says what is wrong and the fix, and the earlier result is unchanged."""
    said = ended(*paths, out=out, code=2, also=also)
    assert said.startswith("Error: ") and "\nFix:   " in said, said
    assert contents(out) == contents(before)
    return said


def summary(out: Path) -> Row:
    told: Row = json.loads((out / "scan.json").read_text())
    return told


def reasons(out: Path) -> list[Row]:
    return [json.loads(line) for line in (out / "rejected.ndjson").read_text().splitlines()]


# ---- nothing to read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"\n\n\n", b" \t\r\n"])
def test_an_empty_file_is_refused_by_name(tmp_path: Path, out: Path, before: Path, content: bytes) -> None:
    (tmp_path / "log.ndjson").write_bytes(content)
    assert "log.ndjson" in refused(tmp_path / "log.ndjson", out=out, before=before)


def test_an_empty_folder_is_refused_by_name(tmp_path: Path, out: Path, before: Path) -> None:
    (tmp_path / "logs").mkdir()
    assert str(tmp_path / "logs") in refused(tmp_path / "logs", out=out, before=before)


def test_a_missing_path_is_refused_by_name(tmp_path: Path, out: Path, before: Path) -> None:
    assert str(tmp_path / "nowhere") in refused(tmp_path / "nowhere", out=out, before=before)


def test_a_parquet_file_without_a_row_is_refused(tmp_path: Path, out: Path, before: Path) -> None:
    pq.write_table(arrow_schema(EXCHANGES).empty_table(), tmp_path / "log.parquet")
    assert "log.parquet" in refused(tmp_path / "log.parquet", out=out, before=before)


def test_a_picture_is_not_a_log(tmp_path: Path, out: Path, before: Path) -> None:
    (tmp_path / "log.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40)
    assert "log.png" in refused(tmp_path / "log.png", out=out, before=before)


def test_a_log_without_account_ids_is_refused(tmp_path: Path, out: Path, before: Path) -> None:
    bare = [{k: v for k, v in row.items() if k != "account_id"} for row in rows()]
    (tmp_path / "log.ndjson").write_bytes(lines(*bare))
    refused(tmp_path / "log.ndjson", out=out, before=before)


def test_a_map_without_an_account_key_is_refused(tmp_path: Path, out: Path, before: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(lines(*({"when": r["ts"], "who": r["account_id"]} for r in rows())))
    (tmp_path / "map.toml").write_text('format = "jsonl_map"\n[fields]\nts = "when"\n')
    also = ("--map", str(tmp_path / "map.toml"))
    assert "account" in refused(tmp_path / "log.jsonl", out=out, before=before, also=also)


# ---- little to read ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "accounts"), [(1, 1), (2, 2), (300, 1), (300, 300)])
def test_a_tiny_log_is_read_and_nothing_is_flagged(tmp_path: Path, count: int, accounts: int) -> None:
    (tmp_path / "log.ndjson").write_bytes(lines(*rows(count, accounts)))
    ended(tmp_path / "log.ndjson", out=tmp_path / "out", also=("--fail-on", "flagged"))
    told = summary(tmp_path / "out")
    assert told["counts"]["kept"] == count and told["counts"]["accounts"] == accounts
    assert (tmp_path / "out" / "report.html").stat().st_size > 1000


def test_accounts_that_the_log_never_mentions_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "log.ndjson").write_bytes(lines(*rows()))
    strangers = pa.table({"account_id": [f"other{i}" for i in range(50)], "anchor": [True] * 50})
    pq.write_table(strangers, tmp_path / "accounts.parquet")
    ended(tmp_path / "log.ndjson", out=tmp_path / "out", also=("--accounts", str(tmp_path / "accounts.parquet")))
    assert summary(tmp_path / "out")["trust"]["source"] != "declared"


# ---- columns that are not there --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A naive harvest among a few hundred honest accounts, and the accounts that a full scan flags."""
    folder = tmp_path_factory.mktemp("simulated")
    simulate("s01_shared_cards", folder / "log", seed=0, scale=0.05)
    return folder / "log"


def flagged(out: Path) -> set[str]:
    wanted = {r["campaign_id"] for r in pq.read_table(out / "campaigns.parquet").to_pylist() if r["flagged"]}
    return {r["account_id"] for r in pq.read_table(out / "members.parquet").to_pylist() if r["campaign_id"] in wanted}


def labelled(log: Path) -> set[str]:
    told = pq.read_table(log / "labels" / "accounts.parquet").to_pylist()
    return {row["account_id"] for row in told if row["role"] in ("member", "proxy_customer")}


GROUPS = {
    "no fingerprints": ("template_id", "system_hash", "tools_hash", "format_hash", "sketch"),
    "no topics": ("cell", "task", "prompt_id", "elicitation"),
    "no network": ("client_ip", "asn", "country", "egress"),
    "no client": ("user_agent", "tls_fingerprint", "sdk", "max_tokens", "temperature", "top_p", "n", "logprobs"),
    "no sessions": ("session_id", "turn", "end_user_id", "api_key_id", "signature_id", "signature_session_id"),
    "only what is required": tuple(c.name for c in EXCHANGES.columns if not c.required),
}


@pytest.mark.parametrize("missing", GROUPS.values(), ids=GROUPS)
def test_missing_columns_never_make_an_honest_account_a_member(
    tmp_path: Path, simulated: Path, missing: tuple[str, ...]
) -> None:
    table = pq.read_table(simulated / "exchanges")
    pq.write_table(table.drop_columns([c for c in missing if c in table.column_names]), tmp_path / "log.parquet")
    also = [f"--{n}={simulated / n}.parquet" for n in ("accounts", "events")]
    ended(tmp_path / "log.parquet", out=tmp_path / "out", also=also)
    assert flagged(tmp_path / "out") <= labelled(simulated)


ACCOUNT_GROUPS = {
    "no trusted accounts": ("anchor",),
    "no instruments": ("payment_fingerprint", "payment_class", "device_fingerprint", "phone_prefix"),
    "no organisations": ("org_id", "org_declared", "training_permitted", "declared_use"),
    "names only": tuple(c.name for c in ACCOUNTS.columns if not c.required),
}


@pytest.mark.parametrize("missing", ACCOUNT_GROUPS.values(), ids=ACCOUNT_GROUPS)
def test_a_scan_works_without_some_account_facts(tmp_path: Path, simulated: Path, missing: tuple[str, ...]) -> None:
    table = pq.read_table(simulated / "accounts.parquet")
    pq.write_table(table.drop_columns([c for c in missing if c in table.column_names]), tmp_path / "accounts.parquet")
    also = [f"--accounts={tmp_path / 'accounts.parquet'}", f"--events={simulated / 'events.parquet'}"]
    ended(simulated / "exchanges", out=tmp_path / "out", also=also)
    signals = {c["name"]: c for c in summary(tmp_path / "out")["signals"]}
    if "payment_fingerprint" in missing:
        assert not signals["payment"]["used"] and signals["payment"]["missing"] == ["accounts.payment_fingerprint"]


# ---- rows that are not what they should be ---------------------------------------------------------------------------


def test_rejected_rows_are_counted_and_written_to_their_own_file(tmp_path: Path) -> None:
    bad: list[Row | str | bytes] = [
        "not json",
        '{"exchange_id": "y"',
        "[1, 2]",
        "null",
        {**rows()[0], "exchange_id": None},
        {**rows()[0], "exchange_id": "z", "ts": "yesterday"},
        b'{"exchange_id": "\xff\xfe", "ts": \x00}',
    ]
    (tmp_path / "log.ndjson").write_bytes(lines(*rows(2000), *bad))
    ended(tmp_path / "log.ndjson", out=tmp_path / "out")
    assert summary(tmp_path / "out")["counts"]["rejected"] == len(bad)
    written = reasons(tmp_path / "out")
    assert sorted(r["line"] for r in written) == list(range(2001, 2001 + len(bad)))
    assert all(r["file"].endswith("log.ndjson") and r["reason"] for r in written)


def test_too_many_rejected_rows_exit_with_four_after_the_result_is_written(tmp_path: Path) -> None:
    (tmp_path / "log.ndjson").write_bytes(lines(*rows(100), *["broken"] * 20))
    said = ended(tmp_path / "log.ndjson", out=tmp_path / "out", code=4)
    assert "20 of 120 rows were rejected" in said and "rejected.ndjson" in said and "Fix:" in said
    assert summary(tmp_path / "out")["counts"]["kept"] == 100 and len(reasons(tmp_path / "out")) == 20
    ended(tmp_path / "log.ndjson", out=tmp_path / "out", also=("--max-rejected", "0.5"))


def test_a_log_of_rejected_rows_only_is_refused(tmp_path: Path, out: Path, before: Path) -> None:
    (tmp_path / "log.ndjson").write_bytes(lines(*({**row, "ts": "never"} for row in rows(50))))
    refused(tmp_path / "log.ndjson", out=out, before=before)


@pytest.mark.parametrize(
    "strange",
    [
        pytest.param(b'{"exchange_id": "k\x00", "ts": "2026-05-01T00:00:00Z", "account_id": "a\x00b"}', id="NUL bytes"),
        pytest.param(b'{"exchange_id": "\xc3\x28", "ts": "2026-05-01T00:00:00Z", "account_id": "a"}', id="bad UTF-8"),
        pytest.param(b'{"exchange_id": "k", "ts": 1e400, "account_id": "a"}', id="a number beyond all numbers"),
        pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, id="a hundred thousand brackets deep"),
        pytest.param(b"[" * 200_000, id="brackets that never close"),
        pytest.param(b'{"exchange_id": "k", "messages": "' + b"A" * 20_000_000 + b'"}', id="twenty megabytes"),
        pytest.param(b'{"exchange_id": "' + b"\\u0000" * 200 + b'", "ts": 0, "account_id": {}}', id="wrong types"),
    ],
)
def test_a_hostile_line_rejects_at_most_one_row(tmp_path: Path, strange: bytes) -> None:
    (tmp_path / "log.ndjson").write_bytes(lines(*rows(500), strange, *rows(500)))
    ended(tmp_path / "log.ndjson", out=tmp_path / "out")
    counts = summary(tmp_path / "out")["counts"]
    assert counts["rejected"] <= 1
    assert counts["kept"] + counts["rejected"] + counts["duplicate"] == 1001 and counts["duplicate"] == 500


def test_an_account_name_with_markup_is_only_text_in_the_report(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>"
    table = [{**row, "account_id": name if row["account_id"] == "a1" else row["account_id"]} for row in rows(400, 10)]
    (tmp_path / "log.ndjson").write_bytes(lines(*table))
    ended(tmp_path / "log.ndjson", out=tmp_path / "out")
    assert name not in (tmp_path / "out" / "report.html").read_text()


def test_a_scan_works_with_wrong_clocks(tmp_path: Path) -> None:
    odd = ("1970-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2099-12-31T23:59:59Z")
    skewed = [{**row, "exchange_id": f"s{i}", "ts": odd[i % 3]} for i, row in enumerate(rows(60))]
    (tmp_path / "log.ndjson").write_bytes(lines(*rows(600), *skewed))
    ended(tmp_path / "log.ndjson", out=tmp_path / "out", also=("--max-rejected", "1"))
    counts = summary(tmp_path / "out")["counts"]
    assert counts["kept"] + counts["rejected"] == 660 and counts["kept"] >= 600


def test_a_scan_works_with_all_exchanges_at_one_moment(tmp_path: Path) -> None:
    (tmp_path / "log.ndjson").write_bytes(lines(*({**row, "ts": "2026-05-01T00:00:00Z"} for row in rows(900, 30))))
    ended(tmp_path / "log.ndjson", out=tmp_path / "out", also=("--fail-on", "flagged"))


def test_exchanges_logged_twice_and_out_of_order_are_counted_once(tmp_path: Path) -> None:
    table = rows(300)
    (tmp_path / "log.ndjson").write_bytes(lines(*table, *reversed(table)))
    ended(tmp_path / "log.ndjson", out=tmp_path / "out")
    counts = summary(tmp_path / "out")["counts"]
    assert (counts["kept"], counts["duplicate"]) == (300, 300)


# ---- files that are torn -------------------------------------------------------------------------------------------


def test_a_truncated_gzip_file_is_reported(tmp_path: Path, out: Path) -> None:
    packed = gzip.compress(lines(*rows(20_000)))
    (tmp_path / "log.ndjson.gz").write_bytes(packed[: len(packed) // 2])
    line = ["scan", str(tmp_path / "log.ndjson.gz"), "--out", str(out), "--quiet"]
    found = CliRunner().invoke(app, line)
    assert isinstance(found.exception, SystemExit | None), found.exception
    told = found.stderr + found.stdout + (out / "rejected.ndjson").read_text()
    assert "log.ndjson.gz" in told and "Traceback" not in told
    assert found.exit_code == 4 and "not read to its end" in found.stderr and reasons(out)
    assert json.loads((out / "scan.json").read_text())["counts"]["ended_early"] == 1
    state = ["ingest", line[1], "--state", str(tmp_path / "state"), "--quiet"]
    assert CliRunner().invoke(app, state).exit_code == 4
    asked = CliRunner().invoke(app, ["doctor", line[1]])
    assert asked.exit_code == 4 and "not read to its end" in asked.stderr
    assert CliRunner().invoke(app, [*line, "--max-rejected", "1"]).exit_code == 0


def test_a_truncated_parquet_file_is_refused_by_name(tmp_path: Path, out: Path, before: Path) -> None:
    pq.write_table(pa.Table.from_pylist(rows(2000)), tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    (tmp_path / "log.parquet").write_bytes(whole[: len(whole) // 2])
    assert "log.parquet" in refused(tmp_path / "log.parquet", out=out, before=before)


def test_a_parquet_file_with_damaged_pages_is_an_error_not_a_crash(tmp_path: Path, out: Path, before: Path) -> None:
    """The end of the file is intact, its middle is not."""
    table = pa.Table.from_pylist([{**r, "ts": None} for r in rows(20_000)])
    stamps = pa.array(range(20_000), pa.timestamp("us", tz="UTC"))
    table = table.set_column(table.column_names.index("ts"), "ts", stamps)
    pq.write_table(table, tmp_path / "log.parquet", compression="zstd")
    bad = bytearray((tmp_path / "log.parquet").read_bytes())
    bad[200 : len(bad) // 2] = b"\x5a" * (len(bad) // 2 - 200)
    (tmp_path / "log.parquet").write_bytes(bad)
    assert "log.parquet" in refused(tmp_path / "log.parquet", out=out, before=before)


def test_truncated_account_facts_are_refused_by_name(tmp_path: Path, out: Path, before: Path) -> None:
    (tmp_path / "log.ndjson").write_bytes(lines(*rows()))
    (tmp_path / "accounts.parquet").write_bytes(b"PAR1 torn")
    also = ("--accounts", str(tmp_path / "accounts.parquet"))
    assert "accounts.parquet" in refused(tmp_path / "log.ndjson", out=out, before=before, also=also)


# ---- verdicts as exit codes ----------------------------------------------------------------------------------------


def test_a_flagged_campaign_exits_with_three_when_requested(tmp_path: Path, simulated: Path) -> None:
    ended(simulated, out=tmp_path / "out", code=3, also=("--fail-on", "flagged"))
    assert flagged(tmp_path / "out") and flagged(tmp_path / "out") <= labelled(simulated)
    ended(simulated, out=tmp_path / "out", code=0)


# ---- facts about other accounts ------------------------------------------------------------------------------------


def facts(folder: Path, *ids: str) -> Path:
    file = folder / "facts.csv"
    file.write_text("account_id,anchor\n" + "".join(f"{name},true\n" for name in ids))
    return file


@pytest.mark.parametrize("known", [0, 9])
def test_an_accounts_file_of_other_accounts_causes_a_warning_in_the_summary_and_the_report(
    known: int, tmp_path: Path, out: Path
) -> None:
    (tmp_path / "log.ndjson").write_bytes(lines(*rows()))
    file = facts(tmp_path, *(f"a{i}" for i in range(known)), *(f"A-{i}" for i in range(20 - known)))
    ended(tmp_path / "log.ndjson", out=out, also=["--accounts", str(file)])
    told = [
        w for w in summary(out)["warnings"] if w.startswith(f"{known} of 20 account ids in {file} occur in the log")
    ]
    assert len(told) == 1 and "e.g. 'A-0' does not" in told[0] and "check that both spell ids the same way" in told[0]
    assert f"{known} of 20 account ids" in (out / "report.html").read_text(encoding="utf-8")


def test_a_large_accounts_file_that_holds_all_accounts_of_the_log_causes_none(tmp_path: Path, out: Path) -> None:
    (tmp_path / "log.ndjson").write_bytes(lines(*rows()))
    file = facts(tmp_path, *(f"a{i}" for i in range(500)))
    ended(tmp_path / "log.ndjson", out=out, also=["--accounts", str(file)])
    assert summary(out)["warnings"] == []


def test_a_state_warns_of_an_accounts_file_of_other_accounts(tmp_path: Path) -> None:
    (tmp_path / "log.ndjson").write_bytes(lines(*rows()))
    words = [
        "ingest",
        tmp_path / "log.ndjson",
        "--state",
        tmp_path / "state",
        "--accounts",
        facts(tmp_path, "X1", "X2"),
    ]
    done = CliRunner().invoke(app, [*map(str, words), "--quiet"])
    assert done.exit_code == 0, done.stderr
    assert "0 of 2 account ids in" in done.stdout
