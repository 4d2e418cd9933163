"""Hashes of foreign values, for columns in which a log has its own keys where a fingerprint is expected."""

from __future__ import annotations

from hashlib import blake2b

import msgspec
import pyarrow as pa

from clonewatch.adapters.columns import Values
from clonewatch.adapters.values import MISSING


def hashed(values: Values) -> pa.Array:
    """Any values as unsigned 64-bit hashes: the first 8 bytes of BLAKE2b over their JSON, nulls and empty ones null.

    Words for "nothing" are null too, as one hash for all of them would link accounts that share nothing.
    The same value gives the same hash in every file and run, whether it came as a number or as text.

    >>> hashed(["a", 7, "7", [1, 2], None]).to_pylist()[1:3] == hashed([7, 7]).to_pylist()
    True
    """
    if isinstance(values, pa.Array) and not pa.types.is_nested(values.type):
        if not pa.types.is_dictionary(values.type):
            values = values.dictionary_encode()
        known = pa.array([_hash(v) for v in values.dictionary.to_pylist()], pa.uint64())
        return known.take(values.indices)
    plain = values if isinstance(values, list) else values.to_pylist()
    return pa.array([_hash(v) for v in plain], pa.uint64())


def _hash(value: object) -> int | None:
    if value is None or value == "" or value == [] or value == {} or value != value:
        return None
    if isinstance(value, str) and value in MISSING:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    plain = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else msgspec.json.encode(value)
    return int.from_bytes(blake2b(plain, digest_size=8).digest(), "big")
