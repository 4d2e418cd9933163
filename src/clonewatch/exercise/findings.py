"""What an exercise shows: conclusions against their aims, the bound against the search, and what would turn them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import msgspec

from clonewatch.exercise.money import Money, money
from clonewatch.exercise.play_table import PlayTable
from clonewatch.exercise.task import EPISODE_CARDS, Outcome
from clonewatch.lab.adversary.bound import Tried, check
from clonewatch.lab.adversary.bound import table as bound_table
from clonewatch.lab.adversary.cards import Turned

# Aims of the project for its default policy: what the attacker who gains most should pay and get at the most, and what
# honest accounts may suffer.
LEAST_MULTIPLE, MOST_BEFORE, MOST_SUSPENDED, MOST_BLOCKED = 5.0, 0.1, 0, 1e-4
_CAMPAIGN = 25_000


class Claim(NamedTuple):
    """A conclusion. value: what was measured; None where nothing was. aim: as words. holds: whether it is met."""

    name: str
    says: str
    value: float | None
    aim: str
    holds: bool


def conclusions(table: PlayTable, told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The conclusions of an exercise, as plain values. told: what is known of it so far."""
    first = table.playbook.policies[0][0]
    found = _claims(table.monies(first, told["best"]), table.outcomes(first, told["best"]))
    if "containments" in told:
        ways = told["containments"]["ways"]
        found.append(_fewer("pool", "containing the whole pool leaves less than account by account", ways, "account"))
    if "sharing" in told:
        found.append(
            _fewer(
                "sharing", "telling another provider leaves less there than silence", told["sharing"]["ways"], "silence"
            )
        )
    return [one._asdict() for one in found]


def _claims(monies: Sequence[Money], outcomes: Sequence[Outcome]) -> list[Claim]:
    multiple, before = min(one.multiple for one in monies), max(one.before for one in monies)
    suspended = sum(one.suspended for one in outcomes)
    exchanges = sum(one.honest_exchanges for one in outcomes)
    blocked = sum(sum(one.blocked.values()) for one in outcomes) / max(1, exchanges)
    return [
        Claim(
            "multiple", "cost per useful exchange, times that without a defence", multiple,
            f"{LEAST_MULTIPLE:g} or more", multiple >= LEAST_MULTIPLE,
        ),
        Claim(
            "before", "useful exchanges before containment, as a share of those wanted", before,
            f"{MOST_BEFORE:g} or less", before <= MOST_BEFORE,
        ),
        Claim("suspended", "honest accounts suspended", float(suspended), "0", suspended <= MOST_SUSPENDED),
        Claim(
            "blocked", "share of honest exchanges not served", blocked,
            f"{MOST_BLOCKED:g} or less", blocked <= MOST_BLOCKED,
        ),
    ]  # fmt: skip


def _fewer(name: str, says: str, ways: Mapping[str, Any], other: str) -> Claim:
    mine, theirs = fmean(ways[name]["share"]), fmean(ways[other]["share"])
    ratio = mine / theirs if theirs else None
    return Claim(name, says, ratio, "below 1", ratio is not None and ratio < 1)


def bound(table: PlayTable) -> dict[str, Any]:
    """The evasion-cost bound at the trusted share of these worlds, and the strategies that beat it."""
    first = table.playbook.policies[0][0]
    held = {name: table.outcomes(first, name) for name in table.strategies if table.has(first, name)}
    trusted = fmean(one.trusted for outcomes in held.values() for one in outcomes)
    if not 0 < trusted < 1:
        return {"trusted": trusted, "lines": [], "beaten": []}
    tried = [
        Tried(
            name,
            table.strategies[name],
            max(one.first for one in outcomes),
            fmean(one.spent for one in table.monies(first, name)),
            fmean(one.useful for one in outcomes),
            any(one.flagged is not None for one in outcomes),
        )
        for name, outcomes in held.items()
    ]
    shares = sorted({round(one, 3) for one in (trusted / 2, trusted, min(0.6, trusted * 1.5))})
    beaten = check(tried, trusted, table.playbook.cards)
    return {
        "trusted": trusted,
        "lines": [one._asdict() for one in bound_table(shares, _CAMPAIGN, table.playbook.cards)],
        "checked": len(tried),
        "beaten": [one._asdict() for one in beaten],
    }


def sensitivity(table: PlayTable, told: Mapping[str, Any]) -> dict[str, Any]:
    """Which card, at which end of its range, turns which conclusion or changes the strategy that gains most.

    Cards that only price what happened are all tried. Those that change what happens need new episodes: only those that
    the playbook names are tried, with the strategy that gains most.
    """
    book, first = table.playbook, table.playbook.policies[0][0]
    held = {one["name"]: one["holds"] for one in told["conclusions"]}
    names = [name for name in table.strategies if table.has(first, name)]
    turned, tried = [], []
    for card in book.cards:
        if card in EPISODE_CARDS and card not in book.sensitivity:
            continue
        tried.append(card)
        for end in book.cards.ends(card):
            if card in EPISODE_CARDS:
                best, claims = told["best"], _replayed(table, first, told["best"], end)
            else:
                best = max(names, key=lambda name: max(one.gain for one in _priced(table, first, name, end)))
                claims = _claims(_priced(table, first, best, end), table.outcomes(first, best))
            flips = [one.name for one in claims if one.holds != held[one.name]]
            if flips or best != told["best"]:
                turned.append({"card": card, "end": end.end, "value": end.cards[card], "flips": flips, "best": best})
    left = [name for name in EPISODE_CARDS if name not in tried]
    return {"tried": tried, "not_tried": left, "turned": turned}


def _priced(table: PlayTable, policy: str, name: str, end: Turned) -> list[Money]:
    book = table.playbook
    return [money(table.strategies[name], one, book.setting, end.cards) for one in table.outcomes(policy, name)]


def _replayed(table: PlayTable, policy: str, best: str, end: Turned) -> list[Claim]:
    book = table.playbook
    task = table.task(policy, table.strategies[best], book.seed)
    task = msgspec.structs.replace(task, cards={**task.cards, end.name: end.cards[end.name]})
    outcomes = table.workers.outcomes([task], f"sensitivity: {end.name}")
    return _claims([money(table.strategies[best], one, book.setting, end.cards) for one in outcomes], outcomes)
