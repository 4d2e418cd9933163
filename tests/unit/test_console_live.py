"""The page Live: what arrives, how old it is, what gateways follow, and what the last canary saw."""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.unit.console_stand import Console, console

from clonewatch.live.spool import Arrived
from clonewatch.live.status import NAME, Status, read


@pytest.fixture
def held(tmp_path: Path) -> Console:
    found = console(str(tmp_path / "cases.db"), roles=("viewer",))
    (tmp_path / "spool").mkdir()
    return found


def see(held: Console, **more: Any) -> str:
    held.app.state.settings = held.app.state.settings._replace(**more)
    page = held.as_["viewer"].get("/live")
    assert page.status_code == 200, page.text
    assert not re.search(r"\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|<style", page.text)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.text))


def said(status: Status, held: Console, spool: Path, before: float = 0.0) -> None:
    """Let a worker have said something, so many seconds before the console's now."""
    status.write(spool)
    at = datetime.fromisoformat(held.clock.now).timestamp() - before
    os.utime(spool / NAME, (at, at))


def test_what_arrives_is_counted_by_minute_and_the_newest_is_told_by_its_age(held: Console, tmp_path: Path) -> None:
    now = datetime.fromisoformat(held.clock.now).timestamp()
    status = Status(batches=3, exchanges=900, looks=2, flagged=1, grown=4, looked_at=now - 7_300)
    status.arrived([Arrived(now - 60 * minute, 30, 0) for minute in (2, 3, 4, 300)])
    said(status, held, tmp_path / "spool")
    assert read(tmp_path / "spool").minutes == {int(now // 60) - minute: 30 for minute in (2, 3, 4)}
    page = see(held, spool=tmp_path / "spool")
    assert "exchanges a minute 9 " in page and "newest exchange 2 minutes ago" in page
    assert "batches 3" in page and "last look 2 hours ago" in page and "4 accounts joined" in page
    assert held.as_["viewer"].get("/live").text.count("<rect") == 3


def test_a_worker_that_waits_or_is_silent_is_said(held: Console, tmp_path: Path) -> None:
    said(Status(problem="the spool is full"), held, tmp_path / "spool")
    assert "The worker waits: the spool is full" in see(held, spool=tmp_path / "spool")
    assert "The worker last said something" not in see(held)
    said(Status(), held, tmp_path / "spool", before=7_200)
    assert "The worker last said something 2 hours ago" in see(held)


def test_a_gap_of_the_canary_is_an_alarm_and_what_is_not_known_is_said(held: Console, tmp_path: Path) -> None:
    page = see(held)
    assert "start the console with the spool" in page and "No canary is known" in page and "--watch-list" in page
    told = tmp_path / "canary.txt"
    told.write_text("earlier\nGAP: the canary at <b>https://api.example.com</b>: not refused\n")
    see(held, canary=told)
    text = held.as_["viewer"].get("/live").text
    assert re.search(r'<p class="wrong" role="alert"><span class="long">GAP: the canary at &lt;b&gt;https', text)
    told.write_text("The canary was refused with 429 after 1.2 seconds\n")
    assert 'class="done"><span class="long">The canary was refused' in held.as_["viewer"].get("/live").text
    told.write_text("")
    assert "No canary is known" in see(held)
