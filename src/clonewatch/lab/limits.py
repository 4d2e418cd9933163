"""What a defender does to accounts of a simulated log: from a time on, only a share of their requests gets through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from clonewatch.lab.ids import mix, spelled
from clonewatch.lab.rows import DAY, Codes, Flags, Ints, Reals, Rows, taken
from clonewatch.lab.world import World


class Limit(NamedTuple):
    """From a day of the window on, a share of an account's requests gets through; 0 is a ban, and is logged as one.

    Of several limits of an account the last one that began counts.
    """

    day: float
    keep: float


class Limited:
    """The limits of a world's accounts, as layers: the first limit of every account, the second, ..."""

    def __init__(self, world: World, limits: Mapping[str, Sequence[Limit]]) -> None:
        self._layers: list[tuple[Ints, Reals]] = []
        if not limits:
            return
        numbers = {name: place for place, name in enumerate(spelled(world.account_hashes(), "acct-").to_pylist())}
        unknown = sorted(set(limits) - set(numbers))
        if unknown:
            raise KeyError(f"no such account in this world: {unknown[:3]}")
        for layer in range(max(map(len, limits.values()))):
            since = np.full(world.accounts, np.iinfo(np.int64).max)
            keep = np.ones(world.accounts)
            for name, held in limits.items():
                if layer < len(held):
                    since[numbers[name]], keep[numbers[name]] = int(held[layer].day * DAY), held[layer].keep
            self._layers.append((since, keep))
        for name, held in limits.items():
            ban = next((one for one in held if one.keep <= 0), None)
            if ban:
                world.events.append((int(ban.day * DAY), "ban", numbers[name], None, None))

    def let_through(self, rows: Rows, salt: int) -> Rows:
        """The rows that get through. salt: of the world; the same rows are dropped whenever they are asked."""
        if not self._layers:
            return rows
        kept: Reals = np.ones(len(rows["ts"]))
        account: Codes = rows["account"]
        for since, keep in self._layers:
            kept = np.where(rows["ts"] >= since[account], keep[account], kept)
        through: Flags = _drawn(rows, salt) < kept
        return taken(rows, through)


def _drawn(rows: Rows, salt: int) -> Reals:
    """A number from 0 to 1 for every row, by what it is and not by its place."""
    drawn: Reals = mix(rows["ts"].astype(np.uint64) ^ mix(rows["account"], salt + 83), salt + 89) / 2.0**64
    return drawn
