"""What is known of live traffic: from the worker's status, the list that gateways follow, and the last canary."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from clonewatch.live.status import HOUR, NAME, Status
from clonewatch.live.status import read as status_of
from clonewatch.report.charts import ticks

# As wide as a phone, so that nothing scrolls and its words stay as large as they are.
WIDTH, HEIGHT, LEFT, TOP, BOTTOM, RIGHT = 270, 110, 42, 8, 26, 6
# A worker writes its status twice a second, between two looks; a look may take minutes.
SILENT = 15 * 60
_MOST_SAID = 4_096
_GAP = "GAP:"


class Canary(NamedTuple):
    """What the last canary said. at: seconds since 1970, when its file was written."""

    said: str
    at: float

    @property
    def gap(self) -> bool:
        """Whether it found that a gateway does not act."""
        return self.said.startswith(_GAP)


class Traffic(NamedTuple):
    """A worker's status. written: seconds since 1970. minutes: rows of each of the last sixty, the newest last."""

    status: Status
    written: float
    minutes: list[int]

    @property
    def rate(self) -> float:
        """Rows a minute over the last ten whole minutes."""
        return sum(self.minutes[-11:-1]) / 10


def traffic(spool: Path, now: float) -> Traffic | None:
    """What the worker of a spool last said; None where there is nothing."""
    try:
        written = (spool / NAME).stat().st_mtime
    except OSError:
        return None
    status, last = status_of(spool), int(now // 60)
    return Traffic(status, written, [status.minutes.get(last - before, 0) for before in range(HOUR - 1, -1, -1)])


def canary(path: Path) -> Canary | None:
    """The last line that a canary printed into a file; None where there is none."""
    try:
        at = path.stat().st_mtime
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _MOST_SAID))
            lines = file.read(_MOST_SAID).decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    said = [line.strip() for line in lines if line.strip()]
    return Canary(said[-1], at) if said else None


def by_minute(rows: list[int]) -> Markup:
    """Rows by minute as bars, the newest on the right. Only numbers and fixed words enter it."""
    most, step = max([1, *rows]) * 1.05, WIDTH / len(rows)
    parts = []
    for value in ticks(most, 3):
        y = TOP + HEIGHT * (1 - value / most)
        parts.append(f'<path d="M{LEFT - 5} {y:.1f}H{LEFT + WIDTH}" stroke="var(--rule)"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:,}</text>')
    for place, value in enumerate(rows):
        high = HEIGHT * value / most
        if value:
            parts.append(
                f'<rect x="{LEFT + place * step + 0.4:.1f}" y="{TOP + HEIGHT - high:.1f}" width="{step - 0.8:.1f}"'
                f' height="{high:.1f}" fill="var(--c1)"/>'
            )
    for before in (60, 30):
        x = LEFT + WIDTH * (1 - before / len(rows))
        parts.append(f'<text x="{x:.1f}" y="{TOP + HEIGHT + 18}" text-anchor="start">{before} min ago</text>')
    parts.append(f'<text x="{LEFT + WIDTH}" y="{TOP + HEIGHT + 18}" text-anchor="end">now</text>')
    wide, high = LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM
    head = f'<svg class="chart" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" aria-hidden="true">'
    # Only numbers and fixed words went in.
    return Markup(f"{head}{''.join(parts)}</svg>")  # noqa: S704


def ago(seconds: float) -> str:
    """How long ago, in words.

    >>> ago(0.4), ago(75), ago(7300), ago(200_000)
    ('just now', '1 minute ago', '2 hours ago', '2 days ago')
    """
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count:,} {name}{'' if count == 1 else 's'} ago"
    return "just now"
