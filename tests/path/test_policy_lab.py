"""The policy lab from a playbook to its page, with real simulations and scans, small; stopped runs go on."""

import json
import os
from pathlib import Path

import pytest
from tests.unit.test_exercise_playbook import EXAMPLES
from typer.testing import CliRunner

from clonewatch.cli.main import app
from clonewatch.exercise.episode import play
from clonewatch.exercise.task import EPISODE_CARDS, Task
from clonewatch.lab.adversary.cards import cards
from clonewatch.lab.adversary.strategy import KNOWN
from clonewatch.lab.adversary.translation import Setting

SUSPEND = (EXAMPLES / "policy_suspend.toml").read_text(encoding="utf-8")
SETTING = Setting(people=200, firms=3, crowd=0.05, quiet=4, days=14, target=5000, most=120)
CARDS = {**{name: cards()[name] for name in EPISODE_CARDS}, "missed_rulings": 0.0}
LONG = "CLONEWATCH_LONG"


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("key") / "lab.key"


def test_a_naive_attacker_is_found_contained_and_comes_back(key_file: Path) -> None:
    """One loop: the scan of day 3 leads to suspensions on day 4, and replacements begin half a day later."""
    found = play(Task(SUSPEND, KNOWN["naive"], SETTING, (3, 10), CARDS, 1), key_file)
    assert found.flagged is not None and found.flagged <= 10
    assert found.contained is not None and found.contained > found.flagged
    assert found.opened > found.first and found.pools >= 2
    assert 0 < found.before < found.useful < SETTING.target
    assert found.hydra > 0
    assert found.suspended == 0
    assert found.rulings >= 1 and found.minutes >= 20.0


@pytest.mark.skipif(LONG not in os.environ, reason=f"takes minutes; set {LONG}=1")
def test_a_whole_exercise_writes_its_page_and_goes_on_where_it_was(tmp_path: Path) -> None:
    out = tmp_path / "exercise"
    command = ["lab", "run", str(EXAMPLES / "playbook.toml"), "--out", str(out), "--json", "--quiet"]
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code in (0, 3), ran.output
    told = json.loads((out / "exercise.json").read_text())
    assert (ran.exit_code == 3) == bool(told["bound"]["beaten"])
    assert told["effort"]["played_now"] > 10
    page = (out / "exercise.html").read_text()
    assert told["best"] in page and "<script" not in page and "http-equiv" in page
    again = CliRunner().invoke(app, command)
    second = json.loads((out / "exercise.json").read_text())
    assert again.exit_code == ran.exit_code and second["effort"]["played_now"] == 0
    assert second["conclusions"] == told["conclusions"]
