"""Harvests with another purpose than a plain question list: rollouts, grading, sharded topics."""

from clonewatch.lab.campaigns._plan import PoolPlan

CAMPAIGN = {
    "s06_rollouts": PoolPlan(
        accounts=(220, 400), rate=(4, 9), rollouts=(8, 8), paraphrase=(0.0, 0.1), per_card=(3, 12)
    ),
    "s07_grading": PoolPlan(
        accounts=(220, 400),
        rate=(4, 9),
        task="grading",
        tasks=("grading", "reasoning"),
        elicitation=(0.15, 0.35),
        formatted=(0.9, 1.0),
        outputs=(60, 160),
        templates=(1, 6),
        per_card=(3, 12),
    ),
    "s08_topic_sharded": PoolPlan(
        accounts=(220, 400), rate=(4, 9), shards=(40, 120), per_card=(3, 12), paraphrase=(0.2, 0.5)
    ),
}
