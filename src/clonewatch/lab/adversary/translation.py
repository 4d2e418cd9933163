"""From knobs to the simulator: a strategy as the plan of a harvest, in a world of a stated size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clonewatch.lab.adversary.strategy import Strategy
from clonewatch.lab.campaigns._plan import PoolPlan
from clonewatch.lab.scenarios import LOOKALIKES, Scenario

CAMPAIGN = "adversary"


@dataclass(frozen=True)
class Setting:
    """The honest world, and when the campaign runs in it. Rates are requests a day.

    people, firms: accounts that are no look-alikes. crowd: factor on the usual numbers of look-alikes; mix: further
    factors by kind. trusted: share of trusted accounts; 0 draws it. quiet: days of log before the campaign. days: that
    it runs. target: useful exchanges that it is sized for. most: accounts of its first pool.
    """

    people: int = 500
    firms: int = 6
    rate: float = 0.5
    firm_rate: float = 12.0
    crowd: float = 0.12
    mix: tuple[tuple[str, float], ...] = ()
    trusted: float = 0.0
    quiet: int = 7
    days: int = 28
    target: int = 15_000
    most: int = 400

    def __post_init__(self) -> None:
        unknown = sorted({kind for kind, _ in self.mix} - set(LOOKALIKES))
        if unknown:
            raise ValueError(f"there is no look-alike {unknown[0]!r}; there are: {', '.join(LOOKALIKES)}")


def scenario(setting: Setting, strategy: Strategy | None, later: Sequence[tuple[float, int]] = ()) -> Scenario:
    """The world with one attacker in it, or without. later: pools that replace what was banned, as day and accounts."""
    campaigns: Mapping[str, PoolPlan] = {CAMPAIGN: plan(setting, strategy, later)} if strategy else {}
    return Scenario(
        "an honest world with one adaptive attacker",
        tuple(campaigns.items()),
        people=setting.people,
        firms=setting.firms,
        rate=setting.rate,
        firm_rate=setting.firm_rate,
        days=setting.quiet + setting.days,
        crowd=setting.crowd,
        mix=setting.mix,
        trusted=setting.trusted,
    )


def plan(setting: Setting, strategy: Strategy, later: Sequence[tuple[float, int]] = ()) -> PoolPlan:
    """The plan of a harvest in which nothing is left to chance but what the simulator draws for every harvest."""
    s = strategy

    def fixed(value: float) -> tuple[float, float]:
        return (float(value), float(value))

    return PoolPlan(
        accounts=fixed(s.accounts_for(setting.target, setting.days, setting.most)),
        least=1,
        rate=fixed(s.asked),
        templates=fixed(s.templates),
        paraphrase=fixed(s.paraphrase),
        rollouts=fixed(s.rollouts),
        popular=fixed(s.popular),
        shards=fixed(s.shards),
        cover=fixed(s.cover),
        cover_from=s.cover_from,
        uneven=fixed(s.uneven),
        schedule=s.schedule,
        flat=s.human_hours < 0.5,
        egress=s.egress,
        per_address=fixed(s.per_address),
        per_card=fixed(s.per_card),
        per_device=fixed(s.per_device),
        builds=fixed(s.builds),
        public_builds=s.public_builds,
        created=(-max(1.0, s.aged_days), float(setting.quiet)),
        bursts=s.batches >= 0.5,
        throwaway=s.throwaway,
        anchors=s.trusted,
        split=s.split,
        ban=fixed(0),
        later=tuple(later),
        first_day=fixed(setting.quiet),
        ramp=fixed(s.ramp),
        react=fixed(s.react),
        elicitation=fixed(s.elicitation),
        formatted=fixed(s.formatted),
        mimic=s.mimic >= 0.5,
        countries=fixed(3),
        customers=fixed(s.neighbours),
        probing=s.probing,
        width=fixed(500),
        outputs=fixed(1000),
        programme=fixed(0),
    )
