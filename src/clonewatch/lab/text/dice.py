"""Choices derived from a number: the same number always gives the same words."""

from collections.abc import Sequence

_MASK = (1 << 64) - 1


class Dice:
    """A small generator seeded by an id (an LCG with the constants of Knuth's MMIX).

    >>> Dice(7).pick("abc") == Dice(7).pick("abc")
    True
    """

    __slots__ = ("state",)

    def __init__(self, seed: int) -> None:
        self.state = (seed ^ 0x5DEECE66D1234567) & _MASK
        self.roll(2)

    def roll(self, sides: int) -> int:
        """An integer from 0 to sides - 1."""
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & _MASK
        return (self.state >> 33) % sides

    def pick(self, choices: Sequence[str]) -> str:
        """One of the choices."""
        return choices[self.roll(len(choices))]

    def chance(self, percent: int) -> bool:
        """True with this probability in percent."""
        return self.roll(100) < percent
