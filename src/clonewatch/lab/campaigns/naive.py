"""Harvests that hide little: shared cards, slow starts, release-day jumps."""

from clonewatch.lab.campaigns._plan import PoolPlan

CAMPAIGN = {
    "s01_shared_cards": PoolPlan(
        accounts=(250, 500), rate=(3, 9), per_card=(12, 40), paraphrase=(0.0, 0.1), egress="hosting"
    ),
    "s10_slow_start": PoolPlan(accounts=(250, 450), rate=(5, 10), first_day=(0, 0), ramp=(28, 30), per_card=(3, 10)),
    "s13_release_jump": PoolPlan(
        accounts=(250, 450), rate=(3, 8), react=(0.9, 1.0), per_card=(3, 12), paraphrase=(0.1, 0.4)
    ),
}
