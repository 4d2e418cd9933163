"""Rows of one exchange become one, and near-identical templates one template: `arrivals` becomes `exchanges`.

Clients and servers choose ids, so an id alone proves nothing: some servers count to 999 and start again, some write the
same word for every call. Rows with one id are one exchange if they have one account, times close together and no two
different prompts. Otherwise the id identifies nothing, and only rows of one account, one microsecond and one prompt are
merged.

Rows of one exchange are merged column by column. The row with the most values comes first, whatever the order of the
log: of two spans of one call, the one without the prompt must not cost the prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa

from clonewatch.model.defaults import APART
from clonewatch.model.errors import TooManyRepeated
from clonewatch.pipeline.intake.staging import EXCHANGE_SCHEMA
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.engine import Query

# The share of rows that merge into others, above which a scan says so loudly: deliveries are repeated now and then.
REPEATED_WARNED = 0.01
# The share of rows whose id identifies nothing, above which it says so.
SHARED_WARNED = 0.001

# What rows of one exchange may know and others not.
_KNOWN = [n for n in EXCHANGE_SCHEMA.names if n not in ("row", "exchange_id", "xid", "account", "ts")]
_COLUMNS = ", ".join(f'a."{n}"' for n in EXCHANGE_SCHEMA.names if n not in ("row", "exchange_id"))
_RICHNESS = " + ".join(f'CASE WHEN t."{n}" IS NULL THEN 0 ELSE 1 END' for n in _KNOWN)
# Values decide between equally rich rows, the order of the log only between equal ones.
_ORDER = ", ".join(f't."{n}" NULLS LAST' for n in _KNOWN)
# With an id that identifies nothing, an exchange is told by its time and its prompt.
_MOMENT = "CASE WHEN t.shared = 1 THEN t.ts ELSE 0 END"
_SAID = "CASE WHEN t.shared = 1 THEN COALESCE(t.prompt, 0) ELSE 0 END"
_OTHERS = ", ".join(f't."{n}"' for n in _KNOWN)

REPEATED = Query("repeated", ("arrivals",), "SELECT xid FROM arrivals GROUP BY xid HAVING COUNT(*) > 1")
# Repeated ids are found first, on their own: this groups the whole log.
# Rows with such an id, each content once: most repeats say the same in every column.
TOLD = Query(
    "told",
    ("arrivals", "repeated"),
    f'SELECT MIN(a."row") AS "row", COUNT(*) AS copies, {_COLUMNS}, f.shared FROM arrivals a JOIN (SELECT i.xid, CASE'
    " WHEN MIN(i.account) <> MAX(i.account) OR MAX(i.ts) - MIN(i.ts) > $apart OR MIN(i.prompt) <> MAX(i.prompt)"
    " THEN 1 ELSE 0 END AS shared FROM arrivals i JOIN repeated r ON r.xid = i.xid GROUP BY i.xid) f ON f.xid = a.xid"
    f" GROUP BY {_COLUMNS}, f.shared",
    {"apart": APART},
)
# Rows of one exchange: their place by richness, and the row that stays.
PLACED = Query(
    "placed",
    ("told",),
    'SELECT p.*, MIN(CASE WHEN p.place = 1 THEN p."row" END)'
    " OVER (PARTITION BY p.xid, p.account, p.moment, p.said) AS keep"
    f' FROM (SELECT t."row", t.xid, t.account, t.shared, {_MOMENT} AS moment, {_SAID} AS said, {_OTHERS},'
    f" ROW_NUMBER() OVER (PARTITION BY t.xid, t.account, {_MOMENT}, {_SAID}"
    f' ORDER BY {_RICHNESS} DESC, t.ts, {_ORDER}, t."row") AS place FROM told t) p',
)
KEPT = Query("kept", ("placed",), 'SELECT p."row" FROM placed p WHERE p.place = 1')
KEPT_TOLD = Query("kept", ("told",), 'SELECT t."row" FROM told t')
AGAIN = Query(
    "again",
    ("arrivals", "repeated", "kept"),
    'SELECT a."row" FROM arrivals a JOIN repeated r ON r.xid = a.xid LEFT JOIN kept k ON k."row" = a."row"'
    ' WHERE k."row" IS NULL',
)
# Exchanges whose first row lacks a value that another one has: for every column, the place of the first row with it.
_FIRST = {n: f'MIN(CASE WHEN p."{n}" IS NULL THEN NULL ELSE p.place END)' for n in _KNOWN}
FIRSTS = Query(
    "firsts",
    ("placed",),
    f"SELECT p.keep, {', '.join(f'{first} AS {n}_at' for n, first in _FIRST.items())} FROM placed p GROUP BY p.keep"
    f" HAVING GREATEST({', '.join(f'COALESCE({first}, 1)' for first in _FIRST.values())}) > 1",
)
COMPLETED = Query(
    "completed",
    ("placed", "firsts"),
    "SELECT f.keep, "
    + ", ".join(f'MAX(CASE WHEN p.place = f.{n}_at THEN p."{n}" ELSE NULL END) AS "{n}"' for n in _KNOWN)
    + " FROM firsts f JOIN placed p ON p.keep = f.keep GROUP BY f.keep",
)
# Rows of a log that say the same as an earlier one in every column: a state stores them once.
SAME = Query(
    "again",
    ("arrivals", "repeated"),
    'SELECT s."row" FROM (SELECT a."row", ROW_NUMBER() OVER (PARTITION BY a.xid, a.account, a.ts, '
    + ", ".join(f'a."{n}"' for n in _KNOWN)
    + ' ORDER BY a."row") AS place FROM arrivals a JOIN repeated r ON r.xid = a.xid) s WHERE s.place > 1',
)
# Follows `FROM arrivals x`.
WITHOUT = 'LEFT JOIN again g ON g."row" = x."row" WHERE g."row" IS NULL'


class Repeats(NamedTuple):
    """What became of rows with an id that other rows have too.

    merged: rows that were merged into another one. completed: exchanges that took values from several rows. shared:
    rows whose id belongs to several accounts, times or prompts, which were told apart without it.
    """

    merged: int = 0
    completed: int = 0
    shared: int = 0

    def warnings(self, read: int) -> list[str]:
        """Sentences for the reader of a result. read: the number of rows.

        >>> Repeats(merged=5).warnings(1000), len(Repeats(merged=50, shared=9).warnings(1000))
        ([], 2)
        """
        said = []
        if self.merged > REPEATED_WARNED * read:
            said.append(
                f"{self.merged:,} of {read:,} rows ({self.merged / read:.0%}) repeat an exchange and were merged into"
                " it. Check that `exchange_id` names one call, and not a session, a trace or a worker, unless you know"
                " that calls are logged more than once"
            )
        if self.shared > SHARED_WARNED * read:
            said.append(
                f"{self.shared:,} of {read:,} rows ({self.shared / read:.1%}) have an exchange id that other accounts,"
                " other times or other prompts have too. These ids identify nothing, and the rows were kept: log the"
                " gateway's own id of a call"
            )
        return said


def refuse_repeats(counts: Mapping[str, int], most: float, written: str) -> None:
    """Raise TooManyRepeated if more than this share of the rows was merged into others.

    written: the summary of the result, which stays.
    """
    if counts["duplicate"] > most * counts["read"]:
        raise TooManyRepeated(
            f"{counts['duplicate']:,} of {counts['read']:,} rows repeat an exchange and were merged into it",
            where=written,
            fix="The result was written but should not be trusted. Check that `exchange_id` names one call, and not a"
            " session, a trace or a worker; raise --max-repeated if every call is logged several times",
        )


def find_same(runner: StepRunner) -> int:
    """Write table `again`: rows of `arrivals` that say the same as an earlier one; returns how many.

    For a state: rows that add something are stored, and merged when a window is examined.
    """
    return runner.run(SAME) if runner.run(REPEATED) else _nothing(runner)


def held_already(table: str, lacking: frozenset[str] = frozenset()) -> str:
    """Condition on a row `x` of `arrivals`: `table` has the same exchange, with every value that the row has.

    lacking: columns that the table no longer has, by its retention.
    """
    covers = "".join(f' AND (x."{n}" IS NULL OR h."{n}" IS NOT NULL)' for n in _KNOWN if n not in lacking)
    return f'EXISTS (SELECT 1 FROM "{table}" h WHERE h.xid = x.xid AND h.account = x.account AND h.ts = x.ts{covers})'


def _nothing(runner: StepRunner) -> int:
    runner.put("again", pa.table({"row": pa.array([], pa.int64())}))
    return 0


def settle(runner: StepRunner, read: int) -> Repeats:
    """Write table `exchanges`: every exchange once, near-identical templates under one id.

    read: the number of rows of `arrivals`.
    """
    repeats = _find(runner)
    if not repeats.merged and not runner.engine.fetch("SELECT COUNT(*) AS n FROM families")["n"][0].as_py():
        runner.rename("arrivals", "exchanges", read)
        return repeats
    runner.run(_exchanges(bool(repeats.completed)))
    return repeats


def _find(runner: StepRunner) -> Repeats:
    """Write table `again`, rows that were merged into others, and `completed` where others gave values to them."""
    ids = runner.run(REPEATED)
    if not ids:
        return Repeats(_nothing(runner))
    alike = runner.run(TOLD) == ids
    runner.run_all([KEPT_TOLD] if alike else [PLACED, KEPT])
    merged = runner.run(AGAIN)
    completed = 0 if alike else runner.run(FIRSTS)
    if completed:
        runner.run(COMPLETED)
    shared = runner.engine.fetch("SELECT SUM(shared * copies) AS n FROM told")["n"][0].as_py()
    return Repeats(merged, completed, int(shared or 0))


def _exchanges(completed: bool) -> Query:
    given = {
        n: f'COALESCE(x."{n}", m."{n}")' if completed and n in _KNOWN else f'x."{n}"' for n in EXCHANGE_SCHEMA.names
    }
    template = given["template"]
    columns = [
        f"COALESCE(f.family, {template}) AS template" if n == "template" else f'{value} AS "{n}"'
        for n, value in given.items()
    ]
    return Query(
        "exchanges",
        ("arrivals", "again", "families", *(["completed"] if completed else [])),
        f"SELECT {', '.join(columns)} FROM arrivals x"
        + (' LEFT JOIN completed m ON m.keep = x."row"' if completed else "")
        + f" LEFT JOIN families f ON f.template = {template} {WITHOUT}",
    )
