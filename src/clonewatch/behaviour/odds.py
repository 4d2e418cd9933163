"""The log odds of a property of exchanges, per cluster: the statistic of several behavioural tests."""

from collections.abc import Sequence

from clonewatch.behaviour.slices import USUAL, USUAL_TABLES
from clonewatch.ports.engine import Query


def log_odds(test: str, hit: str, known: str, source: str = USUAL, tables: Sequence[str] = USUAL_TABLES) -> Query:
    """The step that writes `behaviour_<test>`: log odds of `hit` among rows with `known`, with half a count added.

    hit, known: SQL conditions over the rows of `source`, which reads `tables`. They are constants of this program,
    never a user's text.
    """
    return Query(
        f"behaviour_{test}",
        tuple(tables),
        f"SELECT cluster, LN((yes + 0.5) / (n - yes + 0.5)) AS value,"
        f" SQRT(1 / (yes + 0.5) + 1 / (n - yes + 0.5)) AS error, n FROM ("
        f"SELECT cluster, SUM(CASE WHEN {hit} THEN 1 ELSE 0 END) AS yes, COUNT(*) AS n FROM {source} u WHERE {known}"
        f" GROUP BY cluster) s",
    )
