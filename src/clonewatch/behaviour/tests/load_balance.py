"""A dispatcher gives every account the same share; people's volumes differ a hundredfold."""

from clonewatch.ports.behaviour import BehaviouralTest, Dealing
from clonewatch.ports.engine import Query
from clonewatch.ports.signal import Card, Signal

TEST = BehaviouralTest(
    Signal(
        "load_balance",
        "behaviour",
        Card(
            title="Equal shares",
            family="load",
            catches="a dispatcher that spreads load evenly over its accounts",
            misses="uneven pools and slow ramps",
            innocent="a class with one exercise, a fleet of identical runners",
            excluded_by="a class asks the same questions; a fleet keeps to one repository",
        ),
        needs=(("exchanges.ts",),),
    ),
    steps=(
        Query(
            "load_entities",
            ("slices",),
            """
            SELECT cluster, entity, COUNT(*) AS n, COUNT(DISTINCT CAST(FLOOR(ts / 86400000000) AS BIGINT)) AS days
            FROM slices GROUP BY cluster, entity
            """,
            {},
        ),
        Query(
            "behaviour_load_balance",
            ("load_entities",),
            """
            SELECT cluster,
              -LN(GREATEST(0.05, SQRT(GREATEST(0.0, LEAST(
                VAR_SAMP(LN(n)) - AVG(1.0 / n), VAR_SAMP(LN(n * 1.0 / days)) - AVG(1.0 / n)))))) AS value,
              1 / SQRT(2.0 * COUNT(*)) + SQRT(AVG(1.0 / n)) AS error, COUNT(*) AS n
            FROM load_entities WHERE n >= 8 GROUP BY cluster HAVING COUNT(*) >= 6
            """,
            {},
        ),
    ),
    usual=0.0,
    spread=0.35,
    effect=0.8,
    says="Accounts carry nearly equal shares: their volumes differ by a factor of {spread:.1f} (one"
    " standard deviation); those of {others} by {usual_spread:.1f} ({n:,} entities).",
    denies="Some accounts carry far more than others: their volumes differ by a factor of {spread:,.1f} (one standard"
    " deviation); those of {others} by {usual_spread:,.1f} ({n:,} entities).",
    against=-0.9,
    least=6,
    dealing=Dealing.SHARES,
)
