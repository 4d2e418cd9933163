"""The columns that a behavioural test declares are exactly the columns of the log that its steps read."""

from __future__ import annotations

import pytest
import sqlglot
from sqlglot import exp
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

from clonewatch.behaviour import slices
from clonewatch.pipeline.detection import slicing
from clonewatch.pipeline.detection.signals import TESTS
from clonewatch.pipeline.intake.staging import EVENT_SCHEMA, STAGED_FROM
from clonewatch.ports.behaviour import BehaviouralTest
from clonewatch.ports.engine import Query, Step

SHARED = {step.writes: step for step in (*slices.of_clusters(True), *slices.of_background(True))}
# Table -> its columns -> the staged columns that they come from. Every row has the columns without a source.
SLICES = {
    select.alias_or_name: f"exchanges.{select.this.name if isinstance(select, exp.Alias) else select.name}"
    for query in (slicing._slices("", []), slicing.unlinked(1))
    for select in sqlglot.parse_one(query.sql, dialect="duckdb").selects
}
SOURCES = {
    "slices": SLICES,
    "background": SLICES,
    "events": {name: f"events.{name}" for name in EVENT_SCHEMA.names},
    "entities": {"entity": "", "trust_source": "", "exempt": "", "n": "", "created": "", "anchor": "accounts.anchor"},
}
ALWAYS = {"", "exchanges.cluster", "exchanges.entity", "exchanges.row", "exchanges.ts", "events.ts"}
# Comparisons are made within topics, or tasks, where a log has them; without, all exchanges count as one.
WITHIN = {"exchanges.cell", "exchanges.task"}
# Computed from the text of a request where the log lacks them.
TEXT = {"exchanges.messages"}
FROM_TEXT = {"exchanges.cell", "exchanges.task", "exchanges.prompt", "exchanges.elicitation"}
every_test = pytest.mark.parametrize("test", [TESTS.load(n) for n in TESTS.names()], ids=TESTS.names())
# Tests whose statistic Python code computes from a table of the log, which SQL does not show.
FOLDED = {"replenishment": {"events.kind", "events.account"}}


def needed_steps(test: BehaviouralTest) -> list[Step]:
    """The steps of a test and the shared ones that lead to them."""
    waiting, found = list(test.steps), {}
    while waiting:
        step = waiting.pop()
        found[step.writes] = step
        waiting += [SHARED[table] for table in step.reads if table in SHARED and table not in found]
    return list(found.values())


def read(test: BehaviouralTest) -> set[str]:
    """Staged columns that a test reads and that a log may lack."""
    steps = [step for step in needed_steps(test) if isinstance(step, Query)]
    made = {step.writes: dict.fromkeys(named(step.sql), "BIGINT") for step in steps}
    known = {table: dict.fromkeys(columns, "BIGINT") for table, columns in SOURCES.items()}
    found = set(FOLDED.get(test.signal.name, ()))
    for step in steps:
        own, shared = columns(step.sql, known | made), step.writes in SHARED
        found |= {name for name in own if not (shared and name in WITHIN)}
    return found - ALWAYS


def named(sql: str) -> list[str]:
    return sqlglot.parse_one(sql, dialect="duckdb").named_selects


def columns(sql: str, tables: dict[str, dict[str, str]]) -> set[str]:
    tree = qualify(
        sqlglot.parse_one(sql, dialect="duckdb"), schema=tables, dialect="duckdb", validate_qualify_columns=False
    )
    found = set()
    # Of a subquery that selects everything, what is selected from it counts.
    for scope in traverse_scope(pushdown_projections(tree)):
        for column in scope.columns:
            source = scope.sources.get(column.table)
            if isinstance(source, exp.Table) and source.name in SOURCES:
                found.add(SOURCES[source.name][column.name])
    return found


def staged(names: set[str]) -> set[str]:
    return {STAGED_FROM.get(name, name) for name in names}


def filled(alternative: tuple[str, ...]) -> set[str]:
    """Staged columns that are present where a log has these."""
    return staged(set(alternative) - TEXT) | (FROM_TEXT if TEXT & set(alternative) else set())


@every_test
def test_a_test_works_with_each_alternative_that_it_declares(test: BehaviouralTest) -> None:
    optional = staged(set(test.signal.uses))
    for alternative in test.signal.needs:
        assert read(test) - optional - filled(alternative) == set()


@every_test
def test_a_test_declares_no_column_that_it_does_not_read(test: BehaviouralTest) -> None:
    declared = {need for alternative in test.signal.needs for need in alternative} | set(test.signal.uses)
    assert staged(declared - TEXT) - read(test) <= ALWAYS | WITHIN


@every_test
def test_a_test_that_text_can_serve_declares_the_text_as_an_alternative(test: BehaviouralTest) -> None:
    if read(test) & FROM_TEXT:
        assert any(TEXT & set(alternative) for alternative in test.signal.needs)


def test_a_test_that_reads_more_than_it_declares_fails() -> None:
    turns: BehaviouralTest = TESTS.load("single_turn")
    undeclared = turns._replace(signal=turns.signal._replace(needs=(("exchanges.model",),)))
    with pytest.raises(AssertionError):
        test_a_test_works_with_each_alternative_that_it_declares(undeclared)
    with pytest.raises(AssertionError):
        test_a_test_declares_no_column_that_it_does_not_read(undeclared)
