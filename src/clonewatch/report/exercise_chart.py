"""What strategies of an exercise cost and get, as still SVG: the frontier with its bands.

Only numbers and fixed words enter it; the page sets names and colours of policies beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, isfinite, log10
from typing import NamedTuple

from markupsafe import Markup

from clonewatch.report.yield_chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH

COLOURS = ("var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)")
_AXES = ("cost per useful exchange, times that without a defence", "useful exchanges, % of those wanted")
_QUARTERS = 4


class Band(NamedTuple):
    """The lowest, mean and highest of several seeds."""

    low: float
    mean: float
    high: float


def frontier_chart(policies: Sequence[Sequence[tuple[Band, Band]]]) -> Markup:
    """A dot with its bands for each strategy of each policy. policies: multiples of the cost and shares, as bands.

    The multiples are on a scale of factors. Strategies that got nothing have no multiple, and are left out.
    """
    drawn = [[one for one in points if isfinite(one[0].high) and one[0].low > 0] for points in policies]
    every = [one for points in drawn for one in points]
    least = floor(log10(min([1.0, *(cost.low for cost, _ in every)])))
    most = ceil(log10(max([10.0, *(cost.high for cost, _ in every)])))
    top = max([0.2, *(share.high for _, share in every)]) * 1.06

    def x(value: float) -> float:
        return LEFT + WIDTH * (log10(value) - least) / (most - least)

    def y(value: float) -> float:
        return TOP + HEIGHT * (1 - value / top)

    parts = [
        f'<text transform="translate(13,{TOP + HEIGHT / 2}) rotate(-90)" text-anchor="middle" font-size="12">'
        f"{_AXES[1]}</text>",
        f'<text x="{LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 38}" text-anchor="middle" font-size="12">{_AXES[0]}</text>',
    ]
    for number in range(_QUARTERS + 1):
        value = top * number / _QUARTERS
        parts.append(f'<path d="M{LEFT - 5} {y(value):.1f}H{LEFT + WIDTH}" stroke="var(--rule)"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(value) + 3.8:.1f}" text-anchor="end">{100 * value:.0f}</text>')
    for power in range(least, most + 1):
        place = x(10.0**power)
        parts.append(f'<path d="M{place:.1f} {TOP + HEIGHT}v5" stroke="var(--rule)"/>')
        parts.append(f'<text x="{place:.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{10.0**power:g}</text>')
    for place, points in enumerate(drawn):
        colour = COLOURS[place % len(COLOURS)]
        for cost, share in points:
            at = f"{x(cost.mean):.1f} {y(share.mean):.1f}"
            parts.append(
                f'<path d="M{x(cost.low):.1f} {y(share.mean):.1f}H{x(cost.high):.1f}M{x(cost.mean):.1f}'
                f' {y(share.low):.1f}V{y(share.high):.1f}" stroke="{colour}" stroke-width="1.4" opacity=".6"/>'
            )
            parts.append(f'<circle cx="{at.split()[0]}" cy="{at.split()[1]}" r="4.5" fill="{colour}"/>')
    wide, high = LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" width="{wide}" height="{high}"'
        f' viewBox="0 0 {wide} {high}" font-family="sans-serif" font-size="11" fill="var(--muted)"'
        f' aria-hidden="true">{"".join(parts)}</svg>'
    )
    # Only numbers and fixed words went in.
    return Markup(svg)  # noqa: S704
