"""Every step of a scan: plain SQL that two engines parse, with its tables declared, in an order that works."""

import re

import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp

from clonewatch.behaviour import slices
from clonewatch.campaigns import attribution
from clonewatch.engines.duckdb import DuckDB
from clonewatch.entities import ownership
from clonewatch.graph import communities, sub_clusters, weights
from clonewatch.links import prompts
from clonewatch.pipeline.detection import slicing
from clonewatch.pipeline.detection.signals import TESTS, linking_signals
from clonewatch.pipeline.intake import deduplicate
from clonewatch.pipeline.intake.staging import ACCOUNT_SCHEMA, EVENT_SCHEMA, EXCHANGE_SCHEMA
from clonewatch.pipeline.steps import StepRunner
from clonewatch.ports.engine import Fold, Query, Step
from clonewatch.ports.linking import LinkingSignal

# Functions that DuckDB, Spark and the standard share with the same meaning. A new one here is a decision.
COMMON = {
    "AND",
    "AVG",
    "CASE",
    "CAST",
    "COALESCE",
    "COUNT",
    "EXISTS",
    "FLOOR",
    "GREATEST",
    "IF",
    "LAG",
    "LEAST",
    "LN",
    "MAX",
    "MIN",
    "OR",
    "ROW_NUMBER",
    "SQRT",
    "SUM",
    "VARIANCE",
}
LOADED: list[LinkingSignal] = list(linking_signals().values())


def steps() -> list[Step]:
    """Every step of a scan after staging, in the order in which they run."""
    found: list[Step] = [deduplicate.REPEATED, deduplicate.TOLD, deduplicate.PLACED, deduplicate.KEPT]
    found += [deduplicate.AGAIN, deduplicate.FIRSTS, deduplicate.COMPLETED, deduplicate._exchanges(True)]
    found += [*ownership.STEPS, *ownership.RHYTHM, ownership.BEHAVIOUR, *prompts.STEPS]
    found.append(weights.presence(LOADED))
    for link in LOADED:
        found += [*link.steps, weights.carried(link), weights.rare(link, 0.2, 1000)]
        found.append(weights.rare(link, 0.4, 1000, "second"))
    found += [communities.popular(link, 0.2) for link in LOADED]
    content = [link for link in LOADED if link.content]
    found += [slicing._carriers(""), slicing._slices("", content), slicing.unlinked(1000)]
    found += [*slices.of_clusters(True), *slices.of_background(True)]
    found.append(slicing._carriers("sub_cluster_"))
    sliced = slicing._slices("sub_cluster_", content).sql
    found += [sub_clusters.counted(sliced), sub_clusters.asked(sliced), *sub_clusters.worked(sliced)]
    for name in TESTS.names():
        found += TESTS.load(name).steps
    selecting = [(link.signal.name, link.column) for link in content]
    found += [
        attribution.BACKGROUND_PROFILE,
        attribution.attribute_profiles(selecting, 1000),
        attribution.candidates("slices"),
    ]
    found += [attribution.PROFILES, attribution.POSTERIORS]
    return found


STEPS = steps()
QUERIES = [step for step in STEPS if isinstance(step, Query)]
# Tables that Python code stores between the steps.
STORED = {
    "arrivals",
    "families",
    "accounts",
    "events",
    "linked",
    "candidate_groups",
    "groups",
    "tested",
    "selecting",
    "selection_modes",
    "reported",
    "mixture",
    "sub_cluster_tested",
    "sub_cluster_selecting",
    "sub_cluster_selection_modes",
    "sub_cluster_compared",
    "sub_cluster_merged",
}
every_query = pytest.mark.parametrize("query", QUERIES, ids=[q.writes for q in QUERIES])


def tables_read(query: Query) -> set[str]:
    """Tables after FROM and JOIN, without the query's own common table expressions."""
    tree = sqlglot.parse_one(query.sql, dialect="duckdb")
    return {t.name for t in tree.find_all(exp.Table)} - {c.alias for c in tree.find_all(exp.CTE)}


@pytest.mark.parametrize("dialect", ["duckdb", "spark"])
@every_query
def test_a_query_parses_for_both_engines(query: Query, dialect: str) -> None:
    assert isinstance(sqlglot.parse_one(query.sql, dialect=dialect), exp.Query)


@every_query
def test_a_query_reads_no_undeclared_table(query: Query) -> None:
    assert tables_read(query) - set(query.reads) == set()


@every_query
def test_a_query_declares_no_unread_table(query: Query) -> None:
    assert set(query.reads) - tables_read(query) == set()


@every_query
def test_a_query_uses_only_the_common_functions(query: Query) -> None:
    calls = sqlglot.parse_one(query.sql, dialect="duckdb").find_all(exp.Func)
    used = {c.name.upper() if isinstance(c, exp.Anonymous) else c.sql_name() for c in calls}
    assert used - COMMON == set()


@every_query
def test_a_query_names_exactly_the_parameters_it_is_given(query: Query) -> None:
    assert set(re.findall(r"\$(\w+)", query.sql)) == set(query.params)


def test_no_two_steps_write_the_same_table() -> None:
    written = [step.writes for step in STEPS]
    assert sorted(set(written)) == sorted(written)


def test_every_table_is_written_before_it_is_read() -> None:
    known = set(STORED)
    for step in STEPS:
        assert set(step.reads) <= known, step.writes
        known.add(step.writes)


def test_every_fold_states_how_large_a_table_it_can_process() -> None:
    folds = [step for step in STEPS if isinstance(step, Fold)]
    assert folds and all(0 < fold.limit <= 50_000_000 for fold in folds)


def test_every_step_runs_on_an_empty_log() -> None:
    engine = DuckDB(threads=1)
    group = pa.schema(
        [("cluster", pa.int32()), ("entity", pa.int32()), ("mass", pa.float64()), ("attributes", pa.int32())]
    )
    attributes = pa.schema([("cluster", pa.int32()), ("signal", pa.string()), ("attribute", pa.int64())])
    modes = pa.schema([("cluster", pa.int32()), ("uses_all", pa.bool_())])
    empty = {
        "arrivals": EXCHANGE_SCHEMA,
        "families": pa.schema([("template", pa.int64()), ("family", pa.int64())]),
        "accounts": ACCOUNT_SCHEMA,
        "events": EVENT_SCHEMA,
        "linked": pa.schema([("entity", pa.int32())]),
        "candidate_groups": group,
        "groups": group,
        "tested": group,
        "sub_cluster_tested": group,
        "selecting": attributes,
        "sub_cluster_selecting": attributes,
        "selection_modes": modes,
        "sub_cluster_selection_modes": modes,
        "sub_cluster_compared": pa.schema([("cluster", pa.int32())]),
        "sub_cluster_merged": sub_clusters.MERGE_SCHEMA,
        "reported": pa.schema([("cluster", pa.int32()), ("posterior_scale", pa.float64())]),
        "mixture": pa.schema(
            [(n, pa.int32()) for n in ("cluster", "entity", "task", "demand", "opening", "sampled")]
            + [("held", pa.bool_()), ("posterior", pa.float64())]
        ),
    }
    assert set(empty) == STORED
    try:
        runner = StepRunner(engine)
        for name, schema in empty.items():
            engine.put(name, schema.empty_table())
            runner.wrote(name, 0)
        rows = {step.writes: runner.run(step) for step in STEPS}
    finally:
        engine.close()
    # One row each: no pairs in the background, and a trusted share of null.
    assert {name for name, n in rows.items() if n} <= {"background_pairs", "trusted_share"}


def test_every_source_of_trust_runs_on_an_empty_log() -> None:
    """The operator's trusted set, both sets, or rhythm alone: three steps that write one table, of which one runs."""
    schemas = {"exchanges": EXCHANGE_SCHEMA, "accounts": ACCOUNT_SCHEMA}
    for last in (ownership.DECLARED, ownership.BOTH, ownership.BEHAVIOUR):
        assert last.writes == "entities"
        engine = DuckDB(threads=1)
        try:
            runner = StepRunner(engine)
            for name, schema in schemas.items():
                engine.put(name, schema.empty_table())
                runner.wrote(name, 0)
            runner.run_all((*ownership.STEPS, *ownership.RHYTHM))
            assert runner.run(last) == 0
        finally:
            engine.close()
