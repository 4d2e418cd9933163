"""A harvest demands the reasoning, not only the answer."""

from clonewatch.behaviour.odds import log_odds
from clonewatch.ports.behaviour import BehaviouralTest, Dealing
from clonewatch.ports.signal import Card, Signal

TEST = BehaviouralTest(
    Signal(
        "elicitation",
        "behaviour",
        Card(
            title="Reasoning demanded",
            family="harvest",
            catches="prompts that force a reasoning trace into the answer",
            misses="demands hidden in the system prompt of a harness",
            innocent="tutors, audit rules, safety research",
            excluded_by="trusted accounts do it too, and people do it in bursts",
        ),
        needs=(("exchanges.elicitation",), ("exchanges.messages",)),
    ),
    steps=(log_odds("elicitation", "elicitation >= 0.5", "elicitation IS NOT NULL"),),
    usual=-3.0,
    spread=1.0,
    effect=2.0,
    says="{share:.0%} of its prompts demand a written-out reasoning trace; in {others}"
    " {usual_share:.0%} do ({n:,} exchanges).",
    against=None,
    least=60,
    dealing=Dealing.PURPOSE,
)
