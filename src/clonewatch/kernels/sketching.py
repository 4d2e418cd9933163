"""Sketches: 64 small numbers with which two word sequences can be compared without the words.

MinHash (Broder, "On the resemblance and containment of documents", 1997): the share of equal positions in two sketches
estimates the Jaccard similarity of the two sets of shingles, with a standard error of at most 1 / (2 sqrt 64) = 0.06.

The 64 hash functions are public, so that the similarity of two texts is the same under every key. Each minimum is then
enciphered with the key, which keeps equality and nothing else: Speck32/64 (Beaulieu et al., "The SIMON and SPECK
Families of Lightweight Block Ciphers", 2013) between two secret masks per position.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clonewatch.kernels.compiling import compiled
from clonewatch.kernels.hashing import hash_numbers, stir
from clonewatch.model.schema import SKETCH_SIZE

Sketches = npt.NDArray[np.uint32]
SHINGLE = 3  # words
EMPTY = np.uint32(0xFFFFFFFF)
# The hash functions are SipHash of 0 to 63 under this public key. Another key would give other estimates.
_PUBLIC = b"public: sketches"
_ROUNDS = 22


class SketchKey(NamedTuple):
    """The parameters of a sketch. factors, addends: uint32[64], the public hash functions, odd factors.

    rounds: uint16[22], the round keys of the cipher. before, after: uint32[64], the masks per position.
    """

    factors: npt.NDArray[np.uint32]
    addends: npt.NDArray[np.uint32]
    rounds: npt.NDArray[np.uint16]
    before: npt.NDArray[np.uint32]
    after: npt.NDArray[np.uint32]


def sketch_key(key: bytes) -> SketchKey:
    """The public hash functions, and the cipher of a 16-byte key."""
    factors, addends = _halves(hash_numbers(SKETCH_SIZE, _PUBLIC))
    before, after = _halves(hash_numbers(SKETCH_SIZE, key))
    return SketchKey(factors | np.uint32(1), addends, round_keys(key[:8]), before, after)


def round_keys(key: bytes) -> npt.NDArray[np.uint16]:
    """The round keys of Speck32/64, uint16[22], from 8 bytes: four little-endian words, the last used first."""
    first, *left = np.frombuffer(key, "<u2").tolist()
    out = [first]
    for i in range(_ROUNDS - 1):
        rotated = left[i] >> 7 | (left[i] << 9) & 0xFFFF
        left.append((out[i] + rotated & 0xFFFF) ^ i)
        out.append((out[i] << 2 & 0xFFFF | out[i] >> 14) ^ left[-1])
    return np.array(out, np.uint16)


def _halves(words: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    return (words >> np.uint64(32)).astype(np.uint32), (words & np.uint64(0xFFFFFFFF)).astype(np.uint32)


@compiled()
def encipher(
    values: Sketches,
    rounds: npt.NDArray[np.uint16],
    before: npt.NDArray[np.uint32],
    after: npt.NDArray[np.uint32],
) -> None:
    """Encipher the value of each position, in place; a bijection of 32 bits. values: uint32[64]; compiled."""
    high, low = np.empty(SKETCH_SIZE, np.uint16), np.empty(SKETCH_SIZE, np.uint16)
    for k in range(SKETCH_SIZE):
        value = np.uint32(values[k] ^ before[k])
        high[k], low[k] = np.uint16(value >> np.uint32(16)), np.uint16(value)
    for key in rounds:  # one round after the other, so that the loop within it runs in vector instructions
        for k in range(SKETCH_SIZE):
            x, y = high[k], low[k]
            x = np.uint16(np.uint16(np.uint16(np.uint16(x >> 7) | np.uint16(x << 9)) + y) ^ key)
            high[k], low[k] = x, np.uint16(np.uint16(np.uint16(y << 2) | np.uint16(y >> 14)) ^ x)
    for k in range(SKETCH_SIZE):
        values[k] = np.uint32(np.uint32(high[k]) << np.uint32(16) | np.uint32(low[k])) ^ after[k]


def deciphered(sketches: Sketches, key: SketchKey) -> Sketches:
    """The minima behind enciphered sketches, uint32[N, 64]. Whoever holds the key can take it off again."""
    values = np.atleast_2d(sketches) ^ key.after
    high, low = (values >> np.uint32(16)).astype(np.uint16), (values & np.uint32(0xFFFF)).astype(np.uint16)
    for word in key.rounds[::-1]:
        turned = low ^ high
        low = (turned >> np.uint16(2)) | (turned << np.uint16(14))
        x = (high ^ word) - low
        high = (x << np.uint16(7)) | (x >> np.uint16(9))
    return ((high.astype(np.uint32) << np.uint32(16)) | low.astype(np.uint32)) ^ key.before


def enciphered(minima: Sketches, key: SketchKey) -> Sketches:
    """Sketches under a key, uint32[N, 64], from their minima: the inverse of `deciphered`."""
    values = np.ascontiguousarray(np.atleast_2d(minima)).copy()
    for row in values:
        encipher(row, key.rounds, key.before, key.after)
    return values


def shingles(minima: Sketches, key: SketchKey) -> int:
    """How many different shingles are behind the minima of one sketch, uint32[64]; a short text has few.

    The public hash functions are bijections, so each minimum gives back the hash of its shingle.
    """
    inverse = np.array([pow(int(factor), -1, 1 << 32) for factor in key.factors], np.uint32)
    return len(np.unique((minima - key.addends) * inverse))


@compiled()
def minhash(
    tokens: npt.NDArray[np.uint64],
    count: int,
    factors: npt.NDArray[np.uint32],
    addends: npt.NDArray[np.uint32],
    out: Sketches,
) -> None:
    """Fill `out` (uint32[64]) with the smallest hashes of the 3-word shingles of `tokens[:count]`; compiled.

    A sequence shorter than a shingle is one shingle.
    """
    hashes = np.empty(max(count - SHINGLE, 0) + 1, np.uint32)
    for i in range(len(hashes)):
        h, first = np.uint64(0), np.uint64(i)
        for j in range(min(SHINGLE, count)):
            h = h * np.uint64(0x9E3779B97F4A7C15) + tokens[first + np.uint64(j)]
        hashes[i] = np.uint32(stir(h) >> np.uint64(32))
    for k in range(SKETCH_SIZE):  # one value after the other, so that the loop within it runs in vector instructions
        factor, addend, least = factors[k], addends[k], EMPTY
        for x in hashes:
            least = np.uint32(min(least, np.uint32(x * factor + addend)))
        out[k] = least


def rekeyed(sketches: Sketches, held: SketchKey, wanted: SketchKey) -> Sketches:
    """Sketches under another key, which only the holder of the first one can make. sketches: uint32[N, 64].

    Rows of zeros, which stand for no sketch, stay.

    >>> first, second = sketch_key(bytes(16)), sketch_key(bytes(range(16)))
    >>> row = np.arange(1, 65, dtype=np.uint32)[None, :]
    >>> bool((rekeyed(rekeyed(row, first, second), second, first) == row).all())
    True
    """
    out = _decipher(sketches, held)
    for row, present in zip(out, np.asarray(sketches.any(axis=1)), strict=True):
        if present:
            encipher(row, wanted.rounds, wanted.before, wanted.after)
        else:
            row[:] = 0
    return out


def _decipher(values: Sketches, key: SketchKey) -> Sketches:
    """The inverse of `encipher`, on uint32[N, 64]."""
    mixed = values ^ key.after
    x, y = (mixed >> np.uint32(16)).astype(np.uint16), mixed.astype(np.uint16)
    for one in key.rounds[::-1]:
        y = y ^ x
        y = (y >> np.uint16(2)) | (y << np.uint16(14))
        x = (x ^ one) - y
        x = (x << np.uint16(7)) | (x >> np.uint16(9))
    return ((x.astype(np.uint32) << np.uint32(16)) | y.astype(np.uint32)) ^ key.before


def resemblance(left: Sketches, right: Sketches) -> npt.NDArray[np.float64]:
    """Estimated Jaccard similarity of pairs of sketches, 0..1. left, right: uint32[N, 64] or uint32[64].

    >>> a = np.arange(64, dtype=np.uint32)
    >>> float(resemblance(a, np.where(a < 48, a, 0).astype(np.uint32)))
    0.75
    """
    equal: npt.NDArray[np.float64] = np.mean(left == right, axis=-1)
    return equal


def sketch_matrix(column: pa.Array | pa.ChunkedArray) -> Sketches:
    """A `list<uint32>` column as uint32[N, 64]; null, and lists of another length, become a row of zeros.

    >>> sketch_matrix(pa.array([list(range(64)), None], pa.list_(pa.uint32()))).shape
    (2, 64)
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    out = np.zeros((len(array), SKETCH_SIZE), np.uint32)
    if pa.types.is_null(array.type) or len(array) == 0:
        return out
    whole = np.asarray(array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False) == SKETCH_SIZE)
    kept = array.filter(pa.array(whole)).flatten().cast(pa.uint32()).fill_null(0)
    out[whole] = kept.to_numpy(zero_copy_only=False).reshape(-1, SKETCH_SIZE)
    return out


def sketch_column(sketches: Sketches, valid: npt.NDArray[np.bool_]) -> pa.ListArray:
    """uint32[N, 64] as a `list<uint32>` column, null where not `valid`."""
    offsets = np.zeros(len(valid) + 1, np.int32)
    np.cumsum(valid, out=offsets[1:])
    offsets *= SKETCH_SIZE
    mask = None if valid.all() else pa.array(~valid)
    values = pa.array(sketches[valid].reshape(-1), pa.uint32())
    return pa.ListArray.from_arrays(pa.array(offsets), values, mask=mask)
