"""Harvests with a characteristic pool of accounts: thin, fat, rotated, probing first, replaying signatures."""

from clonewatch.lab.campaigns._plan import PoolPlan

CAMPAIGN = {
    "s09_hydra": PoolPlan(accounts=(150, 260), rate=(5, 10), ban=(0.05, 0.12), replace_hours=(6, 24), per_card=(3, 12)),
    "p1_thin_pool": PoolPlan(
        accounts=(500, 580),
        rate=(6, 6),
        cover=(0.4, 0.6),
        cover_from="customers",
        countries=(2, 2),
        first_day=(5, 15),
        ramp=(0, 1),
        last=(0.6, 0.8),
        per_address=(5, 20),
        bursts=False,
        created=(-90, 3),
        customers=(10, 30),
    ),
    "p2_fat_pool": PoolPlan(
        accounts=(12, 16),
        rate=(800, 900),
        wave=0.5,
        replace_hours=(4, 20),
        templates=(1, 1),
        paraphrase=(0.0, 0.0),
        per_card=(1, 3),
        egress="residential",
        per_address=(0.02, 0.1),
        ramp=(0, 1),
        throwaway=0.9,
        least=6,
        formatted=(1.0, 1.0),
        elicitation=(0.9, 0.95),
    ),
    "p4_trace_cleaning": PoolPlan(
        accounts=(40, 70),
        rate=(60, 120),
        ban=(0.08, 0.2),
        replace_hours=(1, 12),
        clean=0.5,
        per_card=(1, 4),
        templates=(2, 8),
    ),
    "p6_release_pivot": PoolPlan(accounts=(300, 450), rate=(4, 8), react=(0.45, 0.55), per_card=(3, 12)),
    "p7_probing_then_scale": PoolPlan(
        accounts=(250, 400),
        rate=(5, 9),
        first_day=(7, 9),
        ramp=(1, 3),
        probing=60.0,
        per_card=(3, 12),
    ),
    "p8_slow_traces": PoolPlan(
        accounts=(150, 220),
        rate=(0.12, 0.18),
        least=20,
        ramp=(0, 0),
        first_day=(0, 0),
        per_card=(1, 4),
        elicitation=(0.8, 0.95),
        templates=(1, 4),
        outputs=(2500, 4000),
    ),
    "p9_signature_replay": PoolPlan(
        accounts=(200, 350), rate=(4, 8), replay=0.5, per_card=(3, 12), elicitation=(0.6, 0.9)
    ),
}
