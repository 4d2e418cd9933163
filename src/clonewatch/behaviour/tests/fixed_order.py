"""Entities that send the same prompts on the same day do so in the same order: a list worked from top to bottom."""

from clonewatch.behaviour.slices import USUAL, USUAL_TABLES
from clonewatch.ports.behaviour import BehaviouralTest
from clonewatch.ports.engine import Query
from clonewatch.ports.signal import Card, Signal

_CROWD = 24  # most entities on one prompt per day: keeps the pairs linear in the exchanges

TEST = BehaviouralTest(
    Signal(
        "fixed_order",
        "behaviour",
        Card(
            title="Always in the same order",
            family="order",
            catches="accounts used in the order of a list, on the same prompts day after day",
            misses="shuffled accounts; work that is never done twice",
            innocent="cron jobs of one tenant that run one after another",
            excluded_by="declared organisations count as one entity",
        ),
        needs=(("exchanges.prompt_id",), ("exchanges.messages",)),
        suggests=(("benchmark_or_monitor", 1.0),),
    ),
    steps=(
        Query(
            "order_firsts",
            USUAL_TABLES,
            f"""
            SELECT cluster, entity, thing, day, first FROM (
              SELECT cluster, entity, prompt AS thing, CAST(FLOOR(ts / 86400000000) AS BIGINT) AS day, MIN(ts) AS first,
                COUNT(*) OVER (PARTITION BY cluster, prompt, CAST(FLOOR(ts / 86400000000) AS BIGINT)) AS entities
              FROM {USUAL} u WHERE prompt IS NOT NULL
              GROUP BY cluster, entity, prompt, CAST(FLOOR(ts / 86400000000) AS BIGINT)) s
            WHERE entities BETWEEN 2 AND {_CROWD}
            """,
        ),
        # Under a random order, each of a pair comes first half the time: the mean of this statistic is then 0. It is 1
        # if the order never changes. It is unbiased for any number of meetings.
        Query(
            "behaviour_fixed_order",
            ("order_firsts",),
            """
            SELECT cluster, SUM((2 * ahead - k) * (2 * ahead - k) - k) / SUM(k * k - k) AS value,
              2 / SQRT(SUM(k * k - k)) AS error, CAST(SUM(k) AS BIGINT) AS n
            FROM (
              SELECT a.cluster, a.entity AS one, b.entity AS other, CAST(COUNT(*) AS DOUBLE) AS k,
                SUM(CASE WHEN a.first < b.first THEN 1.0 ELSE 0.0 END) AS ahead
              FROM order_firsts a JOIN order_firsts b ON b.cluster = a.cluster AND b.thing = a.thing AND b.day = a.day
                AND a.entity < b.entity AND a.first <> b.first
              GROUP BY a.cluster, a.entity, b.entity HAVING COUNT(*) >= 2) p
            GROUP BY cluster
            """,
        ),
    ),
    usual=0.0,
    spread=0.05,
    effect=0.2,
    says="Entities that send the same prompts on the same day do so in the same order: consistency {value:.0%}, where a"
    " random order gives 0% ({n:,} meetings).",
    least=20,
    certifies_above=0.0,
)
