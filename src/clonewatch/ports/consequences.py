"""The interface of consequences: what a system does to accounts because of a measure, and takes back."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Consequence(NamedTuple):
    """A measure against one account. containment: its id. until: the last day on which it stands, `YYYY-MM-DD`.

    version: raised by every change for this account. measure: empty where all of it is taken back.
    """

    containment: str
    account: str
    measure: str
    until: str
    version: int


class Consequences(Protocol):
    """A system that carries measures out: a gateway, or a partner that was told.

    Both calls are made again until they return, and may be made twice or late. So an implementation remembers which
    version it carried out last for each containment and account, and passes over a call with an older one. A call
    that raises was not carried out. A measure ends with its last day even if nothing takes it back.
    """

    name: str

    def apply(self, consequence: Consequence) -> None:
        """Carry the measure out, in place of an earlier one of the same containment."""

    def take_back(self, consequence: Consequence) -> None:
        """Take back whatever this containment did to the account, a word to third parties included."""
