"""What goes over the wire beside the protocol of the intersection: who asks, in which epoch, and the proof of both."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from time import time

import msgspec

from clonewatch.sharing.matching.epoch import Epoch

HELLO, SETUP, QUERY, SIGHTINGS = "/match/v1/epoch", "/match/v1/setup", "/match/v1/query", "/match/v1/sightings"
PROTOBUF, JSON = "application/x-protobuf", "application/json"
EPOCH, NONCE, TIME, PROOF = "clonewatch-epoch", "clonewatch-nonce", "clonewatch-time", "clonewatch-proof"
# Clocks of servers agree within seconds; a message that is older was kept.
SKEW_SECONDS = 300
_NONCE = re.compile(r"[0-9a-f]{32}")


class RefusedError(Exception):
    """Something that is not answered. status: as HTTP has it. said: why, and what to do."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status, self.said = status, said


class Offer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind that can be matched. setup: SHA-256 of its set-up. bytes: size of that."""

    setup: str
    bytes: int


class Hello(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a holder says of itself. sightings: whether it can say what it saw."""

    group: str
    epoch: str
    until: str
    floor: int
    most_values: int
    kinds: dict[str, Offer]
    sightings: bool = False


def proven(epoch: Epoch, method: str, path: str, body: bytes) -> dict[str, str]:
    """The headers that prove that the sender holds the epoch, for one request that can be answered once."""
    nonce, at = secrets.token_hex(16), str(int(time()))
    return {EPOCH: epoch.name, NONCE: nonce, TIME: at, PROOF: _request(epoch, method, path, nonce, at, body)}


def checked(epoch: Epoch, method: str, path: str, headers: Mapping[str, str], body: bytes, now: float) -> str:
    """The nonce of a request whose sender holds the epoch. Raises RefusedError."""
    named = headers.get(EPOCH, "")
    if named != epoch.name:
        raise RefusedError(409, f"this is epoch {epoch.name} of {epoch.group}; you asked in another one")
    nonce, at = headers.get(NONCE, ""), headers.get(TIME, "")
    if not _NONCE.fullmatch(nonce) or not at.isascii() or not at.isdigit() or len(at) > 12:
        raise RefusedError(400, f"a request has {NONCE} (32 hexadecimal digits) and {TIME} (Unix seconds)")
    told = headers.get(PROOF, "").encode("utf-8", "replace")
    if not hmac.compare_digest(_request(epoch, method, path, nonce, at, body).encode(), told):
        raise RefusedError(
            403,
            "the proof does not hold: your epoch has another secret or other rules; compare what `match epoch` says",
        )
    if abs(now - int(at)) > SKEW_SECONDS:
        raise RefusedError(409, f"the request is more than {SKEW_SECONDS} seconds off: set the clock, send it anew")
    return nonce


def answer_proof(epoch: Epoch, nonce: str, body: bytes) -> str:
    """The proof that an answer comes from somebody who holds the epoch, and to this request."""
    return epoch.mac("answer", nonce.encode(), hashlib.sha256(body).digest())


def _request(epoch: Epoch, method: str, path: str, nonce: str, at: str, body: bytes) -> str:
    parts = (method, path, nonce, at)
    return epoch.mac("request", *(part.encode() for part in parts), hashlib.sha256(body).digest())
