"""What the ways of containing a group change, and what telling another provider changes."""

from __future__ import annotations

from typing import Any

from clonewatch.exercise.money import money
from clonewatch.exercise.play_table import PlayTable
from clonewatch.exercise.task import CONTAINMENTS, Outcome, Warned

# Another provider is another world: its seed is this far from the first.
_ELSEWHERE = 100_000


def containments(table: PlayTable, best: str) -> dict[str, Any]:
    """The strategy that gains most, against the last policy of the playbook, contained in every way."""
    policy = table.playbook.policies[-1][0]
    keys = [(how, seed) for how in CONTAINMENTS for seed in _seeds(table)]
    tasks = [table.task(policy, table.strategies[best], seed, containment=how) for how, seed in keys]
    held = dict(zip(keys, table.workers.outcomes(tasks, "containments"), strict=True))
    ways = {how: _told(table, best, [held[how, seed] for seed in _seeds(table)]) for how in CONTAINMENTS}
    return {"policy": policy, "strategy": best, "ways": ways}


def sharing(table: PlayTable, best: str) -> dict[str, Any]:
    """The same strategy at another provider after its hop: without a word from the first provider, and with one."""
    policy = table.playbook.policies[-1][0]
    strategy, cards = table.strategies[best], table.playbook.cards
    warned = Warned(cards["sharing_days"], cards["sharing_match"])
    keys = [(word, seed) for word in ("silence", "sharing") for seed in _seeds(table)]
    tasks = [
        table.task(policy, strategy, seed + _ELSEWHERE, warned=warned if word == "sharing" else None)
        for word, seed in keys
    ]
    held = dict(zip(keys, table.workers.outcomes(tasks, "sharing"), strict=True))
    ways = {word: _told(table, best, [held[word, seed] for seed in _seeds(table)]) for word in ("silence", "sharing")}
    return {"policy": policy, "strategy": best, "days": warned.days, "share": warned.share, "ways": ways}


def _seeds(table: PlayTable) -> range:
    return range(table.playbook.seed, table.playbook.seed + table.playbook.compare_seeds)


def _told(table: PlayTable, best: str, outcomes: list[Outcome]) -> dict[str, Any]:
    book = table.playbook
    monies = [money(table.strategies[best], one, book.setting, book.cards) for one in outcomes]
    return {
        "share": [one.share for one in monies],
        "before": [one.before for one in monies],
        "hydra": [one.hydra / book.setting.target for one in outcomes],
        "multiple": [one.multiple for one in monies],
        "opened": [one.opened for one in outcomes],
        "contained_day": [one.contained for one in outcomes],
        "honest_suspended": sum(one.suspended for one in outcomes),
        "honest_touched": sum(one.touched for one in outcomes),
        "minutes": [one.minutes for one in outcomes],
    }
