"""The attacker's search: which strategies a defence leaves cheap, or leaves much to, by the response model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import qmc

from clonewatch.lab.adversary.prices import Aim, Used, bill, planned
from clonewatch.lab.adversary.response import Answer, Response
from clonewatch.lab.adversary.strategy import Strategy, Value, at, knobs
from clonewatch.model.errors import SetupError

# What the search turns unless a playbook says otherwise: what linking and verdicts depend on most.
SEARCHED = (
    "rate", "paraphrase", "cover", "cover_from", "schedule", "egress", "per_address", "per_card", "per_device",
    "builds", "aged_days", "split", "reserve", "templates",
)  # fmt: skip
_POPULATION = 24


class Plan(NamedTuple):
    """How hard to search. names: of knobs. trials: strategies that the model is asked about. budget: USD, 0 for any."""

    names: tuple[str, ...]
    trials: int
    budget: float = 0.0


class Point(NamedTuple):
    """What a strategy costs and brings. usd: per useful exchange. share: useful exchanges of those that are wanted."""

    usd: float
    share: float


def spread(count: int, names: Sequence[str], seed: int) -> list[Strategy]:
    """Strategies spread evenly over the bounds of some knobs (a Latin hypercube)."""
    if not count:
        return []
    places = qmc.LatinHypercube(d=len(names), rng=np.random.default_rng(seed)).random(count)
    return [_made(dict(zip(names, row, strict=True))) for row in places.tolist()]


def expected(strategy: Strategy, answer: Answer, aim: Aim, cards: Mapping[str, float]) -> Point:
    """The point of a strategy, given what a defence makes of it."""
    used = planned(strategy, aim)
    useful = used.harvested / strategy.rollouts * answer.delivered
    spent = Used(
        round(used.opened * answer.opened),
        used.requests * answer.delivered,
        used.harvested * answer.delivered,
        used.days,
        1 if answer.opened < 1.05 else 2,
    )
    return Point(bill(strategy, spent, cards).total / max(1.0, useful), useful / aim.target)


def candidates(
    response: Response, aim: Aim, cards: Mapping[str, float], plan: Plan, count: int, seed: int
) -> list[Strategy]:
    """The most promising strategies by the model: of its frontier those furthest from what was played and each other.

    NSGA-II (Deb et al. 2002) of Optuna over cost per useful exchange, to fall, and useful exchanges, to rise. Raises
    SetupError without the extra `lab`.
    """
    if find_spec("optuna") is None:
        raise SetupError("the search needs Optuna", fix="pip install 'clonewatch[lab]'")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def ask(trial: Any) -> tuple[float, float]:
        strategy = _made({name: trial.suggest_float(name, 0.0, 1.0) for name in plan.names})
        point = expected(strategy, response.answer(strategy), aim, cards)
        over = plan.budget and point.usd * point.share * aim.target > plan.budget
        return (float(np.log10(point.usd)) + (9.0 if over else 0.0), 0.0 if over else point.share)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = optuna.samplers.NSGAIISampler(population_size=_POPULATION, seed=seed)
        study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
        study.optimize(ask, n_trials=plan.trials)
    best = [_made({name: trial.params[name] for name in plan.names}) for trial in study.best_trials]
    return _apart(response, best, count)


def frontier(points: Sequence[Point]) -> list[int]:
    """Places of the points that no other one beats in both cost and yield.

    >>> frontier([Point(1.0, 0.2), Point(2.0, 0.1), Point(3.0, 0.9)])
    [0, 2]
    """
    found = []
    for place, one in enumerate(points):
        if one.share > 0 and not any(
            other.usd <= one.usd and other.share >= one.share and other != one for other in points
        ):
            found.append(place)
    return found


def _made(places: Mapping[str, float]) -> Strategy:
    values: dict[str, Value] = {name: at(knobs()[name], place) for name, place in places.items()}
    return replace(Strategy(), **values)  # type: ignore[arg-type]


def _apart(response: Response, strategies: Sequence[Strategy], count: int) -> list[Strategy]:
    """So many of them, each in turn the one furthest from what was played and from those already taken."""
    left, taken = list(dict.fromkeys(strategies)), list[Strategy]()
    while left and len(taken) < count:

        def far(one: Strategy) -> float:
            mine = np.array(response.place(one))
            others = [float(np.linalg.norm(mine - np.array(response.place(other)))) for other in taken]
            return min([response.distance(one), *others])

        chosen = max(left, key=far)
        left.remove(chosen)
        taken.append(chosen)
    return taken
