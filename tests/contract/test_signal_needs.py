"""The columns that a linking signal declares are exactly the columns that it reads."""

from __future__ import annotations

import pytest
import sqlglot
from sqlglot import exp
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

from clonewatch.graph import weights
from clonewatch.links import prompts
from clonewatch.model.schema import FINGERPRINT_COLUMNS
from clonewatch.pipeline.detection.signals import SIGNALS
from clonewatch.pipeline.intake.staging import ACCOUNT_SCHEMA, EVENT_SCHEMA, EXCHANGE_SCHEMA, STAGED_FROM
from clonewatch.ports.engine import Query
from clonewatch.ports.linking import LinkingSignal

STAGED = {"exchanges": EXCHANGE_SCHEMA.names, "accounts": ACCOUNT_SCHEMA.names, "events": EVENT_SCHEMA.names}
# Every row has these columns: no log can lack them.
ALWAYS = {
    *(f"exchanges.{name}" for name in ("row", "exchange_id", "xid", "account", "ts")),
    *("accounts.account", "events.ts"),
}
# An entity's column and the account fact it is made from.
OF_ENTITIES = {"entities.created": "accounts.created"}
# Computed from the text of a request where the log lacks them.
FROM_TEXT = {STAGED_FROM.get(f"exchanges.{name}", f"exchanges.{name}") for name in FINGERPRINT_COLUMNS}
TEXT = {"exchanges.messages", "exchanges.system_text"}
every_signal = pytest.mark.parametrize("signal", [SIGNALS.load(n) for n in SIGNALS.names()], ids=SIGNALS.names())


def columns(sql: str, made: dict[str, list[str]]) -> set[str]:
    """Columns of staged tables that a SELECT reads, as `table.column`. made: columns of tables that steps write."""
    tables = {table: dict.fromkeys(names, "BIGINT") for table, names in (STAGED | made).items()}
    tree = qualify(
        sqlglot.parse_one(sql, dialect="duckdb"),
        schema=tables,
        dialect="duckdb",
        validate_qualify_columns=False,
    )
    found = set()
    for scope in traverse_scope(tree):
        for column in scope.columns:
            source = scope.sources.get(column.table)
            if isinstance(source, exp.Table) and source.name in {*STAGED, "entities"}:
                found.add(f"{source.name}.{column.name}")
    return found


def read(signal: LinkingSignal) -> set[str]:
    """Staged columns that a signal reads and that a log may lack. Columns that a fold reads are not examined."""
    shared = {step.writes: step for step in prompts.STEPS}
    steps = [step for step in signal.steps if isinstance(step, Query)]
    # What a signal connects was read by the signals that carry it.
    others = {table.removeprefix("carried_") for step in steps for table in step.reads if table.startswith("carried_")}
    steps += [weights.carried(SIGNALS.load(name)) for name in sorted(others)]
    if {table for step in signal.steps for table in step.reads} & set(shared):
        steps += shared.values()
    made = {step.writes: sqlglot.parse_one(step.sql, dialect="duckdb").named_selects for step in steps}
    queries = {signal.sql, *(step.sql for step in steps)}
    found = {OF_ENTITIES.get(name, name) for sql in queries for name in columns(sql, made)}
    return {name for name in found if not name.startswith("entities.")} - ALWAYS


def filled(alternative: tuple[str, ...]) -> set[str]:
    """Staged columns that are present where a log has these."""
    direct = {STAGED_FROM.get(need, need) for need in alternative} - TEXT
    return direct | (FROM_TEXT if TEXT & set(alternative) else set())


def folded(signal: LinkingSignal) -> bool:
    """Whether Python code reads some of the columns, which SQL does not show."""
    return any(not isinstance(step, Query) and "entities" in step.reads for step in signal.steps)


@every_signal
def test_a_signal_works_with_each_alternative_that_it_declares(signal: LinkingSignal) -> None:
    optional = {STAGED_FROM.get(name, name) for name in signal.signal.uses}
    for alternative in signal.signal.needs:
        assert read(signal) - optional - filled(alternative) == set()


@every_signal
def test_a_signal_declares_no_column_that_it_does_not_read(signal: LinkingSignal) -> None:
    declared = {need for alternative in signal.signal.needs for need in alternative} - TEXT | set(signal.signal.uses)
    unread = {STAGED_FROM.get(name, name) for name in declared} - read(signal)
    assert unread == ({"accounts.created"} if folded(signal) else set())


@every_signal
def test_a_signal_that_text_can_serve_declares_the_text_as_an_alternative(signal: LinkingSignal) -> None:
    if read(signal) & FROM_TEXT:
        assert any(TEXT & set(alternative) for alternative in signal.signal.needs)


def test_a_signal_that_reads_more_than_it_declares_fails() -> None:
    template: LinkingSignal = SIGNALS.load("template")
    undeclared = template._replace(sql=template.sql.replace("x.template", "x.tools"))
    with pytest.raises(AssertionError):
        test_a_signal_works_with_each_alternative_that_it_declares(
            undeclared._replace(signal=template.signal._replace(needs=(("exchanges.template_id",),)))
        )
    with pytest.raises(AssertionError):
        test_a_signal_declares_no_column_that_it_does_not_read(undeclared)
