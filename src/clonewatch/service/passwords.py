"""Passwords: kept as argon2id hashes, and checked in the same time whether or not somebody has that name."""

from __future__ import annotations

from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from clonewatch.model.errors import SetupError

SHORTEST, LONGEST = 12, 1000
_HASHER = PasswordHasher()


def hashed(password: str, name: str) -> str:
    """The hash to keep. Raises SetupError for a password that is too easy to guess."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise SetupError("this password is too short", fix=f"Use at least {SHORTEST} characters: some words will do")
    if len(set(password)) < SHORTEST // 3 or name in password.casefold():
        raise SetupError("this password is easy to guess", fix="Use some words that have nothing to do with each other")
    return _HASHER.hash(password)


def fits(kept: str, password: str) -> bool:
    """Whether a password is the one that is kept; for none that is kept it takes as long, and is False."""
    if len(password) > LONGEST:
        return False
    try:
        return _HASHER.verify(kept or _nobody(), password) and bool(kept)
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False


@cache
def _nobody() -> str:
    return _HASHER.hash("nobody has this password")
