"""Keys of those who send: made by us, kept as hashes, each with what it may do and how often."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

EXCHANGES, EVENTS, METRICS = "write:exchanges", "write:events", "read:metrics"
SCOPES = (EXCHANGES, EVENTS, METRICS)
_MARK = "cwk_"
_KEY = re.compile(rf"{_MARK}[A-Za-z0-9_-]{{43}}")
_HASH = re.compile(r"[0-9a-f]{64}")


class ApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key. sha256: of the whole key, hexadecimal. requests_per_minute: more are answered 429."""

    sha256: str
    scopes: tuple[str, ...] = (EXCHANGES,)
    requests_per_minute: int = 6000

    def fault(self) -> str:
        """What is wrong with it; empty if nothing is."""
        if not _HASH.fullmatch(self.sha256):
            return "sha256 is not 64 hexadecimal digits"
        if unknown := sorted(set(self.scopes) - set(SCOPES)):
            return f"there is no scope {unknown[0]!r}; there are {', '.join(SCOPES)}"
        return "" if self.scopes and self.requests_per_minute > 0 else "it may do nothing"


class Holder(NamedTuple):
    """Whose key it is, by the name in the settings."""

    name: str
    scopes: frozenset[str]
    requests_per_minute: int


def new() -> tuple[str, str]:
    """A key of 256 random bits and its hash.

    So much chance makes one pass of SHA-256 enough: there is nothing to guess.
    """
    key = _MARK + secrets.token_urlsafe(32)
    return key, digest(key)


def digest(key: str) -> str:
    """SHA-256 of a key, hexadecimal."""
    return hashlib.sha256(key.encode()).hexdigest()


class Keyring:
    """Finds whose a key is."""

    def __init__(self, keys: Mapping[str, ApiKey]) -> None:
        self._by_hash = {
            one.sha256: Holder(name, frozenset(one.scopes), one.requests_per_minute) for name, one in keys.items()
        }

    def whose(self, key: str) -> Holder | None:
        """Whose key this is; None for one that is not ours. What is looked up is its hash, so times tell nothing."""
        return self._by_hash.get(digest(key)) if _KEY.fullmatch(key) else None
