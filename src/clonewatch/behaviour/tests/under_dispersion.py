"""Prompts dealt a fixed number of times repeat more regularly than any popularity law allows."""

from clonewatch.ports.behaviour import BehaviouralTest
from clonewatch.ports.engine import Query
from clonewatch.ports.signal import Card, Signal

TEST = BehaviouralTest(
    Signal(
        "under_dispersion",
        "behaviour",
        Card(
            title="Prompts dealt a fixed number of times",
            family="work_partition",
            catches="rollouts: every prompt sent by exactly the same number of accounts",
            misses="a random number of rollouts; honest cover traffic in the slice",
            innocent="a few labs running one benchmark",
            excluded_by="a prompt repeats far fewer times than there are accounts",
        ),
        needs=(("exchanges.prompt_id",), ("exchanges.messages",)),
    ),
    steps=(
        Query(
            "under_dispersion_moments",
            ("slice_prompts",),
            """
            SELECT p.cluster, SUM(CAST(p.entities AS DOUBLE)) AS m1,
              SUM(CAST(p.entities AS DOUBLE) * (p.entities - 1)) AS m2,
              SUM(CAST(p.entities AS DOUBLE) * (p.entities - 1) * (p.entities - 2)) AS m3,
              MAX(p.entities) AS most
            FROM slice_prompts p GROUP BY p.cluster
            """,
            {},
        ),
        Query(
            "behaviour_under_dispersion",
            ("under_dispersion_moments", "slice_sizes"),
            """
            SELECT m.cluster, LN((m.m2 * m.m2 / m.m1 / 6 + 1) / (m.m3 / 6 + 1)) AS value,
              SQRT(1 / (m.m2 * m.m2 / m.m1 / 6 + 1) + 1 / (m.m3 / 6 + 1)) AS error,
              CAST(FLOOR(GREATEST(m.m2 * m.m2 / m.m1, m.m3) / 6 + 0.5) AS BIGINT) AS n
            FROM under_dispersion_moments m JOIN slice_sizes z ON z.cluster = m.cluster
            WHERE m.m1 > 0 AND m.most * 3 <= z.entities
            """,
            {},
        ),
    ),
    usual=-1.0,
    spread=0.5,
    effect=0.8,
    says="Prompts repeat more regularly than any popularity law allows: {ratio:.1f} times fewer threefold"
    " repeats than the pairs imply ({n:,} expected).",
    against=None,
    least=15,
    certifies_above=0.0,
    deceptive=True,
    # A firm has every item annotated by the same number of its people.
    one_customer=True,
    extraction=True,
    # Prompts dealt a fixed number of times look like questions shared by a class.
    overrules=True,
)
