"""Real prompts through the text path: they are fingerprinted, text is dropped, and the campaign is still found."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
pytestmark = pytest.mark.skipif(
    not (DATA / "prompts_harvest.parquet").exists() or not (DATA / "prompts_human.parquet").exists(),
    reason=f"the real prompts are not beside the checkout: {DATA.name}/prompts_*.parquet",
)
# The words of real harvests, and the words of people in their place.
WORDS = ("harvest", "human")


@pytest.fixture(scope="module")
def measuring() -> ModuleType:
    spec = importlib.util.spec_from_file_location("real_prompts", ROOT / "evals" / "real_prompts.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def measured(measuring: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any]]]:
    prompts = measuring.load(DATA)
    out = {}
    # Large enough for several cards: what one card pays for, and does not cover all topics evenly, is for review.
    for words in WORDS:
        folder = tmp_path_factory.mktemp(words)
        out[words] = (folder, measuring.measure(prompts, words, "s01_shared_cards", 0.12, 0, folder))
    return out


def test_the_sets_are_the_real_ones(measuring: ModuleType) -> None:
    prompts = measuring.load(DATA)
    assert len(prompts.harvest) > 5000 and len(prompts.human) > 7000


@pytest.mark.parametrize("words", WORDS)
def test_a_campaign_with_real_prompts_is_found_and_no_other_account(
    measured: dict[str, tuple[Path, dict[str, Any]]], words: str
) -> None:
    told = measured[words][1]
    assert told["flagged"] >= 1
    assert told["members_flagged"] >= 0.8 * told["members"]
    assert told["honest_flagged"] == 0


def test_real_harvests_are_classified_as_the_tasks_they_request(
    measured: dict[str, tuple[Path, dict[str, Any]]],
) -> None:
    """Most of the set requests programs, the rest tool calls."""
    tasks = measured["harvest"][1]["tasks"]
    assert tasks["software_engineering"] > 0.6
    assert tasks["software_engineering"] + tasks["agentic_tool_use"] > 0.8


def test_real_harvests_share_more_templates_than_people_do(
    measured: dict[str, tuple[Path, dict[str, Any]]],
) -> None:
    assert measured["harvest"][1]["in_shared_family"] > 1.5 * measured["human"][1]["in_shared_family"]


def test_no_word_of_a_prompt_is_in_any_result(
    measuring: ModuleType, measured: dict[str, tuple[Path, dict[str, Any]]]
) -> None:
    """The log holds the raw text, the result must not: it is searched for every long run of words of some prompts."""
    runs = [t.strip()[:60].encode() for t in measuring.load(DATA).harvest[::40] if len(t.strip()) >= 60]
    folder = measured["harvest"][0]
    logged = b"".join(
        "".join(pq.read_table(p, columns=["messages"])["messages"].to_pylist()).encode()
        for p in sorted((folder / "log" / "exchanges").glob("*.parquet"))
    )
    seen = [run for run in runs if run in logged]
    assert len(seen) > 20, "the prompts looked for are not even in the log"
    for file in sorted((folder / "scan").iterdir()):
        if file.suffix == ".parquet":
            content = str(pq.read_table(file).to_pydict()).encode()
        else:
            content = file.read_bytes()
        assert not [run for run in seen if run in content], file.name
