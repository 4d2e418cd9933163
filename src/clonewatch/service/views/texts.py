"""The text of an exchange, where a scan kept it: read only when somebody asks for one exchange."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clonewatch.model.errors import InputError
from clonewatch.pipeline import result_files
from clonewatch.report.numerals import visible
from clonewatch.service.views.results import Result

_PARTS = (("system_text", "System prompt"), ("messages", "Messages"), ("response_text", "Answer"))
# Longer lines are cut in the middle, and say how long they were.
_LINE, _LINES = 4_000, 2_000


def kept(result: Result) -> bool:
    """Whether the scan kept any text."""
    return result_files.located(result.folder, result_files.TEXTS).is_file()


def text(result: Result, exchange: str) -> list[tuple[str, str]]:
    """The parts of an exchange's text with their names, hidden characters spelled out. Raises InputError for none."""
    if not kept(result):
        raise InputError("there is no text: the scan kept none", where=str(result.folder))
    path = result_files.opened(result.folder).path(result_files.TEXTS)
    try:
        rows = pq.read_table(path, filters=pc.field("exchange_id") == exchange).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise InputError("the kept text cannot be read", where=str(path)) from error
    if not rows:
        raise InputError("there is no text of this exchange: only that of attributed ones is kept")
    return [(title, _shown(rows[0][name])) for name, title in _PARTS if rows[0].get(name)]


def _shown(held: str) -> str:
    lines = held.splitlines()
    left = f"\n({len(lines) - _LINES:,} more lines)" if len(lines) > _LINES else ""
    return "\n".join(visible(line, _LINE) for line in lines[:_LINES]) + left
