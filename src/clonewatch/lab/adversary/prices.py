"""What a strategy costs its operator, line by line, by the assumption cards."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import NamedTuple

from clonewatch.lab.adversary.strategy import Strategy

_MONTH = 30.0
_MILLION = 1_000_000


class Used(NamedTuple):
    """What a campaign used up. opened: accounts, replacements included. requests: cover included.

    harvested: harvested requests, repeats included. pools: sets of accounts that came one after the other. checked:
    accounts that were asked for an identity check and passed it. days: that it ran.
    """

    opened: int
    requests: float
    harvested: float
    days: float
    pools: int = 1
    checked: int = 0


class Bill(NamedTuple):
    """The parts of the cost, in USD."""

    accounts: float
    ageing: float
    trusted: float
    identity: float
    payment: float
    devices: float
    egress: float
    software: float
    tokens: float
    rewording: float

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self)


def bill(strategy: Strategy, used: Used, cards: Mapping[str, float]) -> Bill:
    """What that cost.

    Cover made by customers of a proxy is paid by them. Accounts have half of the greatest age, on average.
    """
    months = max(1.0, used.days / _MONTH)
    own = strategy.egress in ("residential", "own")
    addresses = used.opened / (1.0 if strategy.egress == "own" else strategy.per_address)
    paid = used.harvested if strategy.cover_from == "customers" else used.requests
    sets = strategy.split * used.pools
    passed = used.opened * cards["identity_share"] + used.checked
    return Bill(
        accounts=used.opened * cards["account_usd"],
        ageing=used.opened * cards["ageing_usd_per_day"] * strategy.aged_days / 2,
        trusted=used.opened * strategy.trusted * cards["trusted_usd"],
        identity=passed * cards["identity_usd"],
        payment=ceil(used.opened / strategy.per_card) * cards["payment_usd"],
        devices=ceil(used.opened / strategy.per_device) * cards["device_usd"],
        egress=ceil(addresses) * months * cards["residential_usd" if own else "hosting_usd"],
        software=(
            sets * cards["cell_usd"]
            + (1 - strategy.public_builds) * sets * strategy.builds * cards["build_usd"]
            + sets * strategy.templates * cards["template_usd"]
        ),
        tokens=paid * exchange_usd(cards) * cards["paid_share"],
        rewording=(
            used.harvested * strategy.paraphrase * cards["rewording_usd"]
            + (used.requests * cards["session_usd"] if strategy.schedule == "sessions" else 0.0)
        ),
    )


def exchange_usd(cards: Mapping[str, float]) -> float:
    """List price of one harvested exchange."""
    tokens = cards["input_tokens"] * cards["list_input_usd"] + cards["output_tokens"] * cards["list_output_usd"]
    return tokens / _MILLION


class Aim(NamedTuple):
    """What a campaign is sized for: useful exchanges, days, and the most accounts that its first pool may have."""

    target: float
    days: float
    most: int


def planned(strategy: Strategy, aim: Aim) -> Used:
    """What a campaign uses that nobody disturbs, and that ends when it has what it wants."""
    accounts = strategy.accounts_for(aim.target, aim.days, aim.most)
    able = accounts * strategy.useful_rate * max(1.0, aim.days - strategy.ramp / 2)
    harvested = min(aim.target, able) * strategy.rollouts
    return Used(accounts, harvested / (1 - strategy.cover), harvested, aim.days)


def undisturbed_usd(strategy: Strategy, aim: Aim, cards: Mapping[str, float]) -> float:
    """USD per useful exchange where nobody disturbs it."""
    used = planned(strategy, aim)
    return bill(strategy, used, cards).total / max(1.0, used.harvested / strategy.rollouts)


def cheapest(aim: Aim, cards: Mapping[str, float]) -> tuple[Strategy, float]:
    """The cheapest strategy where nothing is done about it, and its USD per useful exchange.

    Without a defence nothing is hidden: one part, one wording, one build, everything shared, at the highest rate. Its
    cost falls with the rate and with sharing, so the bounds of the knobs are its optimum; only tokens remain.
    """
    open_ = Strategy(
        rate=200.0, templates=1, paraphrase=0.0, egress="hosting", per_address=40.0, per_card=40.0, per_device=40.0,
        builds=1, public_builds=1.0, aged_days=0.0, reserve=0.0, ramp=0.0,
    )  # fmt: skip
    return open_, undisturbed_usd(open_, aim, cards)
