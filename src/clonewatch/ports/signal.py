"""The shape of a signal: a card that says what it catches and whom it might wrong, and the columns it reads."""

from typing import NamedTuple


class Card(NamedTuple):
    """What a person should know before believing a signal. Printed in every report.

    family: evidence family; only evidence of different families is independent.
    catches, misses: in a sentence each. innocent: the honest twin that looks the same.
    excluded_by: what tells them apart.
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
    `table.column`; the signal works when all columns of any one alternative are there. uses: columns that it reads too
    where they are there, and can do without.
    """

    name: str
    kind: str
    card: Card
    needs: tuple[tuple[str, ...], ...]
    uses: tuple[str, ...] = ()
