"""A harvest asks once and never follows up."""

from clonewatch.behaviour.odds import log_odds
from clonewatch.ports.behaviour import BehaviouralTest, Dealing
from clonewatch.ports.signal import Card, Signal

TEST = BehaviouralTest(
    Signal(
        "single_turn",
        "behaviour",
        Card(
            title="No conversation",
            family="harvest",
            catches="prompts sent once, with no follow-up, correction or thanks",
            misses="emulated conversations",
            innocent="classification, retrieval and batch jobs",
            excluded_by="such jobs keep to few topics and repeat themselves",
        ),
        needs=(("exchanges.turn",),),
    ),
    steps=(log_odds("single_turn", "turn = 0", "turn IS NOT NULL"),),
    usual=0.5,
    spread=0.9,
    effect=1.5,
    says="{share:.0%} of its exchanges open a conversation; in {others} {usual_share:.0%} do ({n:,} exchanges).",
    against=None,
    least=60,
    most=4.0,
    dealing=Dealing.PURPOSE,
)
