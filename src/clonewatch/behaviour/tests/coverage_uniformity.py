"""Curricula cover topics evenly; people's curiosity follows a Zipf law."""

from clonewatch.behaviour.slices import USUAL, USUAL_TABLES
from clonewatch.ports.behaviour import BehaviouralTest, Dealing
from clonewatch.ports.engine import Query
from clonewatch.ports.signal import Card, Signal

TEST = BehaviouralTest(
    Signal(
        "coverage_uniformity",
        "behaviour",
        Card(
            title="Even coverage of topics",
            family="coverage",
            catches="a curriculum dealt out to many accounts",
            misses="a curriculum matched to honest popularity",
            innocent="a benchmark run by several labs",
            excluded_by="each lab covers everything, so labs ask the same questions",
        ),
        needs=(("exchanges.cell",), ("exchanges.messages",)),
        uses=("exchanges.task",),
        denied_suggests=(("class_or_event", 0.3),),
    ),
    steps=(
        Query(
            "coverage_mix",
            (*USUAL_TABLES, "background_tasks"),
            f"""
            SELECT cluster, task, n * 1.0 / SUM(n) OVER (PARTITION BY cluster) AS share FROM (
              SELECT s.cluster, COALESCE(s.task, -1) AS task, COUNT(*) AS n FROM {USUAL} s
              JOIN background_tasks q ON q.task = COALESCE(s.task, -1)
              WHERE s.cell IS NOT NULL GROUP BY s.cluster, COALESCE(s.task, -1)) t
            """,
            {},
        ),
        Query(
            "coverage_expected",
            ("coverage_mix", "background_overlap"),
            """
            SELECT a.cluster, SUM(a.share * b.share * o.overlap) AS expected
            FROM coverage_mix a JOIN coverage_mix b ON b.cluster = a.cluster
            JOIN background_overlap o ON o.task = a.task AND o.other = b.task GROUP BY a.cluster
            """,
            {},
        ),
        Query(
            "behaviour_coverage_uniformity",
            ("slice_cell_pairs", "slice_sizes", "coverage_expected"),
            """
            SELECT p.cluster, -LN((p.pairs + 1) / z.apart / e.expected) AS value,
              SQRT(2.0 / (p.pairs + 2)) AS error,
              CAST(FLOOR(e.expected * z.apart / 2 + 0.5) AS BIGINT) AS n
            FROM slice_cell_pairs p
            JOIN (SELECT cluster, CAST(n AS DOUBLE) * n - n2 AS apart FROM slice_sizes) z ON z.cluster = p.cluster
            JOIN coverage_expected e ON e.cluster = p.cluster WHERE z.apart > 0 AND e.expected > 0
            """,
            {},
        ),
    ),
    usual=0.0,
    spread=0.3,
    effect=0.7,
    says="Questions are spread over topics {ratio:.1f} times more evenly than this log's usual mix of the same"
    " tasks ({n:,} pairs expected on one topic).",
    denies="Questions crowd on few topics: they are spread {inverse:.1f} times less evenly than this log's usual mix of"
    " the same tasks ({n:,} pairs expected on one topic).",
    against=-1.2,
    least=30,
    most_against=5.0,
    extraction=True,
    dealing=Dealing.MACHINE,
    # A labelling job keeps to few topics.
    broad=True,
)
