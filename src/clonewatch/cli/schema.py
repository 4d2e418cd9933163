"""The command that prints what the tables mean."""

from __future__ import annotations

from typing import Annotated

import typer

from clonewatch.cli import output
from clonewatch.cli.options import Json
from clonewatch.model import schema as tables
from clonewatch.model.errors import SetupError

_WIRE = (tables.EXCHANGES, tables.ACCOUNTS, tables.EVENTS, tables.LABEL_ACCOUNTS, tables.LABEL_EXCHANGES)


def schema(
    table: Annotated[str | None, typer.Argument(metavar="TABLE", help="One table; all when left out.")] = None,
    json: Json = False,
) -> None:
    """Print the tables: what a scan reads (exchanges, accounts, events, labels) and what it writes.

    Only `ts` and `account_id` are required; an exchange id is made up where a log has none. A missing value lowers
    confidence; it never raises suspicion.

    For example:

      clonewatch schema exchanges

      clonewatch schema --json
    """
    every = {t.name: t for t in (*_WIRE, *tables.RESULTS)}
    if table is not None and table not in every:
        raise SetupError(f"no table {table!r}", fix=f"There are: {', '.join(every)}")
    chosen = [every[table]] if table is not None else list(every.values())
    if json:
        output.as_json(
            {
                "schema": tables.VERSION,
                "tables": {t.name: [c._asdict() for c in t.columns] for t in chosen},
            }
        )
        return
    for t in chosen:
        output.table(
            t.name,
            ("Column", "Type", "", "Meaning"),
            ((c.name, c.type, "required" if c.required else "", c.meaning) for c in t.columns),
        )
