"""Reasoning signatures that are bound to what they were issued for, for a provider to check when one is redeemed.

Signed reasoning that is handed back in another account or session is a way to carry reasoning out. So a provider puts a
*seal* into each signature that it issues, and checks it when the signature comes back. A seal is 57 bytes: it says for
which scope, account, session and context the signature was issued, as keyed hashes that name nobody, and when.

::

    0   1 byte    version, 1
    1   8 bytes   issued, seconds since 1970, big-endian
    9   4 x 8     keyed BLAKE2b of scope, account, session and context
    41  16 bytes  keyed BLAKE2b of everything before it

Pure: no clock, file or network. What to do about a difference is for the provider: honest clients cut their context,
and people go on in another session, so only scope and account are asked for unless more is wanted.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

SIZE = 57
LEAST_KEY, MOST_KEY = 16, 64  # bytes of the key
DAY = 86_400
# How far ahead the clock of whoever issued may be, in seconds.
SKEW = 300
SCOPE, ACCOUNT, SESSION, CONTEXT = "scope", "account", "session", "context"
PARTS = (SCOPE, ACCOUNT, SESSION, CONTEXT)
_VERSION = 1
_HEAD = struct.Struct(">BQ")
_TAG, _MAC = 8, 16
_PERSON = b"cw-redeem-v1"


class Use(NamedTuple):
    """Where a signature is issued, or redeemed. scope: such as product, region and model. context: see `context_of`."""

    scope: str
    account: str
    session: str
    context: bytes


class Redeemed(NamedTuple):
    """What is known of a signature that came back.

    genuine: whether this provider sealed it. differs: the parts that are others than when it was issued. age: seconds
    since then. holds: genuine, not too old, and none of the parts that are asked for differs. reason: a code.
    """

    genuine: bool
    differs: tuple[str, ...]
    age: int
    holds: bool
    reason: str


def seal(use: Use, issued: int, key: bytes) -> bytes:
    """What goes into a signature. issued: seconds since 1970. Raises ValueError for the key or the time.

    >>> made = seal(Use("m-1", "acct-1", "s-1", context_of([])), 1_778_058_000, bytes(32))
    >>> len(made), redeemed(made, Use("m-1", "acct-2", "s-1", context_of([])), 1_778_058_060, bytes(32))[1:]
    (57, (('account',), 60, False, 'account_differs'))
    """
    if not 0 <= issued < 1 << 63:
        raise ValueError(f"{issued} is no time in seconds since 1970")
    front = _HEAD.pack(_VERSION, issued) + b"".join(_tags(use, key))
    return front + _keyed(key, b"all", front, _MAC)


def redeemed(
    held: bytes, use: Use, now: float, key: bytes, *, asked: Iterable[str] = (SCOPE, ACCOUNT), most_age: int = DAY
) -> Redeemed:
    """Check a seal against the place where it is redeemed. asked: the parts that may not differ. most_age: seconds.

    Raises ValueError for the key, and for a part that there is not; never for a seal, whatever it is.
    """
    wanted = set(asked)
    if not wanted <= set(PARTS):
        raise ValueError(f"the parts of a use are {', '.join(PARTS)}")
    tags = _tags(use, key)
    if len(held) != SIZE or not hmac.compare_digest(_keyed(key, b"all", held[:-_MAC], _MAC), held[-_MAC:]):
        return Redeemed(False, (), 0, False, "not_ours")
    version, issued = _HEAD.unpack_from(held)
    if version != _VERSION:
        return Redeemed(False, (), 0, False, "unknown_version")
    there = [held[at : at + _TAG] for at in range(_HEAD.size, SIZE - _MAC, _TAG)]
    differs = tuple(
        part for part, one, other in zip(PARTS, there, tags, strict=True) if not hmac.compare_digest(one, other)
    )
    age = int(now) - issued
    reason = next((f"{part}_differs" for part in differs if part in wanted), "")
    if not reason and not -SKEW <= age <= most_age:
        reason = "too_old" if age > 0 else "from_the_future"
    return Redeemed(True, differs, age, not reason, reason or "holds")


def context_of(parts: Iterable[bytes]) -> bytes:
    """A hash of the context of a signature: what came before it, part by part, such as role and text of each message.

    >>> context_of([b"user", b"hello"]) == context_of([b"userhello"])
    False
    """
    state = blake2b(digest_size=16, person=_PERSON)
    for part in parts:
        state.update(struct.pack(">Q", len(part)))
        state.update(part)
    return state.digest()


def _tags(use: Use, key: bytes) -> list[bytes]:
    texts = [text.encode("utf-8", "surrogatepass") for text in (use.scope, use.account, use.session)]
    return [_keyed(key, part.encode(), held, _TAG) for part, held in zip(PARTS, [*texts, use.context], strict=True)]


def _keyed(key: bytes, what: bytes, held: bytes, size: int) -> bytes:
    if not LEAST_KEY <= len(key) <= MOST_KEY:
        raise ValueError(f"the key has {len(key)} bytes, and {LEAST_KEY} to {MOST_KEY} are asked for")
    # `what` is salt: a hash of one part is never that of another.
    return blake2b(held, digest_size=size, key=key, salt=what, person=_PERSON).digest()
