"""Harvests that pay to look unrelated: own addresses, own cards, reworded prompts, human hours."""

from dataclasses import replace

from clonewatch.lab.campaigns._plan import PoolPlan

_STRANGERS = PoolPlan(
    accounts=(250, 450),
    rate=(3, 8),
    egress="own",
    per_card=(1, 1),
    per_device=(1, 1),
    throwaway=0.0,
    bursts=False,
    created=(-200, 3),
)

CAMPAIGN = {
    "s04_stealth": replace(
        _STRANGERS, rate=(3, 7), paraphrase=(0.6, 0.8), popular=(0.3, 0.6), flat=False, schedule="open", builds=(8, 20),
        templates=(20, 120),
    ),
    "s05_agent_mimic": PoolPlan(
        accounts=(100, 180), rate=(10, 20), mimic=True, rollouts=(2, 2), per_address=(1, 3), lease_days=2,
        per_card=(1, 2), per_device=(8, 14), tasks=("software_engineering", "agentic_tool_use"), formatted=(0, 0),
    ),
    "s11_aged_accounts": replace(_STRANGERS, anchors=0.1, created=(-500, -130), per_card=(2, 6), egress="pool"),
    "s12_disjoint_cells": PoolPlan(
        accounts=(280, 480), rate=(4, 8), split=20, per_card=(2, 6), per_address=(2, 6), per_device=(2, 6),
        builds=(1, 1), templates=(2, 8),
    ),
    "s14_popularity_matched": PoolPlan(
        accounts=(250, 450), rate=(3, 8), popular=(0.85, 1.0), schedule="open", paraphrase=(0.2, 0.5)
    ),
    "s16_human_sessions": replace(
        _STRANGERS, accounts=(300, 500), rate=(2, 5), schedule="sessions", paraphrase=(0.3, 0.6), cover=(0.1, 0.3),
        egress="residential", per_address=(0.3, 1.0), per_card=(2, 6),
    ),
}  # fmt: skip
