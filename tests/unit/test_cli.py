"""The command line: what it prints, where, and the exit codes it leaves with."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest
import typer
from typer.testing import CliRunner

from clonewatch import __version__
from clonewatch.cli import progress as drawing
from clonewatch.cli.main import app, message
from clonewatch.model import schema
from clonewatch.model.errors import InputError, TooManyRejected
from clonewatch.pipeline.detection.reach import reach
from clonewatch.pipeline.look import _can
from clonewatch.ports.signal import Card, Signal

_SPEC = importlib.util.spec_from_file_location("report_tables", Path(__file__).with_name("report_tables.py"))
assert _SPEC is not None and _SPEC.loader is not None
made = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(made)

RUNNER = CliRunner()


def ask(*arguments: object) -> Any:
    return RUNNER.invoke(app, [str(a) for a in arguments])


def command(*arguments: object, **other: Any) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", "from clonewatch.cli.main import run; run()", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False, **other)


def write(folder: Path, tables: dict[str, pa.Table]) -> Path:
    return cast(Path, made.publish(folder, tables))


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("scan"), made.scan(accounts=30))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    rows = [
        {"exchange_id": f"x{i}", "ts": f"2026-05-01T00:{i:02}:00Z", "account_id": f"a{i % 5}", "client_ip": "192.0.2.7"}
        for i in range(50)
    ]
    path = tmp_path / "log.ndjson"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@dataclass
class Played:
    """Stands in for the pipeline: returns or raises what a test says, and keeps the settings it was given."""

    outcome: Any
    given: list[Any] = field(default_factory=list)

    def __call__(self, settings: Any, progress: Any) -> Any:
        self.given.append(settings)
        progress.start("reading", 10, "bytes")
        progress.advance(10, 4)
        progress.end()
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


@dataclass
class Result:
    tables: dict[str, pa.Table]
    summary: dict[str, Any]


def played(monkeypatch: pytest.MonkeyPatch, outcome: Any) -> Played:
    stand_in = Played(outcome)
    monkeypatch.setattr("clonewatch.pipeline.scan.scan", stand_in)
    return stand_in


def test_help_and_version_answer_without_the_heavy_parts() -> None:
    script = "import sys; sys.argv=['clonewatch','--help']\nfrom clonewatch.cli.main import app\n"
    script += "try:\n    app()\nexcept SystemExit:\n"
    script += "    print(sorted({'pyarrow', 'duckdb', 'numba', 'numpy'} & sys.modules.keys()))"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.endswith("[]\n")
    assert ask("--version").stdout == f"clonewatch {__version__}\n"


def test_the_help_and_a_command_import_no_other_command() -> None:
    script = "import sys; sys.argv=['clonewatch', *{line}]\nfrom clonewatch.cli.main import ENTRIES, app\n"
    script += "try:\n    app()\nexcept SystemExit:\n"
    script += "    print(sorted({{e.module for e in ENTRIES if 'clonewatch.cli.' + e.module in sys.modules}}))"
    for line, held in ((["--help"], "[]"), (["schema", "--help"], "['schema']"), (["nosuch"], "[]")):
        done = subprocess.run(
            [sys.executable, "-c", script.format(line=line)], capture_output=True, text=True, check=True
        )
        assert done.stdout.endswith(f"{held}\n")


def test_the_help_lists_every_command_that_can_be_called() -> None:
    said = ask("--help").stdout
    listed = re.findall(r"^  ([a-z-]+)  +\S", said.partition("Commands:")[2], re.M)
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert listed == list(commands) and len(listed) == len(set(listed)) > 20
    assert all(name == command.name for name, command in commands.items())


def test_scan_hands_every_option_to_the_pipeline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in = played(monkeypatch, Result(made.scan(0, 0), made.summary()))
    line = "a.log b.log --out O --map m.toml --accounts acc.csv --events ev.csv --format openai"
    line += " --seed 7 --key k --memory 2GB"
    assert ask("scan", *line.split(), "--threads", 2, "--max-rejected", 0.2, "--quiet").exit_code == 0
    settings = stand_in.given[0]
    assert settings.paths == ("a.log", "b.log")
    assert (settings.out, settings.mapping, settings.format) == (Path("O"), "m.toml", "openai")
    assert (settings.accounts, settings.events) == (Path("acc.csv"), Path("ev.csv"))
    assert (settings.seed, settings.key_file) == (7, Path("k"))
    assert (settings.memory, settings.threads, settings.max_rejected, settings.keep_text) == ("2GB", 2, 0.2, False)


@pytest.mark.parametrize(
    ("flagged", "arguments", "code"), [(1, ["--fail-on", "flagged"], 3), (1, [], 0), (0, ["--fail-on", "flagged"], 0)]
)
def test_scan_fails_on_flagged_only_when_asked(
    monkeypatch: pytest.MonkeyPatch, flagged: int, arguments: list[str], code: int
) -> None:
    played(monkeypatch, Result(made.scan(flagged, 1, 10), made.summary()))
    found = ask("scan", "x", "--out", "o", *arguments)
    assert found.exit_code == code
    assert ("1 campaign flagged" if flagged else "Nothing was flagged.") in found.stdout


@pytest.mark.parametrize(("arguments", "code"), [(["--fail-on", "flagged"], 0), (["--fail-on", "review"], 3), ([], 0)])
def test_scan_fails_on_a_group_for_review_only_when_asked(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int
) -> None:
    rows = [made.campaign("C1", flagged=False, outcome="review", rank=1, question="app_users")]
    tables = made.scan(0, 0) | {"campaigns": made.table(schema.CAMPAIGNS, rows)}
    played(monkeypatch, Result(tables, made.summary()))
    found = ask("scan", "x", "--out", "o", *arguments)
    assert found.exit_code == code
    assert "To answer: clonewatch answer C1 --scan o --yes (or --no)" in found.stdout


def test_scan_hands_the_answers_to_the_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = played(monkeypatch, Result(made.scan(0, 0), made.summary()))
    assert ask("scan", "x", "--out", "o", "--answers", "a.jsonl").exit_code == 0
    assert stand_in.given[0].answers == Path("a.jsonl")


def test_scan_keeps_progress_off_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    played(monkeypatch, Result(made.scan(1, 0, 5), made.summary()))
    loud = ask("scan", "x", "--out", "o", "--json")
    assert json.loads(loud.stdout)["campaigns"][0]["tasks"]["grading"] == 4000
    assert "reading" in loud.stderr and "4 rows" in loud.stderr
    assert ask("scan", "x", "--out", "o", "--json", "--quiet").stderr == ""


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (
            InputError("no such file", where="a.log", fix="Check the path"),
            2,
            "Error: no such file\nWhere: a.log\nFix:   Check the path\n",
        ),
        (TooManyRejected("9 of 10 rows were rejected"), 4, "Error: 9 of 10 rows were rejected\n"),
        (KeyboardInterrupt(), 130, "Interrupted. Earlier results are as they were.\n"),
    ],
)
def test_what_goes_wrong_becomes_a_message_and_a_code(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int, said: str
) -> None:
    played(monkeypatch, raised)
    found = ask("scan", "x", "--out", "o", "--quiet")
    assert (found.exit_code, found.stderr, found.stdout) == (code, said, "")


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    played(monkeypatch, ZeroDivisionError("a bug"))
    assert isinstance(ask("scan", "x", "--out", "o").exception, ZeroDivisionError)


def test_a_message_without_place_or_mend_is_one_line() -> None:
    assert message(InputError("no")) == "Error: no"


@pytest.mark.parametrize(
    "arguments",
    [
        ["scan"],
        ["scan", "x"],
        ["scan", "x", "--out", "o", "--fail-on", "nothing"],
        ["nosuch"],
        ["simulate"],
        ["why", "a"],
        ["schema", "nosuch"],
    ],
)
def test_wrong_usage_leaves_with_two(arguments: list[str]) -> None:
    assert ask(*arguments).exit_code == 2


def test_text_is_kept_only_when_asked_and_only_until_the_next_scan(tmp_path: Path, log: Path) -> None:
    kept = tmp_path / "out" / "texts.parquet"
    assert ask("scan", log, "--out", tmp_path / "out", "--quiet").exit_code == 0
    assert not kept.exists()
    assert ask("scan", log, "--out", tmp_path / "out", "--keep-text", "--quiet").exit_code == 0
    assert kept.exists()
    assert ask("scan", log, "--out", tmp_path / "out", "--quiet").exit_code == 0
    assert not kept.exists()


def test_the_real_command_says_what_where_and_the_fix(tmp_path: Path) -> None:
    found = command("scan", tmp_path / "nowhere.log", "--out", tmp_path / "out")
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith("Error: ") and f"Where: {tmp_path / 'nowhere.log'}" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_reader_who_leaves_early_causes_no_noise() -> None:
    line = [sys.executable, "-c", "from clonewatch.cli.main import run; run()", "schema", "--json"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        noise = process.stderr.read()
    assert noise == b""


def test_an_interrupted_command_leaves_with_130(tmp_path: Path) -> None:
    pipe = tmp_path / "endless.ndjson"
    os.mkfifo(pipe)
    line = [sys.executable, "-c", "from clonewatch.cli.main import run; run()", "doctor", str(pipe)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(2)  # it now waits for a writer that never comes
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Interrupted" in said and "Traceback" not in said


def test_campaigns_lists_flagged_ones_first(scan: Path) -> None:
    said = ask("campaigns", scan).stdout
    assert said.index("C1 ") < said.index("C2 ") < said.index("G1 ")
    rows = json.loads(ask("campaigns", scan, "--json").stdout)
    assert [row["campaign_id"] for row in rows] == ["C1", "C2", "G1"]
    assert set(rows[0]) == set(schema.CAMPAIGNS.names)


def test_show_tells_both_sides(scan: Path) -> None:
    said = ask("show", "C1", "--scan", scan).stdout
    assert "180 accounts pay with 4 instruments" in said
    assert "innocent explanation: A company card used by one firm's teams." in said
    assert said.index("Against:") < said.index("Traffic falls by half at night")
    assert "What would lower the level" in said
    held = json.loads(ask("show", "C1", "--scan", scan, "--json").stdout)
    assert len(held["members"]) == 30 and len(held["evidence"]) == 4


def test_show_names_the_campaigns_there_are(scan: Path) -> None:
    found = ask("show", "C9", "--scan", scan)
    assert found.exit_code == 2
    assert "There are: C1, C2, G1" in found.stderr


def test_why_walks_from_account_to_exchanges(scan: Path) -> None:
    said = ask("why", "C1-acct-00008", "--scan", scan).stdout
    assert "C1-acct-00008 is in C1 as fringe" in said
    assert "payment" in said and "ex-000017" in said
    held = json.loads(ask("why", "C1-acct-00008", "--scan", scan, "--json").stdout)["campaigns"]
    carried = {(t["signal"], t["attribute"]) for t in made.ties("C1", 30)[1] if t["account_id"] == "C1-acct-00008"}
    assert {(t["signal"], t["attribute"]) for t in held[0]["attributes"]} == carried


def test_why_says_plainly_when_an_account_is_in_nothing(scan: Path) -> None:
    found = ask("why", "stranger", "--scan", scan)
    assert found.exit_code == 0
    assert "stranger is in no campaign" in found.stdout
    assert "does not clear it" in found.stdout
    assert json.loads(ask("why", "stranger", "--scan", scan, "--json").stdout) == {
        "account": "stranger",
        "campaigns": [],
    }


RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
OWNED = "\x1b]0;owned\x07\x9b31m\u202e<script>"


@pytest.mark.parametrize("command", ["show", "why", "campaigns", "report", "answer", "track"])
def test_control_characters_of_an_account_never_reach_the_terminal_or_the_page(tmp_path: Path, command: str) -> None:
    """Neither in a line nor in a heading, nor in the name of a folder that a message shows."""
    tables = made.scan(1, 0, 3)
    for name in ("members", "attribute_accounts"):
        table = tables[name]
        ids = pa.array([OWNED] * table.num_rows)
        tables[name] = table.set_column(table.column_names.index("account_id"), "account_id", ids)
    folder = write(tmp_path / f"s{OWNED.replace('/', '')}", tables)
    said = {
        "show": ("show", "C1", "--scan", folder),
        "why": ("why", OWNED, "--scan", folder),
        "campaigns": ("campaigns", folder),
        "report": ("report", folder),
        "answer": ("answer", "C1", "--scan", folder, "--yes", "--question", "one_customer", "--note", OWNED),
        "track": ("track", folder, folder),
    }[command]
    found = ask(*said)
    assert found.exception is None or isinstance(found.exception, SystemExit)
    assert RAW.search(found.stdout + found.stderr) is None
    assert "\\u001b" in found.stdout + found.stderr or command in ("campaigns", "answer")
    if command == "report":
        page = (folder / "report.html").read_text(encoding="utf-8")
        assert RAW.search(page) is None and "<script" not in page


@pytest.mark.parametrize("asked", [["campaigns"], ["show", "C1", "--scan"], ["why", "a", "--scan"], ["report"]])
def test_a_folder_without_a_scan_is_named(tmp_path: Path, asked: list[str]) -> None:
    found = ask(*asked, tmp_path)
    assert found.exit_code == 2
    assert str(tmp_path) in found.stderr and "Fix:" in found.stderr


def test_a_torn_table_is_an_error_not_a_crash(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", made.scan(1, 0, 3))
    (folder / "members.parquet").write_bytes(b"PAR1 torn")
    found = ask("campaigns", folder)
    assert found.exit_code == 2 and "members.parquet" in found.stderr


def test_a_torn_summary_is_an_error_not_a_crash(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", made.scan(1, 0, 3))
    (folder / "scan.json").write_text('{"schema": ')
    assert "scan.json" in ask("report", folder).stderr


def test_report_draws_the_page_again_the_same(scan: Path) -> None:
    assert ask("report", scan).exit_code == 0
    first = (scan / "report.html").read_bytes()
    assert ask("report", scan).exit_code == 0
    assert (scan / "report.html").read_bytes() == first
    assert b"2 campaigns flagged" in first


def test_schema_prints_every_column() -> None:
    said = ask("schema").stdout
    for table in (schema.EXCHANGES, schema.ACCOUNTS, schema.EVENTS, *schema.RESULTS):
        for name in table.names:
            assert re.search(rf"\b{name}\b", said)
    held = json.loads(ask("schema", "exchanges", "--json").stdout)["tables"]
    assert list(held) == ["exchanges"] and held["exchanges"][0]["required"] is True


def test_doctor_tells_filled_columns_and_what_more_would_buy(log: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    held = json.loads(ask("doctor", log, "--json").stdout)
    assert held["rows"] == 50 and held["columns"]["exchanges.client_ip"] == 1.0
    signals = {c["name"]: c for c in held["signals"]}
    assert signals["egress"]["works"] and not signals["payment"]["works"]
    assert signals["payment"]["missing"] == ["accounts.payment_fingerprint"]
    assert not held["trusted_accounts"]
    said = ask("doctor", log).stdout
    assert "No account is marked as trusted" in said and "accounts.payment_fingerprint" in said
    assert sorted(tmp_path.iterdir()) == before


def test_doctor_takes_an_accounts_file_and_warns_when_its_ids_match_nothing(log: Path, tmp_path: Path) -> None:
    facts = tmp_path / "facts.csv"
    facts.write_text("account_id,anchor\nNOBODY-1,true\nNOBODY-2,true\n")
    held = json.loads(ask("doctor", log, "--accounts", facts, "--json").stdout)
    assert [
        w for w in held["warnings"] if w.startswith(f"0 of 2 account ids in {facts} occur in the log, e.g. 'NOBODY-1'")
    ]
    held = json.loads(ask("doctor", log, "--json").stdout)
    assert held["warnings"] == []


def test_doctor_counts_only_families_that_can_count_towards_a_flag(log: Path) -> None:
    said = ask("doctor", log).stdout
    assert "Families of tests that can count towards a flag: 1 (load)." in said and "A flag needs 3" in said
    assert (
        "(2 where too little is known to infer whom to trust)" in said
        and "trust will be inferred from behaviour" in said
    )
    assert "Families that can link accounts" in said


def test_individuality_counts_only_beside_a_test_of_purpose_and_trust_never() -> None:
    alone = reach({"individuality", "load_balance", "trusted_members", "regularity"}, marked=True)
    assert alone["tests"] == ["load", "pacing"] and not alone["enough"]
    beside = reach({"individuality", "load_balance", "elicitation"}, marked=True)
    assert beside["tests"] == ["harvest", "individuality", "load"] and beside["enough"]
    assert reach({"regularity", "load_balance"}, marked=False)["tests"] == ["load"]
    assert reach({"payment"}, marked=True)["deceptive_links"] == ["payment"]


def test_a_missing_option_comes_with_a_line_that_works() -> None:
    for words, example in (
        (("scan", "x.ndjson"), "clonewatch scan exchanges.parquet --out result"),
        (("show", "C0001"), "clonewatch show C0001 --scan result"),
    ):
        done = ask(*words)
        assert done.exit_code == 2 and f"For example: {example}" in " ".join(done.stderr.split())


def test_a_time_that_is_none_is_answered_with_two_that_are(log: Path, tmp_path: Path) -> None:
    done = ask("scan", log, "--out", tmp_path / "out", "--since", "yesterday")
    said = " ".join(done.stderr.split())
    assert done.exit_code == 2 and "Write 2026-05-01 or 2026-05-01T06:00" in said
    assert "%Y" not in said and "Value error" not in said


def test_a_file_where_a_folder_is_expected_is_called_a_file(log: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("x")
    for words in (
        ("scan", log, "--out", taken),
        ("simulate", "quiet", "--out", taken),
        ("ingest", log, "--state", taken),
    ):
        done = ask(*words)
        assert done.exit_code == 2 and "that is a file, not a folder" in done.stderr, words


def test_an_id_of_a_group_may_be_written_in_small_letters(scan: Path) -> None:
    assert ask("show", "c1", "--scan", scan).stdout == ask("show", "C1", "--scan", scan).stdout != ""


def test_why_suggests_ids_like_a_mistyped_one(scan: Path) -> None:
    said = ask("why", "C1-acct-0001", "--scan", scan).stdout
    assert "Check the spelling" in said and "Ids like it that are in a group: C1-acct-000" in said


def test_why_says_less_of_a_member_of_a_group_that_is_not_flagged(scan: Path) -> None:
    said = ask("why", "G1-acct-00000", "--scan", scan).stdout
    assert "is in G1 as linked" in said and "through and through" not in said and "Membership" not in said
    assert "Nothing is attributed to a group that is not flagged." in said


def test_doctor_counts_why_rows_are_rejected(log: Path) -> None:
    with log.open("a") as more:
        more.write('{"exchange_id": "y1"}\nnot json\n')
    held = json.loads(ask("doctor", log, "--json").stdout)
    assert held["rejected"] == 2 and sum(held["reasons"].values()) == 2


def test_a_signal_works_when_one_of_its_alternatives_is_there() -> None:
    signal = Signal("c", "link", Card("t", "f", "c", "m", "i", "e"), (("exchanges.a", "exchanges.b"), ("exchanges.c",)))
    assert _can(signal, {"exchanges.c"})["works"]
    assert _can(signal, {"exchanges.a", "exchanges.b"})["works"]
    assert _can(signal, {"exchanges.a"})["missing"] == ["exchanges.b"]


def test_a_long_stage_says_so_in_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = iter([0.0, 20.0, 25.0, 40.0])
    monkeypatch.setattr(drawing.time, "monotonic", lambda: next(now))
    lines = drawing.Lines()
    lines.start("reading", None, "bytes")
    lines.advance(1, 100)
    lines.advance(1, 100)
    lines.end("200 exchanges")
    said = capsys.readouterr().err.splitlines()
    assert said == ["reading: 100 rows, 5 rows/s", "reading: 200 exchanges, 200 rows, 5 rows/s, 40.0 s"]


def test_bars_show_stages_rows_and_notes() -> None:
    from rich.progress import Progress as Bars

    bars = Bars(auto_refresh=False, disable=True)
    drawn = drawing.Drawn(bars)
    drawn.start("reading", 100, "bytes")
    drawn.advance(40, 7)
    assert bars.tasks[0].completed == 40 and "7 rows" in bars.tasks[0].fields["rate"]
    drawn.end("done well")
    assert bars.tasks[0].finished and bars.tasks[0].fields["rate"] == "done well"


def test_simulate_names_its_scenarios_and_refuses_a_wrong_one(tmp_path: Path) -> None:
    assert "quiet" in ask("simulate", "--list").stdout
    found = ask("simulate", "nosuch", "--out", tmp_path / "log")
    assert found.exit_code == 2 and "unknown scenario" in found.stderr


def test_a_log_goes_from_simulation_to_report_and_scores(tmp_path: Path) -> None:
    made_log, out = tmp_path / "log", tmp_path / "out"
    assert ask("simulate", "demo", "--out", made_log, "--scale", 0.2).exit_code == 0
    assert ask("scan", made_log, "--out", out, "--quiet").exit_code == 0
    assert (out / "report.html").read_text().startswith("<!DOCTYPE html>")
    page = (out / "report.html").read_bytes()
    assert ask("report", out).exit_code == 0
    assert (out / "report.html").read_bytes() == page
    scores = json.loads(ask("evaluate", out, made_log, "--json").stdout)
    assert scores["counts"]["labelled_accounts"] > 0
    assert "labelled_accounts" in ask("evaluate", out, made_log).stdout
