"""Accounts opened for a harvest are rarely trusted; users of an app, or colleagues, are trusted as often as anyone."""

from clonewatch.ports.behaviour import BehaviouralTest
from clonewatch.ports.engine import Query
from clonewatch.ports.signal import Card, Signal

# Trusted share of a pool that bought some, as part of the usual share. Both likelihoods are equal at about 0.58 of the
# usual share; a pool with more trusted accounts looks honest.
_INFILTRATED = 0.3

TEST = BehaviouralTest(
    Signal(
        "trusted_members",
        "behaviour",
        Card(
            title="Trusted accounts among the members",
            family="trust",
            catches="nothing: it only counts against a campaign, when the entities are trusted as often as anyone",
            misses="bought and stolen trusted accounts, up to half of the usual share",
            innocent="any community of ordinary users",
            excluded_by="a pool opened or bought for the purpose holds few trusted accounts",
        ),
        needs=(("accounts.anchor",),),
    ),
    steps=(
        Query(
            "trusted_share",
            ("entities",),
            """
            SELECT AVG(CASE WHEN anchor > 0 THEN 1.0 ELSE 0.0 END) AS share FROM entities
            WHERE trust_source = 1 AND NOT exempt
            """,
        ),
        Query(
            "trusted_entities",
            ("slices", "entities"),
            """
            SELECT s.cluster, COUNT(*) AS n, SUM(CASE WHEN e.anchor > 0 THEN 1.0 ELSE 0.0 END) AS trusted FROM
            (SELECT cluster, entity FROM slices GROUP BY cluster, entity) s JOIN entities e ON e.entity = s.entity
            GROUP BY s.cluster
            """,
        ),
        Query(
            "behaviour_trusted_members",
            ("trusted_entities", "trusted_share"),
            """
            SELECT t.cluster, LEAST(0.0, t.trusted * LN($part) / LN(2.0)
              - (t.n - t.trusted) * LN((1 - p.share) / (1 - $part * p.share)) / LN(2.0)) AS value,
              0.0 AS error, t.n FROM trusted_entities t CROSS JOIN trusted_share p WHERE p.share > 0 AND p.share < 1
            """,
            {"part": _INFILTRATED},
        ),
    ),
    usual=0.0,
    spread=1.0,
    effect=0.0,
    says="As many trusted accounts as among the members are {odds:,.0f} times likelier among"
    " ordinary users than in a pool ({n:,} entities).",
    against=-1.0,
    least=4,
    in_bits=True,
)
