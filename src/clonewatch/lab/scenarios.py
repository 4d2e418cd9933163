"""The scenarios by name: which honest world, which look-alikes, which harvests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from clonewatch.lab.campaigns._plan import PoolPlan, Range
from clonewatch.lab.campaigns._pool import launch
from clonewatch.lab.campaigns.proxies import COVERS
from clonewatch.lab.lookalikes import agents, events, organisations, undeclared
from clonewatch.lab.population import businesses, families, individuals
from clonewatch.lab.world import World
from clonewatch.ports.shelf import Shelf

CAMPAIGNS = Shelf("clonewatch.lab.campaigns", "CAMPAIGN")
# Look-alike -> how it is made and its number of accounts at scale 1 of an ordinary scenario (low, high, least).
LOOKALIKES: dict[str, tuple[Callable[[World, int], None], float, float, int]] = {
    "coding_agent": (agents.coding_agent, 350, 700, 12),
    "rag_app": (agents.rag_app, 80, 240, 8),
    "privacy_vpn": (agents.privacy_vpn, 60, 160, 5),
    "newsroom": (agents.newsroom, 20, 60, 4),
    "red_team": (agents.red_team, 8, 18, 3),
    "viral_prompt": (agents.viral_prompt, 120, 300, 8),
    "enterprise": (organisations.enterprise, 180, 450, 10),
    "reseller": (organisations.reseller, 15, 40, 3),
    "multi_provider_router": (organisations.multi_provider_router, 12, 30, 4),
    "batch_customer": (organisations.batch_customer, 10, 30, 3),
    "annotation_vendor": (organisations.annotation_vendor, 20, 50, 4),
    "synthetic_data_firm": (organisations.synthetic_data_firm, 6, 14, 3),
    "eval_lab": (organisations.eval_lab, 20, 50, 5),
    "university_class": (events.university_class, 50, 140, 8),
    "hackathon": (events.hackathon, 40, 110, 6),
    "free_tier_ring": (events.free_tier_ring, 80, 180, 6),
    "ci_fleet": (events.ci_fleet, 30, 80, 5),
    "drift_monitor": (events.drift_monitor, 8, 24, 3),
}
# Customers whom nobody declared. They live in drawn mixes only, so that figures of the other scenarios stay comparable.
UNDECLARED: dict[str, tuple[Callable[[World, int], None], float, float, int]] = {
    "one_card_office": (undeclared.one_card_office, 30, 120, 8),
    "key_pool": (undeclared.key_pool, 10, 40, 6),
    "small_monitors": (undeclared.small_monitors, 12, 40, 6),
    "agency": (undeclared.agency, 15, 60, 6),
    "returners": (undeclared.returners, 20, 80, 6),
}
_DAYS = (30, 44)
# In a drawn mix: the chance that a kind of look-alike is missing, and the factors on its usual number of accounts.
_ABSENT, _CROWDS = 0.3, (0.2, 4.0)


class Scenario(NamedTuple):
    """What a scenario is made of.

    people, firms: individuals and businesses at scale 1. rate: mean requests per individual per day. campaigns: name in
    the labels and its plan. crowd: factor on the look-alikes' numbers, 0 for none. drawn: every seed draws the number
    of people, how much they ask and which look-alikes exist. pool: ranges that replace those of the plans, by knob.
    mix: factors on the numbers of look-alikes, by kind.
    trusted: share of trusted accounts; 0 draws it. A campaign may be a
    plan instead of the name of one.
    """

    summary: str
    campaigns: tuple[tuple[str, str | PoolPlan], ...]
    people: int = 2300
    firms: int = 55
    rate: float = 0.9
    firm_rate: float = 18.0
    days: int = 0
    crowd: float = 1.0
    together: bool = False
    size: float = 1.0
    drawn: bool = False
    pool: tuple[tuple[str, Range], ...] = ()
    mix: tuple[tuple[str, float], ...] = ()
    trusted: float = 0.0


def plans() -> dict[str, PoolPlan]:
    """All available harvests, by name."""
    found: dict[str, PoolPlan] = {}
    for module in CAMPAIGNS.names():
        found |= CAMPAIGNS.load(module)
    return found


_SUMMARIES = {
    "s01_shared_cards": "a naive harvest: many accounts on few cards and servers",
    "s02_mixing_proxy": "a harvest hidden in a resale proxy, about 70 % of it honest customers' traffic",
    "s03_mixing_proxy_95": "the same proxy with about 95 % honest customers' traffic",
    "s04_stealth": "own residential addresses and cards, most prompts reworded, human hours",
    "s05_agent_mimic": "the prompts, tools and user agent of a popular coding agent, two rollouts",
    "s06_rollouts": "eight rollouts of every question, dealt to different accounts",
    "s07_grading": "the model as a reward model: grading by rubric",
    "s08_topic_sharded": "every account keeps to its own topics",
    "s09_hydra": "accounts banned all the time and replaced within a day",
    "s10_slow_start": "grows over a month",
    "s11_aged_accounts": "bought aged accounts, 10 % of them trusted",
    "s12_disjoint_cells": "twenty parts that share nothing but the list of questions",
    "s13_release_jump": "almost all accounts move to the new model on release day",
    "s14_popularity_matched": "asks about public topics, as often as the public does",
    "s15_two_in_one_proxy": "two harvests in one resale proxy",
    "s16_human_sessions": "imitates human sessions and think time",
    "n01_uneven_shares": "a dispatcher with random, unequal weights",
    "n02_middling_demand": "reasoning demanded in a part of the prompts only",
    "n03_one_off_wordings": "nearly every prompt in a wording of its own, some of them public",
    "n04_own_cover": "accounts whose holders use them for themselves as well",
    "n05_human_relay": "public questions at a human pace over residential addresses",
    "n06_outnumbered": "a proxy with 300 to 900 honest neighbours, mostly more than members",
    "n07_harness_rollouts": "a popular coding agent imitated, with two or three rollouts at random",
    "p1_thin_pool": "six requests per account per day over ten or twenty days, customers' traffic mixed in",
    "p2_fat_pool": "about 860 requests per account per day, one fixed prompt; banned at mid-window, then a second pool",
    "p4_trace_cleaning": "rotated accounts that send harvested answers back to be cleaned up",
    "p5_reseller_stratum": "a large resale pool of which 3 to 10 % is harvest",
    "p6_release_pivot": "half of the traffic moves to the new model within a day",
    "p7_probing_then_scale": "a few accounts try wordings and are refused, then a pool scales up",
    "p8_slow_traces": "about a thousand long traces over the whole window",
    "p9_signature_replay": "reasoning signatures redeemed in other sessions and accounts",
}


def catalogue() -> dict[str, Scenario]:
    """Every scenario by name."""
    found = {name: Scenario(said, ((name, name),)) for name, said in _SUMMARIES.items()}
    found["s15_two_in_one_proxy"] = Scenario(
        _SUMMARIES["s15_two_in_one_proxy"],
        (("s15_a", "s02_mixing_proxy"), ("s15_b", "s02_mixing_proxy")),
        together=True,
    )
    for percent in COVERS:
        name = f"cover_{percent:02}"
        said = f"a resale proxy over ninety days, {percent} % of it honest customers' traffic"
        found[name] = Scenario(said, ((name, name),), days=90)
    found["quiet"] = Scenario("no harvest at all, every look-alike", ())
    found["quiet_mixed"] = Scenario(
        "no harvest, a mix of people and look-alikes drawn anew by every seed", (), drawn=True
    )
    found["quiet_plain"] = Scenario("no harvest and no look-alike", (), crowd=0.0, people=4000, firms=80)
    found["mixed"] = Scenario(
        "four harvests (naive, mixing proxy, stealth, agent mimic) among every look-alike, about 50,000 accounts",
        (
            ("naive", "s01_shared_cards"),
            ("proxy", "s02_mixing_proxy"),
            ("stealth", "s04_stealth"),
            ("mimic", "s05_agent_mimic"),
        ),
        people=31_000,
        firms=500,
        days=44,
        crowd=6.0,
        rate=0.6,
        firm_rate=8.0,
    )
    found["demo"] = Scenario(
        "a small log to examine: three harvests and every look-alike, about 3,000 accounts",
        (("cards", "s01_shared_cards"), ("proxy", "s02_mixing_proxy"), ("rollouts", "s06_rollouts")),
        people=1900,
        firms=12,
        days=30,
        crowd=0.26,
        rate=0.5,
        size=0.2,
        firm_rate=12.0,
    )
    found["headline"] = Scenario(
        "a harvest of publicly alleged size: 24,975 accounts, 44 days, 26 requests per day, among 400,000 honest ones",
        (("headline", "headline"),),
        people=330_000,
        firms=3_000,
        days=44,
        crowd=25.0,
        rate=3.9,
        firm_rate=60.0,
    )
    return found


# 28.8M exchanges / 24,975 accounts / 44 days, as publicly alleged; wording randomised.
_HEADLINE = PoolPlan(
    accounts=(24_975, 24_975),
    rate=(26.2, 26.2),
    cover=(0.0, 0.0),
    paraphrase=(0.3, 0.7),
    templates=(50, 400),
    ban=(0, 0),
    per_address=(6, 20),
    per_card=(4, 15),
    ramp=(0, 0),
    first_day=(0, 0),
    builds=(5, 20),
    created=(-60, -1),
    width=(900, 1800),
)
# The proportions of the four harvests in the mixed world: 1,000, 2,500, 800 and 150 accounts.
_MIXED = {
    "naive": {"accounts": (900, 1100), "rate": (1.6, 2.2), "per_card": (22, 28)},
    "proxy": {"accounts": (2300, 2700), "rate": (2.4, 3.4), "customers": (250, 350), "cover": (0.68, 0.72)},
    "stealth": {"accounts": (720, 880), "rate": (1.6, 2.4)},
    "mimic": {"accounts": (140, 160), "rate": (5, 9)},
}


def build(world: World, scenario: Scenario) -> None:
    """Add all accounts and traffic of a scenario to the world."""
    scale = world.scale
    if scenario.trusted:
        world.anchor_share = scenario.trusted
    if scenario.drawn:
        mix = world.knobs.under("mix")
        scenario = scenario._replace(
            people=round(mix.spread("people", 900, 5000)),
            firms=round(mix.spread("firms", 10, 160)),
            rate=mix.spread("rate", 0.4, 2.0),
            firm_rate=mix.spread("firm_rate", 6, 40),
        )
    individuals(world, max(20, round(scenario.people * scale)), scenario.rate)
    families(world, max(3, round(scenario.people * scale * 0.04)), scenario.rate)
    businesses(world, max(3, round(scenario.firms * scale)), scenario.firm_rate)
    factors = dict(scenario.mix)
    if scenario.crowd:
        for name, (make, low, high, least) in (LOOKALIKES | (UNDECLARED if scenario.drawn else {})).items():
            crowd = scenario.crowd
            if scenario.drawn:
                if world.knobs.under("absent").real(name, 0, 1) < _ABSENT:
                    continue
                crowd = world.knobs.under("crowd").spread(name, *_CROWDS)
            factor = factors.get(name, 1.0)
            size = world.knobs.under("size").size(name, low, high, scale * crowd * factor, least if factor else 0)
            if size:
                make(world, size)
    shelf = plans() | {"headline": _HEADLINE}
    egress = None
    for label, named in scenario.campaigns:
        plan = shelf[named] if isinstance(named, str) else named
        if world.name == "mixed":
            plan = replace(plan, **_MIXED[label])  # type: ignore[arg-type]
        plan = replace(plan, **dict(scenario.pool))  # type: ignore[arg-type]
        if scenario.size != 1.0:
            plan = replace(plan, accounts=(plan.accounts[0] * scenario.size, plan.accounts[1] * scenario.size))
        used = launch(world, label, plan, egress=egress)
        egress = used if scenario.together else None


def days_of(scenario: Scenario, salt: int) -> int:
    """Length of the window: fixed, or 30 to 44 days by seed."""
    low, high = _DAYS
    return scenario.days or low + salt % (high - low + 1)
