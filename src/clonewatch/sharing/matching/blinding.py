"""Private set intersection by elliptic-curve Diffie-Hellman, through the library openmined-psi.

The holder raises its elements to a secret power once an epoch and publishes them as a Golomb-coded set; the asker
raises its own to a power of its own, has the holder raise them again, takes its power away and looks in the set
(Meadows 1986; Huberman, Franklin and Hogg 1999; the library implements it over P-256). The holder learns how many
values were asked for; the asker learns which of them the holder has, or only how many.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

from clonewatch.model.errors import SetupError
from clonewatch.sharing.matching.epoch import MOST_VALUES, WRONG_MATCH

# count: the answer is sorted, so that the asker learns how many match and not which.
Mode = Literal["count", "which"]
POINT_BYTES = 33  # of a compressed point on P-256
_FRAME = 2  # bytes of protobuf around a point
MOST_REQUEST_BYTES = MOST_VALUES * (POINT_BYTES + _FRAME) + 64
# The library makes no set of fewer than some dozens; more made-up elements hide how few there are.
LEAST_ELEMENTS = 1_024
# The library computes places of a set in 63 bits: elements times values by this chance must stay below.
_MOST_PLACES = 9.0e18


class BlindError(Exception):
    """A message of the protocol that is none. Says why, and holds nothing of it."""


class Setup(NamedTuple):
    """The holder's side of an epoch. key: its secret power. message: what askers look in. elements: their number."""

    key: bytes
    message: bytes
    elements: int


def _library() -> Any:
    if find_spec("private_set_intersection") is None:
        raise SetupError(
            "blinded matching needs the library openmined-psi", fix="Install the extra: pip install 'clonewatch[match]'"
        )
    import private_set_intersection.python as library

    return library


def prepared(elements: Sequence[str]) -> Setup:
    """The set-up of a set: the long step, about a tenth of a millisecond of processor time per element.

    Small sets are filled up with random elements, which match nothing.
    """
    library = _library()
    holder = library.server.CreateWithNewKey(True)
    more = [secrets.token_hex(32) for _ in range(LEAST_ELEMENTS - len(elements))]
    wrong = wrong_match(len(elements))
    made = holder.CreateSetupMessage(wrong, MOST_VALUES, [*elements, *more], library.DataStructure.GCS)
    return Setup(holder.GetPrivateKeyBytes(), made.SerializeToString(), len(elements))


def wrong_match(elements: int) -> float:
    """The chance that a query of full size has any wrong match in a set of so many elements.

    >>> wrong_match(25_000), round(wrong_match(1_000_000), 11)
    (1e-09, 2.78e-09)
    """
    return max(WRONG_MATCH, max(elements, LEAST_ELEMENTS) * MOST_VALUES / _MOST_PLACES)


def asked(request: bytes, mode: Mode, least: int) -> int:
    """How many values a request asks for, which costs nothing yet. least: fewer are refused. Raises BlindError."""
    parsed = _parsed(_library().Request, request)
    points = parsed.encrypted_elements
    if len(points) > MOST_VALUES:
        raise BlindError(f"a query has at most {MOST_VALUES:,} values, and this has {len(points):,}")
    if len(points) < least:
        raise BlindError(f"a query has at least {least:,} values, and this has {len(points):,}")
    if parsed.reveal_intersection != (mode == "which"):
        raise BlindError("the message asks for another mode than the address")
    if any(len(point) != POINT_BYTES for point in points):
        raise BlindError(f"a blinded value has {POINT_BYTES} bytes")
    return len(points)


def answered(key: bytes, request: bytes, mode: Mode) -> bytes:
    """The holder's answer to a request that `asked` counted. Raises BlindError. Other threads run meanwhile."""
    library = _library()
    holder = library.server.CreateFromKey(key, mode == "which")
    try:
        return bytes(holder.ProcessRequest(_parsed(library.Request, request)).SerializeToString())
    except RuntimeError:
        raise BlindError("a blinded value is no point of the curve") from None


class Asker:
    """One query, under a power that is used once."""

    def __init__(self, elements: Sequence[str], mode: Mode) -> None:
        self.elements, self.mode = list(elements), mode
        self._library = _library()
        self._client = self._library.client.CreateWithNewKey(mode == "which")
        self.request: bytes = self._client.CreateRequest(self.elements).SerializeToString()

    def matched(self, setup: bytes, answer: bytes) -> set[str] | int:
        """The elements that the holder has too, or how many those are. Raises BlindError."""
        held = _parsed(self._library.ServerSetup, setup)
        got = _parsed(self._library.Response, answer)
        # A range of 0 would end the process inside the library.
        if held.WhichOneof("data_structure") != "gcs" or held.gcs.hash_range <= 0 or not 0 < held.gcs.div < 64:
            raise BlindError("the set-up is no Golomb-coded set")
        if len(got.encrypted_elements) != len(self.elements):
            raise BlindError(
                f"{len(self.elements):,} values were asked for and {len(got.encrypted_elements):,} answered"
            )
        try:
            if self.mode == "count":
                return int(self._client.GetIntersectionSize(held, got))
            return {self.elements[i] for i in self._client.GetIntersection(held, got)}
        except (RuntimeError, IndexError):
            raise BlindError("the answer holds something that is no point of the curve") from None


def _parsed(kind: Any, data: bytes) -> Any:
    from google.protobuf.message import DecodeError

    try:
        return kind.FromString(data)
    except DecodeError:
        raise BlindError("this is no message of the protocol") from None


def digest(elements: Sequence[str]) -> str:
    """SHA-256 of sorted elements, by which a kept set-up is recognised as that of this set."""
    return hashlib.sha256("\n".join(elements).encode()).hexdigest()
