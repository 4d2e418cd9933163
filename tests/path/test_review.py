"""From a log to a group for review, an answer about it, and the next scan that knows the answer."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import clonewatch
from clonewatch.campaigns.calibration import SCHEMA
from clonewatch.cli.main import app
from clonewatch.lab.simulate import simulate
from clonewatch.model.questions import BY_ID


def ask(*words: object) -> Any:
    return CliRunner().invoke(app, [str(w) for w in words])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log with a campaign that meets every criterion, and a calibration by which honest groups do so as well.

    So the flag is withdrawn, whatever the criteria, and the group is for review.
    """
    home = tmp_path_factory.mktemp("review")
    simulate("s01_shared_cards", home / "log", seed=3, scale=0.1)
    honest = [[trust, size, 1.5] for trust in ("declared", "behaviour", "none") for size in (10, 50, 200)] * 120
    document = {"schema": SCHEMA, "source": "a test", "logs": 9, "groups": honest}
    (home / "calibration.json").write_text(json.dumps(document))
    return home


def scan(home: Path, *more: object) -> Any:
    words = ("scan", home / "log", "--out", home / "out", "--key", home / "key", "--threads", 1, "--quiet")
    return ask(*words, "--calibration", home / "calibration.json", *more)


@pytest.fixture(scope="module")
def first(home: Path) -> Any:
    done = scan(home, "--json", "--fail-on", "flagged")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def of(told: Any) -> dict[str, Any]:
    """The group that comes first."""
    row: dict[str, Any] = told["campaigns"][0]
    return row


def test_a_group_that_is_nearly_a_campaign_is_for_review_and_in_the_headline(home: Path, first: Any) -> None:
    row = of(first)
    assert (row["outcome"], row["rank"], row["flagged"]) == ("review", 1, False)
    assert first["answer"].startswith("Nothing was flagged. 1 group is for review: " + row["campaign_id"])
    assert first["outcomes"] == {k: first["scan"]["counts"][k] for k in ("flagged", "review", "listed")}
    assert first["outcomes"]["flagged"] == 0 and first["outcomes"]["review"] == 1
    result = clonewatch.load(home / "out")
    assert result.review["campaign_id"].to_pylist() == [row["campaign_id"]]
    assert "1 group for review" in repr(result)


def test_the_report_has_a_chapter_with_the_question_and_the_members(home: Path, first: Any) -> None:
    page = (home / "out" / "report.html").read_text(encoding="utf-8")
    chapter = page.partition('<section id="review">')[2].partition("</section>")[0]
    assert "The question to answer" in chapter and BY_ID[of(first)["question"]].asks.partition(":")[0] in chapter
    for member in clonewatch.load(home / "out").show(of(first)["campaign_id"])["members"][:5]:
        assert member["account_id"] in chapter


def test_every_command_knows_the_group(home: Path, first: Any) -> None:
    name, asked = of(first)["campaign_id"], BY_ID[of(first)["question"]].asks
    listed = ask("campaigns", home / "out").stdout
    assert f"{name}: {asked}" in listed and re.search(rf"^{name} +review ", listed, re.M)
    assert f"The question to answer: {asked}" in ask("show", name, "--scan", home / "out").stdout
    account = clonewatch.load(home / "out").show(name)["members"][0]["account_id"]
    assert "for review, and not flagged" in ask("why", account, "--scan", home / "out").stdout


def test_an_answer_moves_the_next_scan_and_is_named_there(home: Path, first: Any) -> None:
    row = of(first)
    name, question = row["campaign_id"], BY_ID[row["question"]]
    told = ask("answer", name, "--scan", home / "out", "--no", "--note", "asked sales")
    assert told.exit_code == 0, told.output
    answers = home / "answers.jsonl"
    assert stat.S_IMODE(answers.stat().st_mode) == 0o600 and str(answers) in told.stdout
    again = scan(home, "--json", "--answers", answers, "--fail-on", "review")
    assert again.exit_code == 3
    after = of(json.loads(again.stdout))
    assert (after["campaign_id"], after["outcome"], after["flagged"]) == (name, "review", False)
    assert after["odds_bits"] == pytest.approx(
        row["odds_bits"] + question.no_bits - (0 if not row["look_alike"] else question.shape_bits)
    )
    assert after["question"] != row["question"]
    shown = ask("show", name, "--scan", home / "out").stdout
    assert "Answered no" in shown and "Note: asked sales" in shown and question.asks in shown


def test_a_yes_takes_the_group_out_of_review_and_leaves_it_in_the_tables(home: Path, first: Any) -> None:
    scan(home)
    name, answers = of(first)["campaign_id"], home / "yes.jsonl"
    line = ("answer", name, "--scan", home / "out", "--question", "one_customer", "--yes", "--answers", answers)
    assert ask(*line).exit_code == 0
    again = scan(home, "--json", "--answers", answers, "--fail-on", "review")
    assert again.exit_code == 0, "a group that was settled fails nothing"
    told = json.loads(again.stdout)
    assert told["answer"] == "Nothing was flagged."
    assert {row["campaign_id"]: row["outcome"] for row in told["campaigns"]}[name] == "listed"
    assert "Answered yes" in (home / "out" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("C9999", "--yes"), "no campaign 'C9999'"),
        (("C0001",), "an answer is missing"),
        (("C0001", "--yes", "--no"), "it takes one answer"),
        (("C0001", "--no", "--question", "who"), "there is no question 'who'"),
    ],
)
def test_an_answer_that_cannot_be_given_says_why(home: Path, first: Any, words: tuple[str, ...], said: str) -> None:
    done = ask("answer", *words, "--scan", home / "out", "--answers", home / "none.jsonl")
    assert done.exit_code == 2 and said in done.stderr
    assert not (home / "none.jsonl").exists()


def test_a_bad_answers_file_stops_the_scan_before_it_reads_the_log(home: Path) -> None:
    bad = home / "bad.jsonl"
    bad.write_text("{}\n")
    done = scan(home, "--answers", bad)
    assert done.exit_code == 2 and f"{bad}, line 1" in done.stderr and "delete it" in done.stderr


def test_a_window_of_a_state_is_examined_again_when_the_answers_have_changed(home: Path, first: Any) -> None:
    key = ("--key", home / "key", "--quiet")
    assert ask("ingest", home / "log", "--state", home / "state", *key).exit_code == 0
    where = ("--state", home / "state", "--out", home / "windows", "--days", 90)
    how = ("--calibration", home / "calibration.json", "--threads", 1, "--json", *key)

    def window(*more: object) -> dict[str, Any]:
        done = ask("detect", *where, *how, *more)
        assert done.exit_code == 0, done.output
        found: dict[str, Any] = json.loads(done.stdout)["windows"][0]
        return found

    name = window()["review"][0]["campaign_id"]
    assert not window()["changed"]
    answers = home / "state-answers.jsonl"
    said = ("answer", name, "--scan", home / "windows" / "90-days", "--question", "one_customer", "--answers", answers)
    assert ask(*said, "--yes").exit_code == 0
    settled = window("--answers", answers)
    assert settled["changed"] and settled["review"] == []
    assert not window("--answers", answers)["changed"]
    assert window()["changed"], "without the answers the group is for review again"
