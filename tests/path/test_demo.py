"""From nothing to a report, as a new user would: simulate, scan, evaluate, why, report, all from the command line."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from clonewatch.model.schema import RESULTS

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
RING = {str(n) for n in (*range(345068, 345071), *range(345080, 345087))}


def clonewatch(*words: object, code: int = 0) -> str:
    """Standard output of one command, which must exit with `code`."""
    program = [sys.executable, "-c", "from clonewatch.cli.main import run; run()"]
    done = subprocess.run([*program, *map(str, words)], capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a simulated log with text, and its scan."""
    home = tmp_path_factory.mktemp("walk")
    clonewatch("simulate", "s01_shared_cards", "--out", home / "log", "--scale", 0.1, "--seed", 1, "--text")
    clonewatch("scan", home / "log", "--out", home / "scan", "--key", home / "key", "--quiet")
    return home


def test_the_harvest_is_found_and_no_honest_account_is_flagged(walk: Path) -> None:
    scores = json.loads(clonewatch("evaluate", walk / "scan", walk / "log" / "labels", "--json"))
    assert scores["campaigns"]["missed"] == [] and len(scores["campaigns"]["found"]) == 1
    assert scores["accounts"]["honest_flagged_by_role"] == {}
    assert scores["accounts"]["recall"] > 0.9


def test_a_second_scan_without_the_labels_gives_the_same_bytes_and_can_fail_a_pipeline(
    walk: Path, tmp_path: Path
) -> None:
    (tmp_path / "log").mkdir()
    for name in ("exchanges", "accounts.parquet", "events.parquet"):
        (tmp_path / "log" / name).symlink_to(walk / "log" / name)
    words = ("scan", tmp_path / "log", "--out", tmp_path / "scan", "--key", walk / "key", "--quiet", "--json")
    told = json.loads(clonewatch(*words, "--fail-on", "flagged", code=3))
    assert sum(c["flagged"] for c in told["campaigns"]) == 1
    for table in RESULTS:
        same = [(folder / f"{table.name}.parquet").read_bytes() for folder in (walk / "scan", tmp_path / "scan")]
        assert same[0] == same[1], table.name


def test_why_answers_for_a_member_and_for_an_unrelated_account(walk: Path) -> None:
    members = pq.read_table(walk / "scan" / "members.parquet").to_pylist()
    core = next(m["account_id"] for m in members if m["role"] == "core")
    assert "For:" in clonewatch("why", core, "--scan", walk / "scan")
    everyone = pq.read_table(walk / "log" / "accounts.parquet", columns=["account_id"])["account_id"].to_pylist()
    unrelated = sorted(set(everyone) - {m["account_id"] for m in members})[0]
    assert "no campaign" in clonewatch("why", unrelated, "--scan", walk / "scan")


def test_the_report_is_one_page_that_runs_and_loads_nothing(walk: Path) -> None:
    page = (walk / "scan" / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"<script|<iframe|<link[^>]+href|src=\"http|url\(http|@import", page)
    clonewatch("report", walk / "scan")
    assert (walk / "scan" / "report.html").read_text(encoding="utf-8") == page


def test_no_prompt_reaches_the_result(walk: Path) -> None:
    parts = sorted((walk / "log" / "exchanges").glob("*.parquet"))
    bodies = pq.read_table(parts[0], columns=["messages"])["messages"].to_pylist()[:5_000]
    asked = {json.loads(body)[-1]["content"] for body in bodies if body}
    openings = {text[:40] for text in asked if len(text) >= 40}
    assert len(openings) > 50
    kept = [(walk / "scan" / name).read_text("utf-8") for name in ("report.html", "scan.json", "rejected.ndjson")]
    for table in RESULTS:
        kept += [str(column.to_pylist()) for column in pq.read_table(walk / "scan" / f"{table.name}.parquet").columns]
    whole = "\n".join(kept)
    assert [opening for opening in openings if opening in whole] == []


def test_the_documentation_explains_every_key_of_scan_json(walk: Path) -> None:
    page = (ROOT / "docs" / "using" / "scan.md").read_text(encoding="utf-8")
    section = page.split("### `scan.json`")[1].split("###")[0]
    held = json.loads((walk / "scan" / "scan.json").read_text(encoding="utf-8"))
    named = {n for cell in re.findall(r"^\| (`[^|]+) \|", section, re.M) for n in re.findall(r"`(\w+)`", cell)}
    assert named == set(held)
    null = page.split("### How much would chance")[1].split("##")[0]
    keys = {key for entry in held["chance"] for row in entry["rows"] for key in row}
    assert keys and all(f"`{key}`" in page or key in null for key in keys)


def test_exactly_the_real_ring_of_the_documentation_is_found(tmp_path: Path) -> None:
    log = DATA / "coord_elastic_anonreviews.parquet"
    if not log.is_file():
        pytest.skip(f"the public data set is not there: {log.name} belongs into shared/data beside the checkout")
    words = ("--map", ROOT / "examples" / "review_ring.toml", "--out", tmp_path / "ring", "--key", tmp_path / "key")
    answer = clonewatch("scan", log, *words, "--quiet").splitlines()[0]
    assert answer in (ROOT / "docs" / "using" / "scan.md").read_text(encoding="utf-8")
    campaigns = pq.read_table(tmp_path / "ring" / "campaigns.parquet").to_pylist()
    assert [c["flagged"] for c in campaigns] == [True]
    assert set(pq.read_table(tmp_path / "ring" / "members.parquet")["account_id"].to_pylist()) == RING
