"""A signal: a card that says what it catches and whom it might wrongly flag, and the columns it reads."""

from typing import NamedTuple


class Card(NamedTuple):
    """What a person should know before relying on a signal. Printed in every report.

    family: evidence family; only evidence of different families is independent.
    catches, misses: in a sentence each. innocent: the innocent twin that looks the same.
    excluded_by: what tells the two apart.
    """

    title: str
    family: str
    catches: str
    misses: str
    innocent: str
    excluded_by: str


class Signal(NamedTuple):
    """What `doctor` and the report need to know of a linking signal or a behavioural test.

    name: module name on its shelf. kind: "link" or "behaviour". needs: alternatives, each a tuple of columns written
    `table.column`; the signal works if the log has all columns of one alternative. uses: optional columns, which it
    also reads where the log has them. suggests: the innocent cases that it points at, ids of `model.questions`, each
    with the share of its bits that the case explains, 0..1; denied_suggests: the same of a test's evidence against.
    """

    name: str
    kind: str
    card: Card
    needs: tuple[tuple[str, ...], ...]
    uses: tuple[str, ...] = ()
    suggests: tuple[tuple[str, float], ...] = ()
    denied_suggests: tuple[tuple[str, float], ...] = ()
