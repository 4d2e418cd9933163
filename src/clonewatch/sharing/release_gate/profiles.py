"""The three occasions on which something leaves, and what each allows."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from clonewatch.sharing.indicators import KINDS

# Markings from the widest circle to the narrowest.
TLP_ORDER = ("CLEAR", "GREEN", "AMBER", "AMBER+STRICT", "RED")
_ALL = frozenset(KINDS)
# What is enciphered with a group's key says nothing outside of that group.
KEYED = frozenset({"template_family", "forced_format"})


class Terms(NamedTuple):
    """What a profile allows. widest: the widest marking. kinds: of indicators. days: the longest time that it holds.

    families: how many independent families of evidence it takes at least. says: when to use it.
    """

    widest: str
    kinds: frozenset[str]
    days: int
    families: int
    says: str


PROFILES: Mapping[str, Terms] = MappingProxyType(
    {
        "information_sharing": Terms(
            "GREEN", _ALL, 180, 2, "what defenders can look for, told to a circle on no particular occasion"
        ),
        "incident_report": Terms(
            "AMBER",
            _ALL - {"template_family", "forced_format"},
            365,
            2,
            "what an authority or a clearing house is told of something that was confirmed",
        ),
        "incident_response": Terms(
            "AMBER", _ALL, 30, 2, "what peers under the same attack are told at once, for a short time"
        ),
    }
)


def wider(marking: str, than: str) -> bool:
    """Whether a marking lets something go further than another.

    >>> wider("GREEN", "AMBER"), wider("RED", "AMBER")
    (True, False)
    """
    return TLP_ORDER.index(marking) < TLP_ORDER.index(than)
