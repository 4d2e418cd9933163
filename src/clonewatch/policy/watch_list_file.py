"""Writes the files of a watch list: snapshots and deltas, signed, accounts as keyed hashes.

`docs/reference/watch-list.md` is the format. The reader is in the package `clonewatch_gateway`, of which nothing is
imported here: both reproduce the test vectors of that page.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from hashlib import blake2b, sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SCHEMA = "clonewatch.watch-list.v1"
MAGIC = b"CWLIST1\n"
SNAPSHOT, DELTA = "snapshot", "delta"
HASH, HASH_BYTES = "blake2b-128", 16
LIFTED = 0xFFFFFFFF
_ACCOUNT, _KEY = b"cw-account-v1", b"cw-keyname-v1"
_ALIGNED = 64
_MOST_FAN_BITS = 20
# Accounts in a bucket, about: more would be searched one by one, fewer would need a longer table.
_BUCKET = 4
U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]


class Rows(NamedTuple):
    """Accounts of a list by their hashes, ascending. hashes: (n, 16) bytes. numbers: (n,), of their entries."""

    hashes: U8
    numbers: U32


class Stamp(NamedTuple):
    """Of which list a file is, and when. list: its name. serial: raised by every file. Times in seconds since 1970."""

    list: str
    serial: int
    issued: int
    valid_until: int


class Signing(NamedTuple):
    """The keys of whoever publishes. account: secret of the account hashes, which gateways have too."""

    private: Ed25519PrivateKey
    account: bytes

    @property
    def public(self) -> bytes:
        """The key that gateways check with, 32 bytes."""
        return self.private.public_key().public_bytes_raw()


def rows(numbers: Mapping[str, int], key: bytes) -> Rows:
    """The rows of accounts. numbers: account id -> number of its entry. key: secret, 16 to 64 bytes."""
    started = blake2b(digest_size=HASH_BYTES, key=key, person=_ACCOUNT)

    def hashed(account: str) -> bytes:
        state = started.copy()
        state.update(account.encode("utf-8", "surrogatepass"))
        return state.digest()

    held = np.frombuffer(b"".join(map(hashed, numbers)), np.uint8).reshape(-1, HASH_BYTES)
    order = np.lexsort(tuple(halves(held).T[::-1]))
    return Rows(held[order], np.fromiter(numbers.values(), np.uint32, len(numbers))[order])


def halves(hashes: U8) -> npt.NDArray[np.uint64]:
    """Hashes as two numbers each, (n, 2), which compare as the bytes do."""
    return np.ascontiguousarray(hashes).view(">u8").astype(np.uint64).reshape(-1, 2)


def encoded(
    kind: str,
    stamp: Stamp,
    held: Rows,
    entries: Sequence[Mapping[str, Any]],
    signing: Signing,
    *,
    base: tuple[int, str] = (0, ""),
    changes: Mapping[int, Mapping[str, Any] | None] | None = None,
) -> bytes:
    """One file of a list. base, changes: of a delta, the snapshot it belongs to and which of its entries changed."""
    body = _body(held)
    header = {
        "account_hash": HASH,
        "account_key": blake2b(digest_size=8, key=signing.account, person=_KEY).hexdigest(),
        "base": base[0],
        "base_body": base[1],
        "body_sha256": sha256(body).hexdigest(),
        "changes": {str(number): changed for number, changed in (changes or {}).items()},
        "count": len(held.numbers),
        "entries": list(entries),
        "fan_bits": fan_bits(len(held.numbers)),
        "issued": stamp.issued,
        "kind": kind,
        "list": stamp.list,
        "schema": SCHEMA,
        "serial": stamp.serial,
        "signed_by": sha256(signing.public).hexdigest()[:16],
        "valid_until": stamp.valid_until,
    }
    text = json.dumps(header, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()
    signed = MAGIC + struct.pack("<I", len(text)) + text
    front = signed + signing.private.sign(signed)
    return front + bytes(-len(front) % _ALIGNED) + body


def fan_bits(count: int) -> int:
    """How many bits of a hash choose its bucket."""
    return min(_MOST_FAN_BITS, max(0, (count // _BUCKET).bit_length()))


def _body(held: Rows) -> bytes:
    bits = fan_bits(len(held.numbers))
    first = np.ascontiguousarray(held.hashes[:, :4]).view(">u4").ravel().astype(np.uint64) >> np.uint64(32 - bits)
    fan = np.searchsorted(first, np.arange((1 << bits) + 1, dtype=np.uint64)).astype("<u4")
    return fan.tobytes() + held.hashes.tobytes() + held.numbers.astype("<u4").tobytes()
