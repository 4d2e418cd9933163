"""A harvest moves to a new model at once."""

from clonewatch.behaviour.odds import log_odds
from clonewatch.behaviour.slices import USUAL, USUAL_TABLES
from clonewatch.ports.behaviour import BehaviouralTest
from clonewatch.ports.engine import Query
from clonewatch.ports.signal import Card, Signal

TEST = BehaviouralTest(
    Signal(
        "release",
        "behaviour",
        Card(
            title="Moved to a new model at once",
            family="reaction",
            catches="a pool that moves to a new model within a day of its release",
            misses="a delayed move",
            innocent="release-day benchmarking, default-model aliases",
            excluded_by="labs ask the same questions; defaults move everybody",
        ),
        needs=(("exchanges.model", "events.kind", "events.model"),),
        suggests=(("benchmark_or_monitor", 1.0),),
    ),
    steps=(
        Query(
            "release_days",
            ("events", *USUAL_TABLES),
            f"SELECT s.cluster, s.model = e.model AS moved FROM {USUAL} s JOIN events e ON e.kind = 'model_release'"
            " AND s.ts >= e.ts AND s.ts < e.ts + 86400000000 WHERE s.model IS NOT NULL AND e.model IS NOT NULL",
        ),
        log_odds("release", "moved", "moved IS NOT NULL", "release_days", ("release_days",)),
    ),
    usual=-2.0,
    spread=0.8,
    effect=1.5,
    says="{share:.0%} of its exchanges in the day after a release went to the new model; in {others}"
    " {usual_share:.0%} did ({n:,} exchanges).",
    against=None,
    least=40,
)
