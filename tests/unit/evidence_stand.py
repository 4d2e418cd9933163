"""Result folders on disk, and a console that shows one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tests.unit import report_tables
from tests.unit.cases_stand import filled
from tests.unit.console_stand import Browser, Clock, Console, invited, settings

from clonewatch.service.app import create_app


def written(folder: Path, tables: Mapping[str, pa.Table], summary: Mapping[str, Any] | None = None) -> Path:
    """A result folder of these tables; what lay there before is replaced, as a scan does."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.parquet"):
        if old.stem not in tables:
            old.unlink()
    for name, table in tables.items():
        aside = folder / f".{name}"
        pq.write_table(table, aside)
        aside.replace(folder / f"{name}.parquet")
    (folder / ".scan").write_text(json.dumps(summary or report_tables.summary(), default=str))
    (folder / ".scan").replace(folder / "scan.json")
    return folder


def showing(place: Path, result: Path | None, roles: tuple[str, ...] = ("viewer",)) -> Console:
    """A console on a store of its own, with the evidence of a result."""
    store, clock = filled(str(place / "cases.db")), Clock()
    app = create_app(settings(str(place / "cases.db"), None, clock)._replace(result=result))
    held = {role: Browser(app) for role in roles}
    for role, browser in held.items():
        assert browser.choose(invited(store, role, role)).status_code == 303
    return Console(app, store, clock, held)
