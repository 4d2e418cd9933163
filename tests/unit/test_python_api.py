"""The Python interface: every option is in the signature, paths may be text, and a result can be queried."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet as pq
import pytest
import typer

import clonewatch
from clonewatch import ScanResult
from clonewatch.cli.main import app
from clonewatch.model import schema
from clonewatch.model.errors import InputError, SetupError
from clonewatch.pipeline.daily.detect_window import WindowSettings
from clonewatch.pipeline.daily.ingest import IngestSettings
from clonewatch.pipeline.scan import ScanSettings
from clonewatch.ports.progress import Silent

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "clonewatch"
# What only a terminal needs, and what a method of the result does instead.
ONLY_AT_A_TERMINAL = {"json", "quiet", "fail_on", "list", "version"}
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]

_SPEC = importlib.util.spec_from_file_location("report_tables", Path(__file__).with_name("report_tables.py"))
assert _SPEC and _SPEC.loader
made = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(made)
RESULT = ScanResult(None, made.scan(flagged=2, linked=1, accounts=20), made.summary())


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The settings and progress that the pipeline receives, in place of a run."""
    held: list[Any] = []

    def keep(settings: Any, progress: Any) -> Any:
        held.extend((settings, progress))
        return "the answer"

    for place in ("scan.scan", "daily.ingest.ingest", "daily.detect_window.windows"):
        monkeypatch.setattr(f"clonewatch.pipeline.{place}", keep)
    return held


@pytest.fixture
def result() -> ScanResult:
    return RESULT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return cast(Path, made.publish(tmp_path / "result", made.scan(flagged=1, linked=1, accounts=20)))


# ---- the signature ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["scan", "ingest", "detect", "doctor", "simulate", "evaluate"])
def test_a_function_takes_what_its_command_takes_under_the_same_name(name: str) -> None:
    parameters = set(inspect.signature(getattr(clonewatch, name)).parameters)
    options = {
        max(p.opts, key=len).lstrip("-").replace("-", "_")
        for p in COMMANDS[name].params
        if p.param_type_name == "option"
    }
    assert options - ONLY_AT_A_TERMINAL <= parameters


@pytest.mark.parametrize("name", ["scan", "ingest", "detect", "doctor", "simulate", "evaluate", "load"])
def test_every_parameter_is_typed_and_explained(name: str) -> None:
    function: Callable[..., Any] = getattr(clonewatch, name)
    said = inspect.getdoc(function) or ""
    for parameter in inspect.signature(function).parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty
        assert parameter.kind is not inspect.Parameter.VAR_KEYWORD
        assert f"    {parameter.name}: " in said, parameter.name


def test_a_scan_without_options_is_a_scan_with_the_default_settings(given: list[Any]) -> None:
    assert clonewatch.scan("log.csv") == "the answer"
    assert given == [ScanSettings(paths=("log.csv",)), None]


def test_every_path_may_be_text_or_a_path(given: list[Any]) -> None:
    names = {"out": "o", "map": "m", "accounts": "a", "events": "e", "key": "k", "calibration": "c"}
    clonewatch.scan(["x", Path("y")], **names)  # type: ignore[arg-type]
    clonewatch.scan(["x", Path("y")], **{name: Path(value) for name, value in names.items()})  # type: ignore[arg-type]
    wanted = ScanSettings(("x", "y"), Path("o"), "m", Path("a"), Path("e"), key_file=Path("k"), calibration=Path("c"))
    assert given == [wanted, None, wanted, None]


def test_every_other_option_of_a_scan_arrives(given: list[Any]) -> None:
    plain = dict(format="otlp", seed=7, keep_text=True, memory="2GB", threads=3, max_rejected=0.2)
    plain |= dict(embed=True, engine="spark", master="local[2]")
    clonewatch.scan("x", **plain)
    assert {name: getattr(given[0], name) for name in plain} == plain


@pytest.mark.parametrize("name", ["first_flag", "replay"])
def test_the_first_flag_can_be_requested_by_either_name(given: list[Any], name: str) -> None:
    clonewatch.scan("x", **{name: True})  # type: ignore[arg-type]
    clonewatch.detect("s", "o", **{name: True})  # type: ignore[arg-type]
    assert given[0].first_flag and given[2].first_flag


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("2026-05-01", datetime(2026, 5, 1, tzinfo=UTC)),
        ("2026-05-01T12:30:00Z", datetime(2026, 5, 1, 12, 30, tzinfo=UTC)),
        (datetime(2026, 5, 1, 12), datetime(2026, 5, 1, 12, tzinfo=UTC)),
        (date(2026, 5, 1), datetime(2026, 5, 1, tzinfo=UTC)),
        ("2026-05-01T14:00:00+02:00", datetime(2026, 5, 1, 14, tzinfo=timezone(timedelta(hours=2)))),
    ],
)
def test_a_time_may_be_a_datetime_or_text_and_is_utc_without_a_zone(
    given: list[Any], said: datetime | str, meant: datetime
) -> None:
    clonewatch.scan("x", since=said, as_of=said)
    assert (given[0].since, given[0].as_of) == (meant, meant)


@pytest.mark.parametrize("options", [{"paths": ""}, {"paths": ["", "log"]}, {"paths": "log", "out": ""}])
def test_an_empty_path_is_refused_because_it_would_mean_the_current_folder(options: dict[str, Any]) -> None:
    with pytest.raises(SetupError, match="a path is empty"):
        clonewatch.scan(**options)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: clonewatch.scan(None), "paths is not a path: None"),
        (lambda: clonewatch.scan(b"log"), "paths is not a path: b'log'"),
        (lambda: clonewatch.scan(["log", 3]), "paths is not a path: 3"),
        (lambda: clonewatch.scan("log", accounts=["a.csv"]), r"accounts is not a path: \['a.csv'\]"),
        (lambda: clonewatch.scan("log", since=3), "since is not a time: 3"),
        (lambda: clonewatch.scan("log", progress=1), "progress is neither True nor False"),
        (lambda: clonewatch.ingest("log", None), "state is not a path: None"),
        (lambda: clonewatch.detect("state", "out", days="7"), "days are not whole numbers: '7'"),
        (lambda: clonewatch.load(3), "folder is not a path: 3"),
        (lambda: clonewatch.evaluate(None, "labels"), "result is not a path: None"),
        (lambda: RESULT.why(3), "account_id is not text: 3"),
        (lambda: RESULT.show(1), "campaign_id is not text: 1"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_name(call: Callable[[], object], said: str) -> None:
    with pytest.raises(SetupError, match=said):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda log, long: clonewatch.scan(long),
        lambda log, long: clonewatch.scan(log, out=long, key=log.with_name("key")),
        lambda log, long: clonewatch.load(long),
        lambda log, long: clonewatch.doctor(long),
    ],
    ids=["a log", "a result", "a result to load", "doctor"],
)
def test_a_name_that_the_system_refuses_is_an_error_of_ours(call: Callable[..., object], tmp_path: Path) -> None:
    log = tmp_path / "log.ndjson"
    log.write_text('{"exchange_id": "e", "ts": 1772366400, "account_id": "a"}\n')
    with pytest.raises(SetupError, match="the system refuses a file: File name too long"):
        call(log, "x" * 300)


def test_text_that_is_not_a_time_is_refused_by_name() -> None:
    with pytest.raises(clonewatch.errors.SetupError, match="as_of is not a time: 'yesterday'"):
        clonewatch.scan("x", as_of="yesterday")


def test_ingest_and_detect_take_the_options_of_their_commands(given: list[Any]) -> None:
    clonewatch.ingest("log", "state", map="nginx", key="k", threads=2, max_rejected=0.5)
    clonewatch.detect("state", "out", days=[7], until="2026-06-07", key="k", again=True)
    taken = IngestSettings(("log",), Path("state"), "nginx", key_file=Path("k"), threads=2, max_rejected=0.5)
    until = datetime(2026, 6, 7, tzinfo=UTC)
    assert given == [
        taken,
        None,
        WindowSettings(Path("state"), Path("out"), (7,), until, key_file=Path("k"), again=True),
        None,
    ]


def test_progress_is_drawn_or_goes_to_an_object_of_the_caller(
    given: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    mine = Silent()
    clonewatch.scan("x", progress=mine)
    clonewatch.scan("x", progress=True)
    assert given[1] is mine
    given[3].start("reading", 1, "bytes")
    given[3].end("all of it")
    assert "reading: all of it" in capsys.readouterr().err


# ---- the result ---------------------------------------------------------------------------------------------------


def test_a_result_shows_itself_in_one_line(result: ScanResult) -> None:
    assert repr(result) == "<ScanResult: 2 campaigns flagged among 50,870 accounts, 2,250,000 exchanges>"
    one = ScanResult(Path("there"), made.scan(flagged=1, linked=0, accounts=5), made.summary())
    assert repr(one) == "<ScanResult: 1 campaign flagged among 50,870 accounts, 2,250,000 exchanges; in there>"
    none = ScanResult(None, made.scan(flagged=0, linked=1, accounts=5), made.summary())
    assert repr(none).startswith("<ScanResult: no campaigns flagged among")


def test_the_tables_of_a_result_are_properties(result: ScanResult) -> None:
    for name in ("campaigns", "members", "attribution", "evidence"):
        assert getattr(result, name) == result.tables[name]
    assert result.flagged["campaign_id"].to_pylist() == ["C1", "C2"]
    assert result.report is None and result.directory is None


def test_a_notebook_shows_the_campaigns_and_escapes_what_a_log_holds(folder: Path) -> None:
    tables = made.scan(flagged=0, linked=0) | {
        "campaigns": made.table(made.schema.CAMPAIGNS, [made.campaign(made.HOSTILE, level="<b>L3</b>")])
    }
    shown = ScanResult(Path("<i>there</i>"), tables, made.summary())._repr_html_()
    assert "1 campaign flagged among 50,870 accounts" in shown and "48,250" in shown and "2026-04-22" in shown
    assert "<script" not in shown and "<b>" not in shown and "<i>" not in shown


def test_a_notebook_shows_a_few_campaigns_and_says_how_many_more_there_are() -> None:
    many = made.table(made.schema.CAMPAIGNS, [made.campaign(f"C{i}") for i in range(1, 31)])
    shown = ScanResult(None, made.scan() | {"campaigns": many}, made.summary())._repr_html_()
    assert shown.count("<tr>") == 21 and "10 more in" in shown


def test_an_empty_result_shows_no_table() -> None:
    shown = ScanResult(None, made.scan(flagged=0, linked=0), made.summary())._repr_html_()
    assert "No campaigns flagged" in shown and "<table>" not in shown


def test_a_campaign_is_shown_with_its_evidence_and_its_accounts_by_membership(result: ScanResult) -> None:
    shown = result.show("C2")
    assert shown["campaign"]["tasks"]["grading"] == 4000
    assert {r["campaign_id"] for r in shown["evidence"]} == {"C2"} and len(shown["evidence"]) == 4
    firmness = [m["membership"] for m in shown["members"]]
    assert len(firmness) == 20 and firmness == sorted(firmness, reverse=True)
    weights = [t["weight"] for t in shown["attributes"]]
    assert weights and weights == sorted(weights, reverse=True)


def test_an_unknown_campaign_is_refused_and_the_known_ones_are_listed(result: ScanResult) -> None:
    with pytest.raises(InputError, match=r"no campaign 'C9' in this scan.*C1, C2, G1"):
        result.show("C9")


def test_a_result_explains_why_an_account_is_in_a_campaign(result: ScanResult) -> None:
    (place,) = result.why("C1-acct-00003")
    assert place["campaign"]["campaign_id"] == "C1" and place["member"]["account_id"] == "C1-acct-00003"
    assert {r["campaign_id"] for r in place["evidence"]} == {"C1"}
    carried = [t for t in result.tables["attribute_accounts"].to_pylist() if t["account_id"] == "C1-acct-00003"]
    assert len(place["attributes"]) == len(carried) > 0
    assert result.why("a stranger") == []


def test_why_returns_the_most_probable_exchanges_of_the_account_only(result: ScanResult) -> None:
    rows = [
        {"exchange_id": f"x{i}", "campaign_id": "C1", "posterior": i / 32, "account_id": f"C1-acct-{i % 2:05d}"}
        for i in range(30)
    ]
    tables = result.tables | {"attribution": made.table(made.schema.ATTRIBUTION, rows)}
    (place,) = ScanResult(None, tables, result.summary).why("C1-acct-00000")
    assert [x["exchange_id"] for x in place["exchanges"]] == [f"x{i}" for i in range(28, 8, -2)]


def test_python_and_the_command_line_agree_on_an_account(folder: Path) -> None:
    line = [sys.executable, "-c", "from clonewatch.cli.main import run; run()"]
    words = ["why", "C1-acct-00003", "--scan", str(folder), "--json"]
    said = json.loads(subprocess.run([*line, *words], capture_output=True, text=True, check=True).stdout)
    ours = clonewatch.load(folder).why("C1-acct-00003")
    assert json.loads(json.dumps(ours, default=str)) == _timeless(said["campaigns"], ours)


def _timeless(told: list[dict[str, Any]], ours: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The output of the command line, with times as Python writes them."""
    for theirs, mine in zip(told, ours, strict=True):
        for part in ("campaign", "member"):
            theirs[part] |= {k: str(v) for k, v in mine[part].items() if isinstance(v, datetime)}
    return told


# ---- a result in a folder -----------------------------------------------------------------------------------------


def test_a_result_is_read_back_from_its_folder(folder: Path) -> None:
    back = clonewatch.load(str(folder))
    assert back.directory == folder and back.report == folder / "report.html"
    assert back.summary == made.summary()
    assert back.campaigns["campaign_id"].to_pylist() == ["C1", "G1"]
    assert back.evidence.num_rows == 8


def test_groups_for_review_come_in_the_order_of_their_rank(folder: Path, tmp_path: Path) -> None:
    rows = [made.campaign(f"C{rank}", flagged=False, outcome="review", rank=rank) for rank in (2, 1)]
    rows.append(made.campaign("C3", flagged=False, outcome="listed", rank=3))
    tables = {**clonewatch.load(folder).tables, "campaigns": made.table(schema.CAMPAIGNS, rows)}
    back = clonewatch.load(made.publish(tmp_path / "copy", tables))
    assert back.review["campaign_id"].to_pylist() == ["C1", "C2"] and back.flagged.num_rows == 0
    assert "no campaigns flagged, 2 groups for review" in repr(back)


def test_a_result_of_an_earlier_version_has_nothing_for_review(folder: Path, tmp_path: Path) -> None:
    kept = pq.read_table(folder / "campaigns.parquet").drop_columns(["outcome", "rank", "question", "odds_bits"])
    tables = {**clonewatch.load(folder).tables, "campaigns": kept}
    back = clonewatch.load(made.publish(tmp_path / "copy", tables))
    assert back.review.num_rows == 0 and "review" not in repr(back) and "<table>" in back._repr_html_()


def test_the_attribution_of_a_folder_is_read_on_demand(folder: Path) -> None:
    back = clonewatch.load(folder)
    assert "attribution" not in back.tables
    assert back.attribution["exchange_id"].to_pylist() == ["ex-000017", "ex-000017"]


@pytest.mark.parametrize("lacking", ["scan.json", "campaigns.parquet", "attribution.parquet", "result.json"])
def test_a_result_that_lacks_a_file_is_refused_by_its_name(folder: Path, lacking: str) -> None:
    (folder / lacking).unlink()
    with pytest.raises(InputError, match=lacking):
        clonewatch.load(folder)


def test_a_damaged_table_is_refused(folder: Path) -> None:
    (folder / "members.parquet").write_bytes(b"no table")
    with pytest.raises(InputError, match=r"members.parquet is not what was written: its size differs"):
        clonewatch.load(folder)


def test_a_missing_table_of_a_result_is_refused_by_name(result: ScanResult) -> None:
    with pytest.raises(InputError, match="holds no table 'evidence'"):
        _ = ScanResult(None, {"campaigns": result.campaigns}, {}).evidence


def test_a_result_in_memory_cannot_be_scored(result: ScanResult) -> None:
    with pytest.raises(SetupError, match="in memory only"):
        clonewatch.evaluate(result, "labels")


# ---- from log to result, without the command line -----------------------------------------------------------------


def test_a_log_is_simulated_and_examined_from_python(tmp_path: Path) -> None:
    said = clonewatch.simulate("quiet", str(tmp_path / "log"), scale=0.02)
    seen = clonewatch.doctor(tmp_path / "log")
    assert seen["rows"] == said["exchanges"] and seen["rejected"] == 0
    assert seen["columns"]["exchanges.account_id"] == 1.0


# ---- the package --------------------------------------------------------------------------------------------------


def test_every_public_name_of_the_package_exists() -> None:
    assert [name for name in clonewatch.__all__ if not hasattr(clonewatch, name)] == []
    assert issubclass(clonewatch.errors.TooManyRejected, clonewatch.errors.ClonewatchError)
    with pytest.raises(AttributeError, match="no attribute 'scam'"):
        clonewatch.scam  # type: ignore[attr-defined]  # noqa: B018


def test_every_error_of_the_model_is_in_the_public_module_of_errors() -> None:
    from clonewatch.model import errors as held

    every = {n for n, kind in vars(held).items() if isinstance(kind, type) and issubclass(kind, held.ClonewatchError)}
    assert set(clonewatch.errors.__all__) == every


def test_no_module_imports_the_package_above_it() -> None:
    upward = [
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and node.module in ("clonewatch", "clonewatch.api"))
        or (isinstance(node, ast.Import) and any(n.name in ("clonewatch", "clonewatch.api") for n in node.names))
    ]
    assert set(upward) == {"__init__.py"}
