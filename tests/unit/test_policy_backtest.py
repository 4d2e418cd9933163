"""`clonewatch policy backtest`: a window of days, two policies side by side, the page and its picture."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.kept_results import MILD, policy, results
from typer.testing import CliRunner

from clonewatch.cli.main import app
from clonewatch.report.yield_chart import Point, yield_chart


def ask(*words: object) -> Any:
    return CliRunner().invoke(app, ["policy", "backtest", *map(str, words)])


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("kept")
    return [word for place in results(folder, 4, 14, 24) for word in ("--scan", str(place))]


def test_two_policies_are_tried_on_the_same_days_side_by_side(scans: list[str], tmp_path: Path) -> None:
    strict, mild = policy(tmp_path), policy(tmp_path, MILD, "mild.toml")
    told = json.loads(ask(strict, mild, *scans, "--from", "2026-05-01", "--to", "2026-05-20", "--json").stdout)
    assert (told["from"], told["to"], told["results"]) == ("2026-05-01", "2026-05-20", 2)
    one, other = told["policies"]
    assert (one["policy"], one["version"], other["policy"]) == ("strict", 3, "mild")
    assert one["harvested"] == other["harvested"] > one["leaked"] > 0
    # The first matches on 4 May, and the other never: its only rule about flagged groups is about listed ones.
    assert one["preventable"] > 0 == other["preventable"] and other["leaked"] == other["harvested"]
    assert [step["rule"] for step in one["steps"]] == ["share", "tell"]
    assert one["touched"]["accounts"] == {"unknown": 18 + 5} and one["bystanders"] == 2
    assert one["minutes"] == 2 * 20 + 18 * 2 + 5 * 0.5
    longer = json.loads(ask(strict, *scans, "--json").stdout)
    assert (longer["from"], longer["to"], longer["results"]) == ("2026-04-22", "2026-05-24", 3)
    assert longer["policies"][0]["harvested"] > one["harvested"]


def test_work_of_people_is_an_assumption_that_can_be_set_and_is_shown(scans: list[str], tmp_path: Path) -> None:
    ran = ask(policy(tmp_path), *scans, "--minutes", "case=60", "--minutes", "budget=0", "--json")
    told = json.loads(ran.stdout)
    assert told["minutes"]["case"] == 60 and told["policies"][0]["minutes"] == 2 * 60 + 5 * 0.5
    assert "Minutes of people are assumed" in ask(policy(tmp_path), *scans).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "2026-06-01"), "the window ends before it begins"),
        (("--from", "2026-06-01", "--to", "2026-06-02"), "no result ends from 2026-06-01 to 2026-06-02"),
        (("--from", "yesterday"), "yesterday"),
        (("--minutes", "coffee=5"), "'coffee=5' says no minutes"),
        (("--minutes", "budget=-1"), "'budget=-1' says no minutes"),
        (("--minutes", "budget=nan"), "'budget=nan' says no minutes"),
    ],
)
def test_a_window_or_minutes_that_cannot_be_are_refused(
    words: tuple[str, ...], said: str, scans: list[str], tmp_path: Path
) -> None:
    ran = ask(policy(tmp_path), *scans, *words)
    assert ran.exit_code == 2 and said in ran.output, ran.output


def test_the_page_needs_nothing_else_and_shows_what_is_assumed(scans: list[str], tmp_path: Path) -> None:
    page = tmp_path / "backtest.html"
    words = (policy(tmp_path), policy(tmp_path, MILD, "mild.toml"), *scans, "--html", page)
    assert ask(*words).exit_code == 0
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text and "http" not in re.sub(r'xmlns="[^"]*"|http-equiv', "", text)
    assert "strict, version 3" in text and "mild, version 1" in text and "<svg" in text
    assert "20 for each case that somebody decides" in text and "No case store was given" in text
    ask(*words)
    assert page.read_text(encoding="utf-8") == text, "the same figures give the same page"


def test_a_picture_has_every_rule_where_it_stands_and_two_at_one_place_share_their_numbers() -> None:
    drawn = str(yield_chart([[Point(0, 0), Point(400, 900), Point(400, 900)], [Point(800, 300)]], 1_000))
    assert re.findall(r'fill="var\(--c\d\)">([\d-]+)</text>', drawn) == ["1", "2-3", "1"]
    circles = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', drawn)]
    assert circles[1][0] < circles[2][0] and circles[1][1] < circles[2][1], "more yield is up, more collateral right"
    assert "NaN" not in str(yield_chart([[]], 0)) and "<circle" not in str(yield_chart([[]], 0))
