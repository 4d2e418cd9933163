"""Yield against collateral of policies, as still SVG: what rules could prevent, and what else they would touch.

Only numbers and fixed words enter it; the page sets names and colours of policies beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from markupsafe import Markup

from clonewatch.report.charts import ticks

WIDTH, HEIGHT = 600, 260
LEFT, TOP, BOTTOM, RIGHT = 64, 16, 44, 24
COLOURS = ("var(--c1)", "var(--c2)")
_AXES = ("exchanges of touched accounts that are no harvest", "preventable exchanges")
# Circles that are closer than this are one, with the numbers of both.
_NEAR = 9.0


class Point(NamedTuple):
    """A policy with its rules up to one. other, preventable: exchanges."""

    other: int
    preventable: int


def yield_chart(policies: Sequence[Sequence[Point]], attributed: int) -> Markup:
    """A line for each policy, which grows rule by rule from the strictest; circles bear the numbers of rules, from 1.

    attributed: exchanges that could at most be prevented, the dashed line.
    """
    right = max([1, *(point.other for one in policies for point in one)]) * 1.06
    top = max([1, attributed, *(point.preventable for one in policies for point in one)]) * 1.06

    def x(value: float) -> float:
        return LEFT + WIDTH * value / right

    def y(value: float) -> float:
        return TOP + HEIGHT * (1 - value / top)

    parts = [
        f'<text transform="translate(13,{TOP + HEIGHT / 2}) rotate(-90)" text-anchor="middle" font-size="12">'
        f"{_AXES[1]}</text>",
        f'<text x="{LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 38}" text-anchor="middle" font-size="12">{_AXES[0]}</text>',
    ]
    for value in ticks(top, 4):
        parts.append(f'<path d="M{LEFT - 5} {y(value):.1f}H{LEFT + WIDTH}" stroke="var(--rule)"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(value) + 3.8:.1f}" text-anchor="end">{value:,}</text>')
    for value in ticks(right, 5):
        parts.append(f'<path d="M{x(value):.1f} {TOP + HEIGHT}v5" stroke="var(--rule)"/>')
        parts.append(f'<text x="{x(value):.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{value:,}</text>')
    parts.append(
        f'<path d="M{LEFT} {y(attributed):.1f}H{LEFT + WIDTH}" stroke="var(--ink)" stroke-width="1.2"'
        ' stroke-dasharray="5 3"/>'
    )
    for place, points in enumerate(policies):
        parts += _line([(x(one.other), y(one.preventable)) for one in points], (x(0), y(0)), COLOURS[place], place)
    wide, high = LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" width="{wide}" height="{high}"'
        f' viewBox="0 0 {wide} {high}" font-family="sans-serif" font-size="11" fill="var(--muted)"'
        f' aria-hidden="true">{"".join(parts)}</svg>'
    )
    # Only numbers and fixed words went in.
    return Markup(svg)  # noqa: S704


def _line(places: Sequence[tuple[float, float]], start: tuple[float, float], colour: str, policy: int) -> list[str]:
    """A line through places, and circles with the numbers of those that stand there."""
    along = " ".join(f"{x:.1f},{y:.1f}" for x, y in [start, *places])
    dashes = ' stroke-dasharray="2 3"' if policy else ""
    parts = [f'<polyline points="{along}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>']
    groups = [[1]] if places else []
    for number, (one, other) in enumerate(pairwise(places), 2):
        if abs(one[0] - other[0]) < _NEAR and abs(one[1] - other[1]) < _NEAR:
            groups[-1].append(number)
        else:
            groups.append([number])
    for numbers in groups:
        x, y = places[numbers[-1] - 1]
        said = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}"
        # The numbers of the first policy stand above its line, those of the second below.
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}" stroke="var(--page)"/>')
        parts.append(
            f'<text x="{x + (-8 if not policy else 8):.1f}" y="{y + (-7 if not policy else 16):.1f}"'
            f' text-anchor="{"end" if not policy else "start"}" font-size="12" fill="{colour}">{said}</text>'
        )
    return parts
