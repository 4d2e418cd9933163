"""The page of `make demo-live`: what was counted, and requests per second, in one file that needs no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from traffic import HARVEST, KINDS, Seen

from clonewatch.report.charts import ticks
from clonewatch.report.render import environment

WIDTH, HIGH, GAP, LEFT, TOP, BOTTOM, RIGHT = 700, 120, 34, 48, 26, 40, 14
SERVED, REFUSED = "var(--c1)", "var(--c2)"
REFUSAL = 429
PAGE = Path(__file__).with_name("page.html.j2")


def page(told: Mapping[str, Any], seen: Sequence[Seen], begun: float) -> str:
    """The page. told: the figures of the summary. begun: seconds since 1970 at which times are 0."""
    chart = _chart(seen, begun, [at for _, at in told["marks"]])
    return (
        environment()
        .from_string(PAGE.read_text(encoding="utf-8"))
        .render(told=told, chart=chart, served=SERVED, refused=REFUSED)
    )


def _chart(seen: Sequence[Seen], begun: float, marks: Sequence[float]) -> Markup:
    """Two rows of bars, one a second; what was refused stands on what was served. Only numbers and fixed words."""
    counts = Counter((one.kind == HARVEST, int(one.at - begun), one.status == REFUSAL) for one in seen)
    last = max([1, *(second for _, second, _ in counts)]) + 1
    rows = []
    for place, (harvest, name) in enumerate(((True, KINDS[HARVEST]), (False, "everybody else"))):
        top = TOP + place * (HIGH + GAP)
        most = max([1, *(counts[harvest, s, False] + counts[harvest, s, True] for s in range(last))]) * 1.05
        rows += _axes(name, top, most)
        for second in range(last):
            low = 0
            for refused, colour in ((False, SERVED), (True, REFUSED)):
                high = low + counts[harvest, second, refused]
                rows.append(_bar(second, low, high, (last, most, top), colour))
                low = high
    bottom = TOP + 2 * HIGH + GAP
    for value in ticks(float(last), 8):
        x = LEFT + WIDTH * value / last
        rows.append(f'<path d="M{x:.1f} {bottom}v5" stroke="var(--rule)"/>')
        rows.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{value} s</text>')
    rows += _marks([LEFT + WIDTH * at / last for at in marks], bottom)
    wide, high = LEFT + WIDTH + RIGHT, bottom + BOTTOM
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}"'
        f' font-family="sans-serif" font-size="11" fill="var(--muted)" aria-hidden="true">{"".join(rows)}</svg>'
    )
    return Markup(svg)  # noqa: S704  (only numbers and fixed words went in)


def _marks(places: Sequence[float], bottom: int) -> list[str]:
    """An upright line for each step; the numbers of those that stand close share a line of text."""
    rows, groups = [], list[list[int]]()
    for number, x in enumerate(places):
        rows.append(f'<path d="M{x:.1f} {TOP - 6}V{bottom}" stroke="var(--ink)" stroke-dasharray="4 3"/>')
        if groups and x - places[groups[-1][-1]] < 14:
            groups[-1].append(number)
        else:
            groups.append([number])
    for group in groups:
        x = sum(places[number] for number in group) / len(group)
        said = ",".join(str(number + 1) for number in group)
        rows.append(f'<text x="{x:.1f}" y="{TOP - 11}" text-anchor="middle" fill="var(--ink)">{said}</text>')
    return rows


def _axes(name: str, top: int, most: float) -> list[str]:
    rows = [
        f'<text transform="translate(12,{top + HIGH / 2}) rotate(-90)" text-anchor="middle"'
        f' font-size="12">{name}</text>'
    ]
    for value in ticks(most, 3):
        y = top + HIGH * (1 - value / most)
        rows.append(f'<path d="M{LEFT - 5} {y:.1f}H{LEFT + WIDTH}" stroke="var(--rule)"/>')
        rows.append(f'<text x="{LEFT - 8}" y="{y + 3.8:.1f}" text-anchor="end">{value:,}</text>')
    return rows


def _bar(second: int, low: int, high: int, scale: tuple[int, float, int], colour: str) -> str:
    last, most, top = scale
    if high <= low:
        return ""
    x, y = LEFT + WIDTH * second / last, top + HIGH * (1 - high / most)
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{WIDTH / last:.2f}" height="{HIGH * (high - low) / most:.1f}"'
        f' fill="{colour}"/>'
    )
