"""The command that opens the console: brings in a result, prints the address and the first link, and stops."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.cases_stand import filled
from tests.unit.console_stand import PASSWORD, csrf_in
from typer.testing import CliRunner

from clonewatch.cases import people
from clonewatch.cases.store import opened
from clonewatch.cli.main import app


def result(folder: Path) -> Path:
    """What the console reads of a result folder: two groups, one flagged and one for review."""
    folder.mkdir()
    window = {"first": "2026-04-01T00:00:00Z", "last": "2026-05-01T00:00:00Z"}
    (folder / "scan.json").write_text(json.dumps({"window": window}))
    found = [("C0001", "flagged", 8.0, "linkage", 1.2), ("C0002", "review", 1.0, "sum_of_families", 0.5)]
    campaigns = [
        {
            "campaign_id": name,
            "outcome": outcome,
            "exchanges": 1000,
            "families": ["identity", "load"],
            "evidence_odds_bits": odds,
            "rank": rank,
            "limiting_criterion": criterion,
            "limiting_ratio": ratio,
            "question": "app_users",
            "look_alike": "class_or_event" if outcome == "review" else None,
        }
        for rank, (name, outcome, odds, criterion, ratio) in enumerate(found, 1)
    ]
    members = [
        {"campaign_id": name, "account_id": f"{name}-{n}", "role": "member"} for name, *_ in found for n in range(5)
    ]
    pq.write_table(pa.Table.from_pylist(campaigns), folder / "campaigns.parquet")
    pq.write_table(pa.Table.from_pylist(members), folder / "members.parquet")
    return folder


def test_one_command_opens_the_console_with_the_groups_of_a_result_in_the_queue(tmp_path: Path) -> None:
    store = tmp_path / "cases.db"
    words = [
        "-c",
        "from clonewatch.cli.main import run; run()",
        "console",
        str(result(tmp_path / "result")),
        "--store",
        str(store),
        "--port",
        "0",
    ]
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            lines = [process.stdout.readline() for _ in range(3)]
            assert lines[0] == "2 cases opened, 0 seen again.\n"
            address = re.search(r"http://127\.0\.0\.1:\d+", lines[1])
            link = re.search(r"http://\S+/welcome/\S+", lines[2])
            assert address and link and link[0].startswith(address[0])
            with httpx2.Client(base_url=address[0], follow_redirects=True) as browser:
                assert browser.get("/alive").json() == {"alive": True}
                form = csrf_in(browser.get(link[0]).text)
                page = browser.post(link[0], data={"csrf": form, "password": PASSWORD, "again": PASSWORD}).text
            assert re.findall(r'class="case" href="/cases/(K\d+)"', page) == ["K0001", "K0002"]
            assert "It takes" in page and "2 cases, of 2 in the store." in page
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) in (0, 130)
    with opened(str(store)).reading() as held:
        review = held.case("K0002")
        assert (review.seen.limiting, review.seen.look_alike) == ("sum_of_families", "class_or_event")
        (admin,) = people.everybody(held.connection)
        assert (admin.name, admin.role, bool(admin.password)) == ("admin", "admin", True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--url", "http://console.example"], "in the clear"),
        (["--oidc-issuer", "https://idp.example"], "not fully named"),
        (["--host", "192.0.2.1"], "cannot listen"),
        (["nowhere"], "cannot read a result"),
        (["--host", "0.0.0.0"], "in the clear"),  # noqa: S104
    ],
)
def test_a_set_up_that_cannot_be_is_refused_in_words(tmp_path: Path, words: list[str], said: str) -> None:
    filled(str(tmp_path / "cases.db"))
    done = CliRunner().invoke(app, ["console", "--store", str(tmp_path / "cases.db"), "--port", "0", *words])
    assert done.exit_code == 2 and said in done.output
