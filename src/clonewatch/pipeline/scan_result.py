"""The result of a scan: its tables, its summary, queries on them, and reading it back from a folder."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clonewatch.model import schema
from clonewatch.model.errors import InputError, SetupError
from clonewatch.model.text_files import json_of, text_of
from clonewatch.pipeline.result_files import SUMMARY, ResultFiles, opened
from clonewatch.report.tables import whole

_RERUN = "Name the folder that `clonewatch scan --out` wrote, or run the scan again"
# As long as the log itself: read only on request.
_LONG = "attribution"
# Enough to see the pattern; the table holds the rest.
_EXCHANGES_SHOWN = 10
_CAMPAIGNS_SHOWN = 20
_SHOWN = ("campaign_id", "outcome", "level", "accounts", "exchanges", "harvested_exchanges", "first_ts", "last_ts")
# Parts of the summary that every reader takes apart.
_OBJECTS = ("window", "settings", "versions", "counts", "thresholds", "trust", "calibration")
_LISTS = ("inputs", "dropped_values", "stages", "signals", "chance", "linked_groups", "warnings")
_CAVEAT = "A flag is where a person starts to check. It is not a verdict, and it identifies nobody."


@dataclass(frozen=True, repr=False)
class ScanResult:
    """What a scan found.

    Every table is an Arrow table: `.to_pylist()` and `.to_pandas()` convert it. The columns are those that
    `clonewatch schema` prints.

    Attributes:
        directory: The folder that holds the result; None if it is in memory only.
        tables: All tables by name. `attribution`, which may be as long as the log, is among them only if the result is
            in memory only; otherwise the property reads it from the folder.
        summary: The content of `scan.json`: window, counts, settings, versions, stages, warnings.
    """

    directory: Path | None
    tables: dict[str, pa.Table]
    summary: dict[str, Any]

    @property
    def campaigns(self) -> pa.Table:
        """One row per group, flagged, for review or listed: its column `rank` says which to look at first."""
        return self._table("campaigns")

    @property
    def flagged(self) -> pa.Table:
        """The rows of `campaigns` that are flagged."""
        return self._table("campaigns", flagged=True)

    @property
    def review(self) -> pa.Table:
        """The rows of `campaigns` that are for review, the first to look at first."""
        return self._table("campaigns", outcome="review").sort_by("rank")

    @property
    def members(self) -> pa.Table:
        """One row per account of a group: `membership` (0 to 1), `role`, and its attributed exchanges."""
        return self._table("members")

    @property
    def attribution(self) -> pa.Table:
        """One row per exchange of a linked account: `posterior`, 0 to 1, that it was harvested for the campaign."""
        return self._table(_LONG)

    @property
    def evidence(self) -> pa.Table:
        """One row per reason for or against a group: its strength in bits, and its innocent explanation."""
        return self._table("evidence")

    @property
    def report(self) -> Path | None:
        """The report as one HTML file; None if the result is in memory only."""
        return self.directory / "report.html" if self.directory else None

    def show(self, campaign_id: str) -> dict[str, Any]:
        """One campaign, as `clonewatch show --json` writes it.

        Returns:
            `campaign` (its row), `evidence`, `attributes` (what its accounts share, strongest first) and `members`
            (highest membership first): lists of rows.

        Raises:
            InputError: There is no campaign with that id.
            SetupError: The id is not text.
        """
        found = self._rows("campaigns", campaign_id=_id(campaign_id, "campaign_id"))
        if not found:
            known = ", ".join(self.campaigns["campaign_id"].to_pylist()[:10]) or "none"
            raise InputError(f"no campaign {campaign_id!r} in this scan", fix=f"Use one of: {known}")
        members = self._rows("members", campaign_id=campaign_id)
        return {
            "campaign": _plain(found[0]),
            "evidence": self._rows("evidence", campaign_id=campaign_id),
            "attributes": _strongest(self._rows("attributes", campaign_id=campaign_id)),
            "members": sorted(members, key=lambda m: (-(m["membership"] or 0.0), m["account_id"])),
        }

    def why(self, account_id: str) -> list[dict[str, Any]]:
        """Why an account is in a campaign: one entry per campaign it is in, none if it is in no campaign.

        Returns:
            For each campaign: `campaign` and `member` (rows), `attributes` (what the account shares with others in the
            group), `evidence` (for and against the group), and `exchanges` (the ten of this account that most probably
            belong to the campaign). The same as `clonewatch why --json` writes under `campaigns`.
        """
        mine = self._rows("members", account_id=_id(account_id, "account_id"))
        return [self._place(account_id, member) for member in mine]

    def _place(self, account: str, member: dict[str, Any]) -> dict[str, Any]:
        """One campaign that an account is in, with what links it to the others."""
        campaign = member["campaign_id"]
        carried = self._rows("attribute_accounts", account_id=account, campaign_id=campaign)
        own = {(t["signal"], t["attribute"]) for t in carried}
        shared = self._rows("attributes", campaign_id=campaign)
        found = self._rows("campaigns", campaign_id=campaign)
        mine = self._table(_LONG, account_id=account, campaign_id=campaign)
        surest = mine.sort_by([("posterior", "descending"), ("exchange_id", "ascending")])
        return {
            "campaign": _plain(found[0]) if found else None,
            "member": member,
            "attributes": _strongest([t for t in shared if (t["signal"], t["attribute"]) in own]),
            "evidence": self._rows("evidence", campaign_id=campaign),
            "exchanges": surest.slice(0, _EXCHANGES_SHOWN).to_pylist(),
        }

    def _table(self, name: str, **equal: str | bool) -> pa.Table:
        """A table, from memory or from the folder. equal: keep the rows in which each named column has this value."""
        tests = [pc.field(column) == value for column, value in equal.items()]
        chosen = functools.reduce(lambda a, b: a & b, tests) if tests else None
        if name in self.tables:
            held = self.tables[name]
            return held if chosen is None else held.filter(chosen)
        if self.directory is None:
            raise InputError(f"this result holds no table {name!r}", fix=f"Use one of: {', '.join(self.tables)}")
        return read_table(self.directory, name, chosen)

    def _rows(self, name: str, **equal: str | bool) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._table(name, **equal).to_pylist()
        return rows

    def _headline(self) -> str:
        number = self.flagged.num_rows
        flagged = f"{number or 'no'} campaign{'' if number == 1 else 's'} flagged"
        counts = self.summary.get("counts") or {}
        review = self.review.num_rows
        if review:
            flagged += f", {review} group{'' if review == 1 else 's'} for review"
        return f"{flagged} among {counts.get('accounts', 0):,} accounts, {counts.get('kept', 0):,} exchanges"

    def __repr__(self) -> str:
        where = f"; in {self.directory}" if self.directory else ""
        return f"<ScanResult: {self._headline()}{where}>"

    def _repr_html_(self) -> str:
        """The result as a notebook shows it: a sentence, the first campaigns, and where the report is."""
        sentence = self._headline()
        parts = [f"<p><strong>{escape(sentence[0].upper() + sentence[1:])}.</strong></p>"]
        rows = self.campaigns.sort_by("rank").slice(0, _CAMPAIGNS_SHOWN).select(_SHOWN).to_pylist()
        if rows:
            parts.append(_html_table(_SHOWN, [[_cell(value) for value in row.values()] for row in rows]))
        if left := self.campaigns.num_rows - len(rows):
            parts.append(f"<p>{left:,} more in <code>campaigns</code>.</p>")
        if self.report:
            parts.append(f"<p>Report: <code>{escape(str(self.report))}</code></p>")
        return "\n".join([*parts, f"<p><em>{_CAVEAT}</em></p>"])


def load(folder: Path) -> ScanResult:
    """Read back the result that a scan wrote into a folder. Raises InputError if there is none, or it is damaged."""
    files = opened(folder)
    tables = {name: _read(files, name) for name in (t.name for t in schema.RESULTS) if name != _LONG}
    # Results of earlier versions lack the columns that rank groups.
    tables[schema.CAMPAIGNS.name] = whole(tables, schema.CAMPAIGNS)
    return ScanResult(folder, tables, _summary(files))


def read_summary(folder: Path) -> dict[str, Any]:
    """Read `scan.json` from the folder of a result. Raises InputError if it cannot be read."""
    return _summary(opened(folder))


def read_table(folder: Path, name: str, chosen: pc.Expression | None = None) -> pa.Table:
    """One table of a result in a folder. chosen: the rows to keep. Raises InputError if it cannot be read."""
    return _read(opened(folder), name, chosen)


def table_paths(folder: Path) -> dict[str, Path]:
    """The path of each table of a result, all bytes as they were written. Raises InputError."""
    files = opened(folder)
    return {table.name: files.path(f"{table.name}.parquet") for table in schema.RESULTS}


def _summary(files: ResultFiles) -> dict[str, Any]:
    path = files.path(SUMMARY)
    try:
        held = json_of(text_of(path))
    except (OSError, ValueError) as error:
        raise InputError("scan.json cannot be read", where=str(path), fix=_RERUN) from error
    if not isinstance(held, dict):
        raise InputError("scan.json holds no object", where=str(path), fix=_RERUN)
    for names, kind, said in ((_OBJECTS, dict, "object"), (_LISTS, list, "list")):
        for name in (name for name in names if not isinstance(held.get(name) or kind(), kind)):
            raise InputError(f"{name} of scan.json is no {said}", where=str(path), fix=_RERUN)
    return held


def _read(files: ResultFiles, name: str, chosen: pc.Expression | None = None) -> pa.Table:
    path = files.path(f"{name}.parquet")
    try:
        return pq.read_table(path, filters=chosen)
    except (OSError, pa.ArrowException) as error:
        raise InputError("the table cannot be read", where=str(path), fix=_RERUN) from error


def _id(given: object, name: str) -> str:
    """An id as the tables have it."""
    if not isinstance(given, str):
        raise SetupError(f"{name} is not text: {given!r}", fix="Ids are text, as in result.members")
    return given


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row of `campaigns` with its tasks as a dictionary."""
    return {**row, "tasks": dict(row["tasks"] or ())}


def _strongest(shared: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(shared, key=lambda t: -(t["weight"] or 0.0))


def _cell(value: object) -> str:
    """A value as text for a cell of a table.

    >>> _cell(True), _cell(48250), _cell(None)
    ('yes', '48,250', '')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:%Y-%m-%d}" if hasattr(value, "strftime") else str(value)


def _html_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows as an HTML table, every cell escaped."""
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "\n".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
