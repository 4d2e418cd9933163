"""What the accounts of a campaign share, as a diagram: accounts on the left, shared attributes on the right.

Accounts that carry exactly the same of the drawn attributes share one row, so a diagram of 25,000 accounts is as
legible as one of twelve. Positions depend on the tables alone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

ATTRIBUTES_DRAWN = 12
# Templates come by the dozen; a diagram of one kind only would hide that several kinds link the accounts.
ATTRIBUTES_PER_KIND = 4
ROWS_DRAWN = 24
# Up to this many accounts are drawn as dots of a row; the row's number says how many there are.
DOTS = 14
# Colours of the page's palette for kinds, c1 to c8.
COLOURS = 8
ROW = 19.0
TOP = 26.0
LABEL_END = 158.0
DOT_STEP = 8.0
ATTRIBUTE_X = 440.0

Key = tuple[str, str]


class Row(NamedTuple):
    """Accounts with the same incidences: how many, one of them by name, and where they are drawn."""

    size: int
    example: str
    y: float
    dots: tuple[float, ...]


class Node(NamedTuple):
    """A shared attribute: its row of the attributes table, where it is drawn, and its signal's colour."""

    attribute: Mapping[str, Any]
    y: float
    colour: int


class Edge(NamedTuple):
    """A line from a row of accounts to a shared attribute: an SVG path, its width and colour."""

    path: str
    width: float
    colour: int


class Drawing(NamedTuple):
    """A laid-out drawing. width and height in user units; omitted: accounts in rows too small to draw."""

    rows: list[Row]
    nodes: list[Node]
    edges: list[Edge]
    signals: list[str]
    width: float
    height: float
    drawn: int
    omitted: int


def draw(attributes: Iterable[Mapping[str, Any]], carriers: Iterable[Mapping[str, Any]]) -> Drawing | None:
    """Lay out the strongest attributes and the accounts that carry them; None when there is nothing to draw.

    attributes: `attributes` rows of one campaign, strongest first. carriers: its `attribute_accounts` rows.
    """
    chosen: dict[Key, Mapping[str, Any]] = {}
    kinds: Counter[str] = Counter()
    for attribute in attributes:
        kinds[attribute["signal"]] += 1
        if len(chosen) < ATTRIBUTES_DRAWN and kinds[attribute["signal"]] <= ATTRIBUTES_PER_KIND:
            chosen[attribute["signal"], attribute["attribute"]] = attribute
    held: defaultdict[str, set[Key]] = defaultdict(set)
    for carrier in carriers:
        key = (carrier["signal"], carrier["attribute"])
        if key in chosen and carrier["account_id"] is not None:
            held[carrier["account_id"]].add(key)
    if not held:
        return None
    alike: defaultdict[frozenset[Key], list[str]] = defaultdict(list)
    for account, keys in sorted(held.items()):
        alike[frozenset(keys)].append(account)
    groups = sorted(alike.items(), key=lambda g: (-len(g[1]), g[1][0]))[:ROWS_DRAWN]
    used = [key for key in chosen if any(key in keys for keys, _ in groups)]
    groups, used = _untangled(groups, used)
    return _placed(groups, [chosen[key] for key in used], used, sum(map(len, alike.values())))


def _untangled(
    groups: list[tuple[frozenset[Key], list[str]]], keys: list[Key]
) -> tuple[list[tuple[frozenset[Key], list[str]]], list[Key]]:
    """Both sides ordered by the mean place of their neighbours, in turn, so that fewer lines cross (Sugiyama 1981)."""
    for _ in range(4):
        place = {key: i for i, key in enumerate(keys)}
        groups = sorted(groups, key=lambda g: (_mean(place[k] for k in g[0]), -len(g[1]), g[1][0]))
        keys = sorted(keys, key=lambda k: _mean(i for i, g in enumerate(groups) if k in g[0]))
    return groups, keys


def _mean(values: Iterable[int]) -> float:
    held = list(values)
    return sum(held) / len(held)


def _placed(
    groups: list[tuple[frozenset[Key], list[str]]], attributes: list[Mapping[str, Any]], keys: list[Key], accounts: int
) -> Drawing:
    tall = max(len(groups) * ROW, len(attributes) * 2 * ROW)
    signals = sorted({str(t["signal"]) for t in attributes})
    rows, nodes, edges = [], [], []
    for i, attribute in enumerate(attributes):
        y = TOP + (i + 0.5) * tall / len(attributes)
        nodes.append(Node(attribute, round(y, 1), signals.index(str(attribute["signal"])) % COLOURS + 1))
    height_of = dict(zip(keys, nodes, strict=True))
    for i, (shared, members) in enumerate(groups):
        y = round(TOP + (i + 0.5) * tall / len(groups), 1)
        dots = tuple(LABEL_END + 10 + n * DOT_STEP for n in range(min(len(members), DOTS)))
        rows.append(Row(len(members), members[0], y, dots))
        for key in (k for k in keys if k in shared):
            node, start = height_of[key], dots[-1] + 6
            bend = (start + ATTRIBUTE_X) / 2
            path = f"M{start:.1f} {y}C{bend:.1f} {y} {bend:.1f} {node.y} {ATTRIBUTE_X - 7:.1f} {node.y}"
            edges.append(Edge(path, round(min(4.0, 0.8 + len(members) ** 0.5 / 8), 1), node.colour))
    drawn = sum(row.size for row in rows)
    return Drawing(rows, nodes, edges, signals, 720.0, round(TOP + tall + 8, 1), drawn, accounts - drawn)
