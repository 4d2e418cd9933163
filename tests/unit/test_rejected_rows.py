"""The file of rejected rows holds the first ones, and counts the others: a hostile log cannot fill the disk with it."""

from __future__ import annotations

import json
from pathlib import Path

from clonewatch.model.limits import DEFAULT
from clonewatch.model.read_results import Rejected
from clonewatch.pipeline.intake.rejected_rows import RejectedRows


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_beyond_the_bound_rows_are_counted_by_file_and_reason(tmp_path: Path) -> None:
    path, name = tmp_path / "rejected.ndjson", "n" * 200
    rows = RejectedRows(path)
    for first in range(0, 200_000, 10_000):
        rows.write([Rejected(name, n, "not JSON" if n % 4 else "too long") for n in range(first, first + 10_000)])
    rows.close()
    rows.close()
    assert path.stat().st_size < DEFAULT.rejected + 1000
    told = lines(path)
    assert [one["line"] for one in told[:3]] == [0, 1, 2]
    rest = {str(one["reason"]): int(str(one["more"])) for one in told if "more" in one}
    assert set(rest) == {"not JSON", "too long"}
    assert sum("line" in one for one in told) + sum(rest.values()) == 200_000


def test_kinds_beyond_a_thousand_are_counted_together(tmp_path: Path) -> None:
    rows = RejectedRows(tmp_path / "rejected.ndjson", most=0)
    rows.write([Rejected(f"file {n}", 1, "not JSON") for n in range(3000)])
    rows.close()
    told = lines(tmp_path / "rejected.ndjson")
    assert len(told) == 1001 and sum(int(str(one["more"])) for one in told) == 3000


def test_a_name_that_is_no_utf8_is_spelled_out(tmp_path: Path) -> None:
    rows = RejectedRows(tmp_path / "rejected.ndjson")
    rows.write([Rejected("log-\udcff", 1, "not JSON")])
    rows.close()
    assert "log-\\udcff" in (tmp_path / "rejected.ndjson").read_text(encoding="utf-8")
