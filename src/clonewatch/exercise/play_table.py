"""The episodes of an exercise by policy, strategy and seed, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from clonewatch.exercise.money import Money, aim, money
from clonewatch.exercise.playbook import Playbook
from clonewatch.exercise.task import EPISODE_CARDS, Outcome, Task
from clonewatch.exercise.workers import Workers
from clonewatch.lab.adversary.response import FEWEST, Answer, Response
from clonewatch.lab.adversary.search import Plan, Point, candidates, spread
from clonewatch.lab.adversary.strategy import KNOWN, Strategy


class Posture(NamedTuple):
    """A policy as it is played: its text, and the threshold ratio from which it acts, 0 for as it is written."""

    text: str
    relaxed: float = 0.0


class PlayTable:
    """Everything that was played. policies, strategies: by name. rows: outcomes by policy, strategy and seed."""

    def __init__(self, playbook: Playbook, workers: Workers) -> None:
        self.playbook, self.workers = playbook, workers
        self.policies = {name: Posture(text) for name, text in playbook.policies}
        self.strategies: dict[str, Strategy] = {name: KNOWN[name] for name in playbook.search.known}
        for place, one in enumerate(spread(playbook.search.spread, playbook.search.knobs, playbook.seed)):
            self.strategies[f"spread-{place + 1}"] = one
        self.rows: dict[tuple[str, str, int], Outcome] = {}

    def task(self, policy: str, strategy: Strategy | None, seed: int, **other: Any) -> Task:
        """An episode of the playbook. other: fields that differ."""
        book, posture = self.playbook, self.policies[policy]
        said: dict[str, Any] = {
            "policy": posture.text,
            "strategy": strategy,
            "setting": book.setting,
            "checks": book.checks,
            "cards": {name: book.cards[name] for name in EPISODE_CARDS},
            "seed": seed,
            "containment": book.containment,
            "wave_days": book.wave_days,
            "relaxed": posture.relaxed,
            "stands_for": book.stands_for,
        }
        return Task(**{**said, **other})

    def play(self, pairs: Sequence[tuple[str, str]], seeds: int, what: str) -> None:
        """Play what was not yet played of policies against strategies, on the first seeds."""
        keys = [
            (policy, name, seed)
            for policy, name in dict.fromkeys(pairs)
            for seed in range(self.playbook.seed, self.playbook.seed + seeds)
            if (policy, name, seed) not in self.rows
        ]
        tasks = [self.task(policy, self.strategies[name], seed) for policy, name, seed in keys]
        if tasks:
            self.rows |= dict(zip(keys, self.workers.outcomes(tasks, what), strict=True))

    def confirm(self, policy: str, names: Sequence[str]) -> None:
        """Play strategies against a policy on all seeds."""
        self.play([(policy, name) for name in names], self.playbook.seeds, "confirm")

    def has(self, policy: str, name: str) -> bool:
        """Whether a strategy was played against a policy."""
        return (policy, name, self.playbook.seed) in self.rows

    def outcomes(self, policy: str, name: str) -> list[Outcome]:
        """What was played of a pair, by seed."""
        return [one for (held, of, _), one in sorted(self.rows.items()) if (held, of) == (policy, name)]

    def monies(self, policy: str, name: str) -> list[Money]:
        """What these come to."""
        book, strategy = self.playbook, self.strategies[name]
        return [money(strategy, one, book.setting, book.cards) for one in self.outcomes(policy, name)]

    def payoff(self, policy: str, name: str) -> float:
        """The payoff of a pair, on average over its seeds."""
        held = self.monies(policy, name)
        return sum(one.payoff for one in held) / len(held)

    def point(self, policy: str, name: str) -> Point:
        """Cost and yield of a pair, on the first seed."""
        one = self.monies(policy, name)[0]
        return Point(one.usd_per_million / 1_000_000, one.share)

    def best(self, policy: str) -> str:
        """The strategy that gains most against a policy, of those played."""
        names = [name for name in self.strategies if self.has(policy, name)]
        return max(names, key=lambda name: (max(one.gain for one in self.monies(policy, name)), name))

    def search(self, policy: str) -> list[float]:
        """Search against a policy. Returns the error of the model before each of its rounds."""
        self.play([(policy, name) for name in self.strategies], 1, "first strategies")
        errors = []
        for number in range(self.playbook.search.rounds):
            found = self.propose(policy, f"search-{number + 1}", number)
            if found is None:
                break
            errors.append(found[0])
            self.play([(policy, name) for name in found[1]], 1, f"search, round {number + 1}")
        return errors

    def propose(self, policy: str, word: str, number: int) -> tuple[float, list[str]] | None:
        """New strategies against a policy by the model, as names, and the model's error; None with too few episodes."""
        book = self.playbook
        names = [name for name in self.strategies if self.has(policy, name)]
        if len(names) < FEWEST:
            return None
        answers = [self._answer(policy, name) for name in names]
        model = Response([self.strategies[name] for name in names], answers, book.search.knobs)
        plan = Plan(tuple(book.search.knobs), book.search.trials, book.search.budget_usd)
        found = candidates(model, aim(book.setting), book.cards, plan, book.search.confirm, book.seed + number)
        new = {f"{word}.{place + 1}": one for place, one in enumerate(found)}
        self.strategies |= new
        return model.error(), list(new)

    def _answer(self, policy: str, name: str) -> Answer:
        strategy, outcome = self.strategies[name], self.outcomes(policy, name)[0]
        able = outcome.first * strategy.useful_rate * max(1.0, self.playbook.setting.days - strategy.ramp / 2)
        return Answer(outcome.useful / max(1.0, able), outcome.opened / max(1, outcome.first))

    def told(self, policy: str, name: str) -> dict[str, Any]:
        """A pair in plain values; bands are the lowest, the mean and the highest of its seeds."""
        outcomes, monies = self.outcomes(policy, name), self.monies(policy, name)

        def band(field: str) -> list[float]:
            held = [getattr(one, field) for one in monies]
            return [min(held), sum(held) / len(held), max(held)]

        kinds: dict[str, int] = {}
        blocked: dict[str, float] = {}
        for one in outcomes:
            for kind, by in one.honest.items():
                kinds[kind] = kinds.get(kind, 0) + sum(by.values())
            for kind, lost in one.blocked.items():
                blocked[kind] = blocked.get(kind, 0.0) + lost
        days = [one.flagged for one in outcomes]
        return {
            "strategy": name,
            "knobs": self.strategies[name].told(),
            "seeds": len(outcomes),
            **{field: band(field) for field in Money._fields},
            "hydra": [one.hydra / self.playbook.setting.target for one in outcomes],
            "flagged_day": [day for day in days if day is not None],
            "never_flagged": sum(day is None for day in days),
            "contained_day": [one.contained for one in outcomes if one.contained is not None],
            "honest": kinds,
            "blocked": blocked,
            "honest_suspended": sum(one.suspended for one in outcomes),
            "honest_exchanges": sum(one.honest_exchanges for one in outcomes),
            "minutes": [one.minutes for one in outcomes],
            "appeals": sum(one.touched for one in outcomes) * self.playbook.cards["appeal_share"],
            "claimed": [one.claimed for one in outcomes],
        }
