"""Harvests that hide better: uneven shares, middling demands, one-off wordings, cover of their own, neighbours."""

from clonewatch.lab.campaigns._plan import PoolPlan

# Sizes as in public reports of small cells and of pools: from 40 accounts to several hundred.
_ANY_SIZE = (40, 450)

CAMPAIGN = {
    "n01_uneven_shares": PoolPlan(
        accounts=_ANY_SIZE, rate=(3, 9), uneven=(0.6, 1.5), schedule="open", paraphrase=(0.1, 0.5), per_card=(3, 15)
    ),
    "n02_middling_demand": PoolPlan(
        accounts=_ANY_SIZE, rate=(3, 9), elicitation=(0.15, 0.4), paraphrase=(0.0, 0.4), formatted=(0.2, 0.6),
        per_card=(2, 12), uneven=(0.15, 0.8),
    ),
    "n03_one_off_wordings": PoolPlan(
        accounts=_ANY_SIZE, rate=(3, 8), paraphrase=(0.6, 0.98), templates=(20, 200), popular=(0.1, 0.5),
        per_card=(2, 10), builds=(2, 10), uneven=(0.15, 0.8), schedule="open",
    ),
    "n04_own_cover": PoolPlan(
        accounts=_ANY_SIZE, rate=(4, 10), cover=(0.06, 0.4), cover_from="own", per_card=(1, 6), bursts=False,
        created=(-120, 2), throwaway=0.1, paraphrase=(0.1, 0.6), uneven=(0.15, 0.8),
    ),
    "n05_human_relay": PoolPlan(
        accounts=_ANY_SIZE, rate=(2, 6), schedule="sessions", flat=False, popular=(0.85, 1.0), paraphrase=(0.3, 0.9),
        egress="residential", per_address=(0.5, 2.0), per_card=(2, 8), elicitation=(0.3, 0.8),
    ),
    "n06_outnumbered": PoolPlan(
        accounts=_ANY_SIZE, rate=(3, 8), egress="pool", per_address=(6, 30), customers=(300, 900), per_card=(1, 5),
        paraphrase=(0.1, 0.6), bursts=False, created=(-200, 3), throwaway=0.1, uneven=(0.15, 0.8),
    ),
    "n07_harness_rollouts": PoolPlan(
        accounts=_ANY_SIZE, rate=(8, 18), mimic=True, rollouts=(2, 3), varied=True, per_address=(1, 4), lease_days=2,
        per_card=(1, 3), per_device=(3, 12), tasks=("software_engineering", "agentic_tool_use"), formatted=(0, 0),
    ),
}  # fmt: skip
