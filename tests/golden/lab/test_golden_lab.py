"""Golden samples of the simulation: head counts of a small log, and words for given ids.

When a change is meant, run this file with `CLONEWATCH_GOLDEN=write` in the environment and read the diff.
"""

import json
import os
from pathlib import Path

import pytest

from clonewatch.lab.simulate import simulate
from clonewatch.lab.text.casual import casual
from clonewatch.lab.text.harvests import grade_message, harvest_message, reworded_message, rewrite_message, tidy_message
from clonewatch.lab.text.programs import agent_message, app_message, harness_prompt, label_message, system_prompt

HERE = Path(__file__).parent


def agree(name: str, found: object) -> None:
    path, text = HERE / name, json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    if os.environ.get("CLONEWATCH_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
        pytest.skip(f"{name} written anew")
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(text)


def test_a_small_demo_log_counts_as_before(tmp_path: Path) -> None:
    said = simulate("demo", tmp_path / "log", scale=0.03, seed=5)
    agree("demo.json", {key: said[key] for key in ("accounts", "trusted", "campaigns", "days", "exchanges", "roles")})


def test_the_same_ids_are_worded_as_before() -> None:
    words = {
        "agent": [agent_message(i, i + 40, 70 * i, first=i == 0) for i in range(3)],
        "app": [app_message(1, i, 9) for i in range(2)],
        "grade": grade_message(3, 4, 500),
        "harness": harness_prompt(8),
        "harvest": [harvest_message(2, i, 65 * i, True, 11) for i in range(2)],
        "label": label_message(5, 6, 7),
        "people": [casual(i, i + 100, 11 * i, ("chat", "code", "data")[i % 3]) for i in range(12)],
        "reworded": [reworded_message(i, i, 99, True, 0) for i in range(2)],
        "rewrite": rewrite_message(9, 10, 11),
        "system": system_prompt(12),
        "tidy": tidy_message(13, 14, 15),
    }
    agree("words.json", words)
