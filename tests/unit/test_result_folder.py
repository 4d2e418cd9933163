"""Two scans into one folder leave each other alone; what an interrupted one left is resumed or removed."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pyarrow as pa
import pytest

from clonewatch.pipeline.reporting.result_folder import ResultFolder

TABLES = {"campaigns": pa.table({"campaign_id": ["C1"]})}


def test_two_scans_of_one_process_write_into_one_folder_at_once(tmp_path: Path) -> None:
    with ResultFolder(tmp_path, "one question") as first:
        (first.work / "table").write_text("in use")
        with ResultFolder(tmp_path, "another") as second:
            second.publish(TABLES, {"by": "second"}, "")
        assert (first.work / "table").read_text() == "in use"
        first.publish(TABLES, {"by": "first"}, "")
    assert '"first"' in (tmp_path / "scan.json").read_text()
    assert not list(tmp_path.glob(".*"))


def _interrupted(place: Path, question: str) -> None:
    folder = ResultFolder(place, question).__enter__()
    folder.keep(b"half done")
    os._exit(1)


@pytest.mark.parametrize(("question", "begun"), [("one question", b"half done"), ("another", None)])
def test_what_a_killed_scan_left_is_resumed_for_the_same_question_and_removed_for_another(
    tmp_path: Path, question: str, begun: bytes | None
) -> None:
    killed = multiprocessing.get_context("spawn").Process(target=_interrupted, args=(tmp_path, "one question"))
    killed.start()
    killed.join()
    assert killed.exitcode == 1
    with ResultFolder(tmp_path, question) as folder:
        assert folder.begun == begun
        assert list(tmp_path.glob(".scan-*")) == [folder.aside]
        folder.publish(TABLES, {}, "")
    assert not list(tmp_path.glob(".*"))
