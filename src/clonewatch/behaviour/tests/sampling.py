"""A harvest requests several answers per prompt, or log-probabilities."""

from clonewatch.behaviour.odds import log_odds
from clonewatch.ports.behaviour import BehaviouralTest, Dealing
from clonewatch.ports.signal import Card, Signal

TEST = BehaviouralTest(
    Signal(
        "sampling",
        "behaviour",
        Card(
            title="Several answers or log-probabilities requested",
            family="harvest",
            catches="sampling for training: n above one, log-probabilities",
            misses="plain requests",
            innocent="evaluation harnesses, classifiers that read log-probabilities",
            excluded_by="labs ask the same questions",
        ),
        needs=(("exchanges.n",), ("exchanges.logprobs",)),
        uses=("exchanges.n", "exchanges.logprobs"),
        suggests=(("benchmark_or_monitor", 0.5),),
    ),
    steps=(
        log_odds(
            "sampling",
            "COALESCE(answers, 1) > 1 OR COALESCE(logprobs, FALSE)",
            "answers IS NOT NULL OR logprobs IS NOT NULL",
        ),
    ),
    usual=-4.0,
    spread=1.2,
    effect=3.0,
    says="{share:.0%} of its requests ask for several answers or log-probabilities; in {others}"
    " {usual_share:.0%} do ({n:,} exchanges).",
    against=None,
    least=60,
    dealing=Dealing.PURPOSE,
)
