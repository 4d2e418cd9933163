"""Runs steps in order and refuses a table that is read before it is written, or written twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from clonewatch.ports.engine import Engine, Fold, Query, Step


class StepError(AssertionError):
    """A bug in the order of the steps."""


class StepRunner:
    """The tables written so far, and the engine that holds them.

    known: tables that exist already. done: rows of tables that an interrupted run had written: a step that writes one
    of them is not run again. The same question has the same steps, so their tables are the same too.
    """

    def __init__(self, engine: Engine, known: Iterable[str] = (), done: Mapping[str, int] | None = None) -> None:
        self.engine = engine
        self.rows: dict[str, int] = dict.fromkeys(known, 0)
        self._done = dict(done or {})

    def wrote(self, table: str, rows: int) -> None:
        """Record a table that was stored directly."""
        if table in self.rows:
            raise StepError(f"table {table!r} is written twice")
        self.rows[table] = rows

    def put(self, table: str, data: pa.Table) -> None:
        """Store a small Arrow table as if a step had written it."""
        if table not in self._done:
            self.engine.put(table, data)
        self.wrote(table, data.num_rows)

    def rename(self, table: str, name: str, rows: int) -> None:
        """Rename a table of `rows` rows. Its old name stays taken, so that no other step writes it."""
        if name not in self._done:
            self.engine.rename(table, name)
        self.wrote(name, rows)

    def run(self, step: Step) -> int:
        """Run one step; returns the rows it wrote."""
        missing = [t for t in step.reads if t not in self.rows]
        if missing:
            raise StepError(f"{step.writes!r} reads {missing} before they are written")
        if step.writes in self.rows:
            raise StepError(f"table {step.writes!r} is written twice")
        if step.writes in self._done:
            rows = self._done[step.writes]
        elif isinstance(step, Query):
            rows = self.engine.store(step.writes, step.sql, step.params)
        else:
            rows = self._fold(step)
        self.wrote(step.writes, rows)
        return rows

    def run_all(self, steps: Iterable[Step]) -> int:
        """Run steps in order; returns the rows all of them wrote."""
        return sum(self.run(step) for step in steps)

    def _fold(self, step: Fold) -> int:
        for table in step.reads:
            if self.rows[table] > step.limit:
                raise StepError(
                    f"{step.writes!r} folds {table!r} of {self.rows[table]:,} rows; the limit is {step.limit:,}"
                )
        result = step.function(*(self.engine.fetch(f'SELECT * FROM "{t}"') for t in step.reads))
        self.engine.put(step.writes, result)
        return int(result.num_rows)
