"""What outcomes cost and bring, by the assumption cards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from clonewatch.exercise.task import Outcome
from clonewatch.lab.adversary.prices import Aim, Used, bill, cheapest, exchange_usd
from clonewatch.lab.adversary.strategy import Strategy
from clonewatch.lab.adversary.translation import Setting
from clonewatch.policy.backtest import MINUTES


class Money(NamedTuple):
    """What an outcome comes to. spent: by the attacker, USD. multiple: cost per useful exchange against no defence.

    share, before: useful exchanges, and those before containment, of those that are wanted. gain: what they are worth
    to the attacker less what was spent. harm: to the honest and in work. stake: list price of what was harvested. All
    USD.
    """

    spent: float
    usd_per_million: float
    multiple: float
    share: float
    before: float
    gain: float
    harm: float
    stake: float

    @property
    def payoff(self) -> float:
        """The payoff of the game: what the attacker gains and the defender's measures cost."""
        return self.gain + self.harm


def money(strategy: Strategy, outcome: Outcome, setting: Setting, cards: Mapping[str, float]) -> Money:
    """What an outcome comes to. Without a useful exchange the multiple is infinite."""
    used = Used(outcome.opened, outcome.requests, outcome.harvested, setting.days, outcome.pools, outcome.checked)
    spent = bill(strategy, used, cards).total
    _, least = cheapest(aim(setting), cards)
    each = spent / outcome.useful if outcome.useful else float("inf")
    blocked = sum(outcome.blocked.values())
    appeals = outcome.touched * cards["appeal_share"]
    harm = (
        outcome.suspended * cards["honest_account_usd"]
        + blocked * exchange_usd(cards)
        + (outcome.minutes + appeals * MINUTES["suspend"]) * cards["minute_usd"]
    )
    return Money(
        spent,
        each * 1_000_000,
        each / least,
        outcome.useful / setting.target,
        outcome.before / setting.target,
        outcome.worth * cards["worth_usd"] - spent,
        harm,
        outcome.harvested * exchange_usd(cards),
    )


def aim(setting: Setting) -> Aim:
    """What a campaign in this world is sized for."""
    return Aim(setting.target, setting.days, setting.most)
