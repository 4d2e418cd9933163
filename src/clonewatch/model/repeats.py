"""How much longer a measure stands when an earlier one of the same accounts ended and they went on."""

from __future__ import annotations

MOST_DAYS = 180


def lengthened(days: int, repeats: int) -> int:
    """Days that a measure stands: twice as many for each earlier one, up to 180.

    >>> lengthened(30, 0), lengthened(30, 2), lengthened(30, 9)
    (30, 120, 180)
    """
    return max(days, min(MOST_DAYS, days << min(repeats, MOST_DAYS.bit_length())))
