"""People work in bursts; a queue does not."""

from clonewatch.behaviour.slices import USUAL, USUAL_TABLES
from clonewatch.ports.behaviour import BehaviouralTest, Dealing
from clonewatch.ports.engine import Query
from clonewatch.ports.signal import Card, Signal

TEST = BehaviouralTest(
    Signal(
        "regularity",
        "behaviour",
        Card(
            title="No bursts",
            family="pacing",
            catches="accounts fed from a queue at a steady pace",
            misses="emulated human sessions",
            innocent="cron jobs and build fleets",
            excluded_by="such fleets keep to one repository and one template, and trusted accounts run them too",
        ),
        needs=(("exchanges.ts",),),
        suggests=(("benchmark_or_monitor", 0.5),),
    ),
    steps=(
        Query(
            "regularity_gaps",
            USUAL_TABLES,
            f"""
            SELECT cluster, entity, ts - LAG(ts) OVER (PARTITION BY cluster, entity ORDER BY ts, "row") AS gap
            FROM {USUAL} u
            """,
            {},
        ),
        Query(
            "regularity_means",
            ("regularity_gaps",),
            """
            SELECT cluster, entity, COUNT(gap) AS n, AVG(gap) AS mean FROM regularity_gaps
            WHERE gap IS NOT NULL GROUP BY cluster, entity HAVING COUNT(gap) >= 5 AND AVG(gap) > 0
            """,
            {},
        ),
        Query(
            "regularity_shares",
            ("regularity_gaps", "regularity_means"),
            """
            SELECT m.cluster, m.entity, LEAST(m.n, 100) AS n,
              AVG(CASE WHEN g.gap < 0.1 * m.mean THEN 1.0 ELSE 0.0 END) AS short
            FROM regularity_gaps g JOIN regularity_means m ON m.cluster = g.cluster AND m.entity = g.entity
            WHERE g.gap IS NOT NULL GROUP BY m.cluster, m.entity, m.n
            """,
            {},
        ),
        Query(
            "behaviour_regularity",
            ("regularity_shares",),
            """
            SELECT cluster, -LN((SUM(short * n) + 1) / (SUM((1 - short) * n) + 1)) AS value,
              SQRT(1 / (SUM(short * n) + 1) + 1 / (SUM((1 - short) * n) + 1)) AS error, CAST(SUM(n) AS BIGINT) AS n
            FROM regularity_shares GROUP BY cluster
            """,
            {},
        ),
    ),
    usual=-0.5,
    spread=0.6,
    effect=1.2,
    says="Only {rarely:.0%} of gaps are short (under a tenth of the account's mean gap); {others} show"
    " {usual_rarely:.0%} ({n:,} gaps).",
    denies="Its accounts work in bursts, as people do: {rarely:.0%} of gaps are short (under a tenth of the account's"
    " mean gap); {others} show {usual_rarely:.0%} ({n:,} gaps).",
    against=-1.5,
    least=60,
    dealing=Dealing.MACHINE,
    confounded=True,
)
