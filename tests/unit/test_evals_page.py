"""The evaluation page is made from the kept sums alone, the same way every time."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # evals is no part of the installed package

from evals import page  # noqa: E402
from evals.summary import summarise  # noqa: E402
from evals.wording import filled  # noqa: E402


def scanned(scenario: str, seed: int, found: bool, p: float = 0.4) -> dict[str, Any]:
    """A run as `evals.measure` writes it: fifty accounts of a campaign among a thousand, or none."""
    attacked = scenario != "quiet_mixed"
    group = {
        "campaign_id": "C0001",
        "score": 9.0 if found else 1.0,
        "p_value": p,
        "p_n": 50,
        "e_value": 0.5 / p**0.5,
        "flagged": found,
        "accounts": 50,
        "visible_ts": 10,
        "campaign": scenario if attacked else None,
        "members": 50 if attacked else 0,
        "purity": 1.0 if attacked else 0.0,
        "honest": {} if attacked else {"hackathon": 50},
    }
    leaked = {scenario: 0.1 if found else 1.0} if attacked else {}
    return {
        "kind": "scan",
        "scenario": scenario,
        "seed": seed,
        "scale": 0.3,
        "source": "0123456789abcdef",
        "log": {"days": 30, "accounts": 1050, "exchanges": 90_000},
        "cost": {"cpu_seconds": 2.0},
        "knobs": {f"{scenario}.cover": 0.7} if attacked else {},
        "candidates": [group],
        "effort": {scenario: {"accounts": 50, "exchanges": 3000, "harvested": 900, "days": 20.0}} if attacked else {},
        "curve": {
            "campaigns": list(leaked),
            "honest_accounts": 1000,
            "flagged": {"leaked": leaked, "honest": 0},
            "by": {"score": [{"at": group["score"], "leaked": leaked, "honest": 0 if attacked else 50}]},
        },
        "scores": {
            "accounts": {
                "true_positive": 50 * (found and attacked),
                "false_positive": 50 * (found and not attacked),
                "honest": 1000,
                "honest_by_role": {"benign": 950, "hackathon": 50},
                "honest_flagged_by_role": {"hackathon": 50} if found and not attacked else {},
            },
            "campaigns": {
                "found": [scenario] * (found and attacked),
                "missed": [scenario] * (attacked and not found),
                "false_alarms": ["C0001"] * (found and not attacked),
                "merged_alarms": [],
                "alarms_per_campaign": {scenario: int(found)} if attacked else {},
                "share_before_visible": {scenario: 0.05} if found and attacked else {},
            },
            "exchanges": {"attributed": 910 * found, "honest_hit": 10 * found, "honest": 87_000},
            "counts": {
                "true_campaigns": int(attacked),
                "flagged_campaigns": int(found),
                "member_accounts": 50 * attacked,
                "harvested_exchanges": 900 * attacked,
            },
        },
    }


def rivalled() -> dict[str, Any]:
    ranking = {"honest": 1000, "honest_top": [5.0, 4.0, *[1.0] * 20], "members": [6.0, 4.5, None]}
    groups = {"all": 3, "honest": 2, "campaigns": 1, "found": 1}
    sums = {
        "campaigns": 1,
        "found": 1,
        "members": 50,
        "caught": 50,
        "honest": 1000,
        "honest_flagged": 0,
        "false_alarms": 0,
    }
    return {
        "kind": "rivals",
        "scenario": "s02_mixing_proxy",
        "seed": 1,
        "scale": 0.3,
        "source": "fedcba9876543210",
        "methods": {"volume": ranking, "this scan": ranking | {"groups": groups}},
        "oracles": {"as it is": sums, "our clusters, true labels": sums},
    }


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Sums of two campaigns, one of them missed, a mimic, two quiet logs and one log with rivals."""
    replay = {
        "kind": "replay",
        "scenario": "s02_mixing_proxy",
        "seed": 1,
        "scale": 0.3,
        "source": "0123456789abcdef",
        "log": {"days": 30, "accounts": 1050, "exchanges": 90_000},
        "steps": [{"day": 2, "leaked": 0.07, "alarms": 1, "false_alarms": 0, "found": True, "honest_accused": 0}],
    }
    sets = {
        "campaigns": [scanned("s02_mixing_proxy", 1, True), scanned("s11_aged_accounts", 1, False)],
        "mimic": [scanned("s05_agent_mimic", 1, True)],
        "rivals": [rivalled()],
        "replay": [replay],
        "quiet": [scanned("quiet_mixed", 5001, False, 0.3), scanned("quiet_mixed", 5002, True, 0.01)],
    }
    summary = summarise("small", sets, wanted={name: len(runs) for name, runs in sets.items()})
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "small.json").write_text(json.dumps(summary), encoding="utf-8")
    return tmp_path / "results"


def written(kept: Path, folder: Path) -> dict[str, bytes]:
    page.write(kept, folder / "evaluation.md")
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_page_and_its_pictures_are_the_same_bytes_every_time(kept: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = written(kept, tmp_path / "a")
    assert first == written(kept, tmp_path / "b")
    assert {"evaluation.md", "pictures/evaluation-recall.svg", "pictures/evaluation-baselines.svg"} <= first.keys()


def test_every_linked_picture_exists_and_no_placeholder_is_left(kept: Path, tmp_path: Path) -> None:
    text = page.write(kept, tmp_path / "evaluation.md").read_text()
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert shown and all((tmp_path / name).is_file() for name in shown)
    assert "<<" not in text and "nan" not in text.lower().split()


def test_the_page_states_what_was_found_missed_and_wrongly_flagged(kept: Path, tmp_path: Path) -> None:
    text = page.write(kept, tmp_path / "evaluation.md").read_text()
    assert "| campaigns found | 1 of 2 (50.00%;" in text
    assert "| attack-free logs with a false alarm | 1 of 2 (50.00%;" in text
    assert "| `s11_aged_accounts` | 1 | 0.3 | 50 | its largest group, reported but not flagged, contains 50" in text
    assert "| `hackathon` | 250 | 100 | 50 of 250" in text
    assert "day 2 of 30 | 7.0%" in text


def test_a_separate_study_is_included_verbatim(kept: Path, tmp_path: Path) -> None:
    section = "## How wording changes it\n\nA line that stays\nbroken where it is."
    (kept / "paraphrase.md").write_text(section + "\n")
    assert section in page.write(kept, tmp_path / "evaluation.md").read_text()


def test_the_full_summary_is_preferred_to_the_small_one(kept: Path, tmp_path: Path) -> None:
    small = json.loads((kept / "small.json").read_text())
    (kept / "full.json").write_text(json.dumps(small | {"size": "full"}))
    assert "make eval-full" in page.write(kept, tmp_path / "evaluation.md").read_text()


def test_without_a_summary_the_page_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"evals\.run small"):
        page.write(tmp_path, tmp_path / "evaluation.md")


def test_paragraphs_are_wrapped_and_tables_are_not() -> None:
    row = "| " + "x" * 200 + " |"
    text = filled(f"{'word ' * 40}\n\n{row}\n|---|")
    assert row in text and max(len(line) for line in text.splitlines() if "|" not in line) <= 120


def test_the_page_in_the_repository_matches_its_summary(tmp_path: Path) -> None:
    results = ROOT / "evals" / "results"
    if not any(results.glob("*.json")):
        pytest.skip("evals/results holds no sums yet: make eval")
    (tmp_path / "docs").mkdir()
    assert page.write(results, tmp_path / "docs" / "evaluation.md").read_bytes() == page.PAGE.read_bytes()
    for picture in (tmp_path / "docs" / "pictures").iterdir():
        assert picture.read_bytes() == (page.PAGE.parent / "pictures" / picture.name).read_bytes()


def test_a_partial_evaluation_gives_a_partial_page(tmp_path: Path) -> None:
    sets: dict[str, list[dict[str, Any]]] = {name: [] for name in ("campaigns", "mimic", "rivals", "replay")}
    sets["quiet"] = [scanned("quiet_mixed", 5001, False, 0.3)]
    summary = summarise("small", sets, wanted=dict.fromkeys(sets, 1))
    (tmp_path / "small.json").write_text(json.dumps(summary), encoding="utf-8")
    text = page.write(tmp_path, tmp_path / "evaluation.md").read_text()
    assert "| campaigns | 0 of 1 |" in text and "## Logs without a campaign" in text
    assert "## By scenario" not in text and "## Other methods" not in text
