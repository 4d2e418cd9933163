"""Which rows of a log are one exchange: ids that mean nothing, spans of one call, repeats."""

import json
from pathlib import Path

import pytest
from tests.path.odd_logs import RUNNER, call, doctor, lines, scanned, span

from clonewatch.adapters.reading import open_log
from clonewatch.cli.main import app
from clonewatch.engines.duckdb import DuckDB
from clonewatch.fingerprints.fingerprinting import Fingerprinter
from clonewatch.pipeline.intake.deduplicate import Repeats, settle
from clonewatch.pipeline.intake.staging import EXCHANGE_SCHEMA, Stager
from clonewatch.pipeline.steps import StepRunner


def test_ids_that_a_server_counts_again_are_no_reason_to_drop_calls(tmp_path: Path) -> None:
    file = tmp_path / "ollama.jsonl"
    file.write_text(
        lines(*(call(i, account_id=f"a-{i % 40}", response={"id": f"chatcmpl-{i % 999}"}) for i in range(1200)))
    )
    summary, said = scanned(file, tmp_path / "out")
    assert (summary["counts"]["kept"], summary["counts"]["duplicate"], summary["counts"]["shared_id"]) == (1200, 0, 402)
    assert "402 of 1,200 rows (33.5%) have an exchange id that other accounts" in said
    assert "402 of 1,200 rows" in (tmp_path / "out" / "report.html").read_text()
    told = doctor(file)
    assert told["repeats"] == {"merged": 0, "shared": 402} and any("identify nothing" in w for w in told["warnings"])


def test_one_id_for_every_call_keeps_every_call(tmp_path: Path) -> None:
    file = tmp_path / "e.jsonl"
    file.write_text(lines(*(call(i, account_id="a", exchange_id="req") for i in range(50))))
    assert scanned(file, tmp_path / "out")[0]["counts"]["kept"] == 50


@pytest.mark.parametrize("order", [1, -1])
def test_two_spans_of_one_call_are_one_exchange_with_all_that_both_say(tmp_path: Path, order: int) -> None:
    content = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Name a river of Peru please"}]}])
    spans = [
        span("a", ("gen_ai.request.max_tokens", "64"), ("client.address", "198.51.100.7")),
        span("b", ("gen_ai.input.messages", content)),
    ][::order]
    file = tmp_path / "t.jsonl"
    file.write_text(lines({"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"spans": spans}]}]}))
    log = open_log(file)
    with DuckDB(threads=1).using() as engine:
        runner, stager = StepRunner(engine), Stager(bytes(32))
        taken = stager.stage_all(log.batches(lambda _: None), Fingerprinter(bytes(32)).apply)
        runner.wrote("arrivals", engine.ingest("arrivals", EXCHANGE_SCHEMA, taken))
        runner.put("families", stager.families(engine))
        assert settle(runner, 2) == Repeats(merged=1, completed=1, shared=0)
        row = engine.fetch("SELECT * FROM exchanges").to_pylist()
    assert len(row) == 1 and all(row[0][n] is not None for n in ("prompt", "template", "network", "shape"))


def test_a_log_of_repeats_is_written_but_not_trusted(tmp_path: Path) -> None:
    file = tmp_path / "e.jsonl"
    calls = [call(i, exchange_id=f"e-{i}") for i in range(40)]
    file.write_text(lines(*calls, *calls))
    summary, said = scanned(file, tmp_path / "twice")
    assert summary["counts"]["duplicate"] == 40 and "40 rows repeated an exchange" in said
    assert any("40 of 80 rows (50%) repeat an exchange" in warning for warning in summary["warnings"])
    file.write_text(lines(*calls, *calls, *calls))
    summary, said = scanned(file, tmp_path / "thrice", code=4)
    assert summary["counts"]["kept"] == 40 and "--max-repeated" in said
    assert doctor(file)["repeats"] == {"merged": 80, "shared": 0}


def test_a_state_keeps_what_a_scan_keeps(tmp_path: Path) -> None:
    """Ids that mean nothing, a call that comes twice, and one whose prompt comes later and in another file."""
    calls = [call(i, account_id=f"a-{i % 7}", exchange_id=f"id-{i % 50}") for i in range(200)]
    bare = call(500, exchange_id="late", request={"model": "m"}, client_ip="198.51.100.7")
    first, second, both = tmp_path / "1.jsonl", tmp_path / "2.jsonl", tmp_path / "both"
    first.write_text(lines(*calls[:120], bare))
    second.write_text(lines(*calls[100:], call(500, exchange_id="late")))
    both.mkdir()
    for file in (first, second):
        (both / file.name).write_text(file.read_text())
    counts = scanned(both, tmp_path / "scan")[0]["counts"]
    for file in (first, second):
        arguments = ["ingest", str(file), "--state", str(tmp_path / "state"), "--quiet"]
        assert RUNNER.invoke(app, [*arguments, "--key", str(tmp_path / "scan") + ".key"]).exit_code == 0
    arguments = ["detect", "--state", str(tmp_path / "state"), "--out", str(tmp_path / "windows"), "--days", "7"]
    done = RUNNER.invoke(app, [*arguments, "--quiet", "--key", str(tmp_path / "scan") + ".key"])
    assert done.exit_code == 0, done.output
    window = json.loads((tmp_path / "windows" / "7-days" / "scan.json").read_text())["counts"]
    assert counts["kept"] == window["kept"] == 201
    assert counts["completed"] == window["completed"] == 1
