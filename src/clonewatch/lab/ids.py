"""Numbers that look like ids: fast mixing, naming and formatting."""

import hashlib

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_ALL = 0xFFFFFFFFFFFFFFFF
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_DIGITS = np.frombuffer("".join(f"{i:02x}" for i in range(256)).encode(), dtype=np.uint16)

Hashes = NDArray[np.uint64]


def mix(numbers: NDArray[np.integer] | Hashes, salt: int = 0) -> Hashes:
    """Spread integers over 64 bits, bijectively for a given salt (finaliser of splitmix64, Steele et al. 2014).

    >>> int(mix(np.array([1, 2]))[0]) == int(mix(np.array([1]))[0])
    True
    """
    state = np.asarray(numbers).astype(np.uint64) + np.uint64(_apart(salt))
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    return state ^ (state >> np.uint64(31))


def _apart(salt: int) -> int:
    """Separate neighbouring salts: otherwise mix(n, salt + 1) would be mix(n + 1, salt)."""
    state = (salt * 0x9E3779B97F4A7C15 + 0xD1B54A32D192ED03) & _ALL
    state = ((state ^ (state >> 32)) * 0xD6E8FEB86659FD93) & _ALL
    return state ^ (state >> 32)


def named(*parts: int | str) -> int:
    """A 63-bit hash of these words, the same on every machine.

    >>> named("campaign", 1) == named("campaign", 1) != named("campaign", 2)
    True
    """
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def spelled(numbers: Hashes, prefix: str = "") -> pa.StringArray:
    """Each number as `prefix` and 16 hex digits; zero means none (null).

    >>> spelled(np.array([255, 0], dtype=np.uint64), "s-").to_pylist()
    ['s-00000000000000ff', None]
    """
    count, width = len(numbers), len(prefix) + 16
    letters = np.empty((count, width), dtype=np.uint8)
    letters[:, : len(prefix)] = np.frombuffer(prefix.encode(), dtype=np.uint8)
    octets = numbers.astype(">u8").view(np.uint8)
    letters[:, len(prefix) :] = _DIGITS[octets].view(np.uint8).reshape(count, 16)
    present = numbers != 0
    offsets = np.arange(count + 1, dtype=np.int32) * np.int32(width)
    if present.all():
        return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(letters))
    offsets = np.concatenate([[0], np.cumsum(present * width)]).astype(np.int32)
    valid = np.packbits(present, bitorder="little")
    return pa.StringArray.from_buffers(
        count, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(letters[present])), pa.py_buffer(valid)
    )
