"""The knobs of an attacker, each with its bounds, and strategies made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from math import ceil, exp, isfinite, log
from typing import Any, NamedTuple

Value = float | int | str | bool


class Knob(NamedTuple):
    """One knob. low, high: bounds of a number. log: its steps are factors. whole: integers. choices: words instead."""

    name: str
    says: str
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    whole: bool = False
    choices: tuple[str, ...] = ()


def _real(default: float, low: float, high: float, says: str, *, log: bool = False) -> Any:
    return field(default=default, metadata={"knob": Knob("", says, low, high, log)})


def _whole(default: int, low: int, high: int, says: str, *, log: bool = False) -> Any:
    return field(default=default, metadata={"knob": Knob("", says, low, high, log, True)})


def _one(default: str, choices: tuple[str, ...], says: str) -> Any:
    return field(default=default, metadata={"knob": Knob("", says, choices=choices)})


@dataclass(frozen=True)
class Strategy:
    """What one attacker does. Raises ValueError for a value beyond its bounds.

    >>> Strategy(cover=0.5).useful_rate
    6.0
    """

    rate: float = _real(12.0, 1.0, 200.0, "requests of an account a day, cover included", log=True)
    templates: int = _whole(12, 1, 5000, "families of wordings", log=True)
    paraphrase: float = _real(0.1, 0.0, 1.0, "share of prompts reworded until nothing of the family remains")
    rollouts: int = _whole(1, 1, 16, "times that each question is asked")
    popular: float = _real(0.0, 0.0, 1.0, "share of questions taken as often as the public asks them")
    cover: float = _real(0.0, 0.0, 0.99, "share of an account's requests that are no harvest")
    cover_from: str = _one("chat", ("chat", "customers", "own"), "who makes the cover")
    schedule: str = _one("closed", ("closed", "open", "sessions"), "fixed workers, open arrivals, or human sessions")
    human_hours: float = _real(0.0, 0.0, 1.0, "1: the daily rhythm of people, 0: none (from 0.5)")
    uneven: float = _real(0.15, 0.05, 1.5, "spread of the accounts' shares of the work (sd of the log)")
    egress: str = _one("pool", ("hosting", "pool", "residential", "own"), "where requests come from")
    per_address: float = _real(8.0, 0.5, 40.0, "accounts that share an address", log=True)
    neighbours: int = _whole(0, 0, 300, "honest people behind the same addresses")
    per_card: float = _real(12.0, 1.0, 40.0, "accounts that share a payment instrument", log=True)
    per_device: float = _real(8.0, 1.0, 40.0, "accounts that share a device", log=True)
    builds: int = _whole(2, 1, 40, "client builds in use", log=True)
    public_builds: float = _real(0.5, 0.0, 1.0, "chance that the builds, with their TLS, are those of the public")
    aged_days: float = _real(10.0, 0.0, 400.0, "greatest age of an account at the start, in days")
    batches: float = _real(1.0, 0.0, 1.0, "1: accounts are opened in batches, 0: one by one (from 0.5)")
    trusted: float = _real(0.0, 0.0, 0.3, "share of bought accounts that the operator trusts")
    throwaway: float = _real(0.5, 0.0, 1.0, "share of accounts with a disposable mail domain")
    shards: int = _whole(0, 0, 120, "parts into which topics are divided by account; 0 for none")
    split: int = _whole(1, 1, 20, "parts that share nothing but the list of questions", log=True)
    ramp: float = _real(1.0, 0.0, 20.0, "days until all accounts work")
    react: float = _real(0.3, 0.0, 1.0, "share that moves to a new model within a day")
    elicitation: float = _real(0.6, 0.05, 0.95, "how plainly reasoning is demanded")
    formatted: float = _real(0.7, 0.0, 1.0, "share with a forced output format")
    mimic: float = _real(0.0, 0.0, 1.0, "1: imitates a popular coding agent (from 0.5)")
    probing: float = _real(0.0, 0.0, 60.0, "requests a day of a few accounts that try wordings before it begins")
    reserve: float = _real(1.0, 0.0, 3.0, "replacements at hand, as a share of the first pool")
    replace_hours: float = _real(12.0, 1.0, 72.0, "hours from a ban to the replacement's first request", log=True)
    quota_unused: float = _real(0.0, 0.0, 0.5, "share of the rate that is left unused")

    def __post_init__(self) -> None:
        for knob in knobs().values():
            value = getattr(self, knob.name)
            if knob.choices:
                if value not in knob.choices:
                    raise ValueError(f"{knob.name} is one of {', '.join(knob.choices)}, not {value!r}")
            elif isinstance(value, str | bool) or not isfinite(value) or not knob.low <= value <= knob.high:
                raise ValueError(f"{knob.name} is {knob.low:g} to {knob.high:g}, not {value!r}")
            elif knob.whole and value != int(value):
                raise ValueError(f"{knob.name} is a whole number, not {value!r}")

    @property
    def asked(self) -> float:
        """Requests of an account a day: the rate without what is left unused of it."""
        return self.rate * (1 - self.quota_unused)

    @property
    def useful_rate(self) -> float:
        """Different harvested questions of an account a day, undisturbed."""
        return self.asked * (1 - self.cover) / self.rollouts

    def accounts_for(self, target: float, days: float, most: int) -> int:
        """Accounts that bring `target` useful exchanges in some days, at most `most`."""
        working = max(1.0, days - self.ramp / 2)
        return int(min(most, max(1, ceil(target / (self.useful_rate * working)))))

    def told(self) -> dict[str, Value]:
        """The knobs by name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


@cache
def knobs() -> Mapping[str, Knob]:
    """All knobs by name, in the order of the strategy's fields."""
    return {one.name: one.metadata["knob"]._replace(name=one.name) for one in fields(Strategy)}


def placed(knob: Knob, value: Value) -> list[float]:
    """A value as coordinates from 0 to 1: one for a number, one for each choice of a word.

    >>> placed(knobs()["cover_from"], "own"), placed(Knob("x", "", 1, 100, log=True), 10.0)
    ([0.0, 0.0, 1.0], [0.5])
    """
    if knob.choices:
        return [float(value == one) for one in knob.choices]
    if isinstance(value, str):
        raise ValueError(f"{knob.name} is a number, not {value!r}")
    low, high = (log(max(knob.low, 1e-9)), log(knob.high)) if knob.log else (knob.low, knob.high)
    return [((log(max(value, 1e-9)) if knob.log else value) - low) / (high - low)]


def at(knob: Knob, place: float) -> Value:
    """The value of a knob at a place from 0 to 1.

    >>> at(Knob("x", "", 1, 100, log=True, whole=True), 0.5), at(knobs()["cover_from"], 0.99)
    (10, 'own')
    """
    if knob.choices:
        return knob.choices[min(len(knob.choices) - 1, int(place * len(knob.choices)))]
    if knob.log:
        value = exp(log(knob.low) + place * (log(knob.high) - log(knob.low)))
    else:
        value = knob.low + place * (knob.high - knob.low)
    # A logarithm there and back may end a hair beyond the bounds.
    value = min(knob.high, max(knob.low, value))
    return round(value) if knob.whole else round(value, 6)


# Where a search begins: kinds of harvests that were described in public.
KNOWN: Mapping[str, Strategy] = {
    "naive": Strategy(rate=8.0, per_card=20.0, egress="hosting", paraphrase=0.05),
    "proxy": Strategy(
        rate=12.0, cover=0.7, cover_from="customers", per_address=20.0, neighbours=40, aged_days=150.0, batches=0.0
    ),
    "stealth": Strategy(
        rate=8.0, paraphrase=0.8, schedule="open", human_hours=1.0, uneven=0.5, egress="own", per_card=1.0,
        per_device=1.0, builds=10, public_builds=1.0, aged_days=60.0, batches=0.0, throwaway=0.1,
    ),
    "relay": Strategy(
        rate=8.0, paraphrase=0.7, popular=0.9, schedule="sessions", human_hours=1.0, egress="residential",
        per_address=1.0, per_card=3.0, aged_days=60.0, batches=0.0, public_builds=1.0,
    ),
    "cells": Strategy(rate=8.0, split=10, per_card=3.0, per_address=3.0, per_device=2.0, paraphrase=0.3, batches=0.0),
    "mimic": Strategy(
        rate=12.0, mimic=1.0, rollouts=2, per_address=2.0, per_card=2.0, per_device=4.0, egress="residential",
        elicitation=0.3, formatted=0.0, aged_days=60.0,
    ),
}  # fmt: skip
