"""Result folders on disk, and a console that shows one."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
from tests.unit import report_tables
from tests.unit.cases_stand import filled
from tests.unit.console_stand import Browser, Clock, Console, invited, settings

from clonewatch.pipeline.reporting.result_folder import ResultFolder
from clonewatch.pipeline.result_files import NAME, encode, read_manifest
from clonewatch.service.app import create_app
from clonewatch.state.manifest import File


def written(folder: Path, tables: Mapping[str, pa.Table], summary: Mapping[str, Any] | None = None) -> Path:
    """A result folder of these tables, published as a scan publishes it."""
    with ResultFolder(folder) as result:
        result.publish(tables, summary or report_tables.summary(), "<p>report</p>")
    return folder


def listed_anew(folder: Path) -> None:
    """Make the manifest list the files as they are, as if a scan had written them so."""
    old = read_manifest(folder / NAME)
    files = [(file, (folder / file.name).read_bytes()) for file in old.files]
    anew = tuple(File(file.name, file.rows, len(data), sha256(data).hexdigest()) for file, data in files)
    (folder / NAME).write_bytes(encode(anew, old.tables))


def showing(place: Path, result: Path | None, roles: tuple[str, ...] = ("viewer",)) -> Console:
    """A console on a store of its own, with the evidence of a result."""
    store, clock = filled(str(place / "cases.db")), Clock()
    app = create_app(settings(str(place / "cases.db"), None, clock)._replace(result=result))
    held = {role: Browser(app) for role in roles}
    for role, browser in held.items():
        assert browser.choose(invited(store, role, role)).status_code == 303
    return Console(app, store, clock, held)
