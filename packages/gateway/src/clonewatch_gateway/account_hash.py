"""Account ids as a watch list has them: keyed hashes, so that a list that leaks names nobody."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

BYTES = 16
LEAST_KEY, MOST_KEY = 16, 64  # bytes of the key
_ACCOUNT, _KEY = b"cw-account-v1", b"cw-keyname-v1"


def hasher(key: bytes) -> Callable[[str], bytes]:
    """A function from an account id to its hash: BLAKE2b (RFC 7693), keyed, 16 bytes. Raises ValueError for the key.

    >>> hasher(bytes(32))("acct-1").hex()
    '74cad73276bf6a51c04b458f606fbe18'
    """
    if not LEAST_KEY <= len(key) <= MOST_KEY:
        raise ValueError(f"the account key has {len(key)} bytes, and {LEAST_KEY} to {MOST_KEY} are asked for")
    started = blake2b(digest_size=BYTES, key=key, person=_ACCOUNT)

    def hashed(account: str) -> bytes:
        state = started.copy()
        state.update(account.encode("utf-8", "surrogatepass"))
        return state.digest()

    return hashed


def key_name(key: bytes) -> str:
    """What a list calls its account key, so that a wrong key is said instead of matching nobody."""
    return blake2b(digest_size=8, key=key, person=_KEY).hexdigest()
