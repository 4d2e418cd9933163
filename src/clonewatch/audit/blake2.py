"""Keyed BLAKE2b of many short rows at a time, equal to the standard library's for each row.

A thousand decoy keys over a hundred thousand tokens are 10^8 hashes: the standard library needs minutes for that.
Source: RFC 7693. Compiled on first use and cached on disk.
"""

import numpy as np
import numpy.typing as npt

from clonewatch.kernels.compiling import compiled

U64 = npt.NDArray[np.uint64]

_IV = np.array(
    [
        0x6A09E667F3BCC908,
        0xBB67AE8584CAA73B,
        0x3C6EF372FE94F82B,
        0xA54FF53A5F1D36F1,
        0x510E527FADE682D1,
        0x9B05688C2B3E6C1F,
        0x1F83D9ABFB41BD6B,
        0x5BE0CD19137E2179,
    ],
    np.uint64,
)
_SIGMA = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
    ],
    np.int64,
)
# The words each of the eight mixings of a round works on: columns, then diagonals.
_LANES = np.array(
    [
        [0, 4, 8, 12],
        [1, 5, 9, 13],
        [2, 6, 10, 14],
        [3, 7, 11, 15],
        [0, 5, 10, 15],
        [1, 6, 11, 12],
        [2, 7, 8, 13],
        [3, 4, 9, 14],
    ],
    np.int64,
)
MOST_IDS = 32  # one block of 128 bytes holds this many 4-byte ids
_DIGEST, _BLOCK = 8, 128


@compiled()
def _turn(x: np.uint64, bits: int) -> np.uint64:
    return (x >> np.uint64(bits)) | (x << np.uint64(64 - bits))


@compiled()
def _compress(h: U64, m: U64, length: np.uint64, last: bool, v: U64) -> None:
    """One block into the state h, in place. v: scratch of 16 words."""
    for i in range(8):
        v[i] = h[i]
        v[8 + i] = _IV[i]
    v[12] ^= length
    if last:
        v[14] = ~v[14]
    for r in range(12):
        order = _SIGMA[r % 10]
        for g in range(8):
            a, b, c, d = _LANES[g, 0], _LANES[g, 1], _LANES[g, 2], _LANES[g, 3]
            v[a] = v[a] + v[b] + m[order[2 * g]]
            v[d] = _turn(v[d] ^ v[a], 32)
            v[c] = v[c] + v[d]
            v[b] = _turn(v[b] ^ v[c], 24)
            v[a] = v[a] + v[b] + m[order[2 * g + 1]]
            v[d] = _turn(v[d] ^ v[a], 16)
            v[c] = v[c] + v[d]
            v[b] = _turn(v[b] ^ v[c], 63)
    for i in range(8):
        h[i] ^= v[i] ^ v[8 + i]


@compiled(nogil=True)
def _digests(ids: U64, start: U64, key_block: U64) -> U64:
    rows, width = ids.shape
    v, m, h = np.empty(16, np.uint64), np.empty(16, np.uint64), np.empty(8, np.uint64)
    keyed = start.copy()
    _compress(keyed, key_block, np.uint64(_BLOCK), False, v)
    out = np.empty(rows, np.uint64)
    for row in range(rows):
        for i in range(16):  # not a slice: assigning one takes many times longer to compile
            m[i] = np.uint64(0)
        for i in range(width):
            m[i >> 1] |= ids[row, i] << np.uint64(32 * (i & 1))
        for i in range(8):
            h[i] = keyed[i]
        _compress(h, m, np.uint64(_BLOCK + 4 * width), True, v)
        out[row] = h[0]
    return out


def keyed_digests(ids: U64, key: bytes, person: bytes) -> U64:
    """8-byte BLAKE2b digests of rows of ids, as little-endian numbers.

    ids: uint64[N, C] of values below 2**32, written as C little-endian 4-byte numbers, C at most 32. key: 1 to 64
    bytes. person: 16 bytes. Returns uint64[N].

    >>> import hashlib
    >>> told = hashlib.blake2b((7).to_bytes(4, "little"), digest_size=8, key=b"k", person=bytes(16)).digest()
    >>> int(keyed_digests(np.array([[7]], np.uint64), b"k", bytes(16))[0]) == int.from_bytes(told, "little")
    True
    """
    if not 1 <= len(key) <= 64 or len(person) != 16 or ids.shape[1] > MOST_IDS:
        raise ValueError(f"a key has 1 to 64 bytes, a personalisation 16, a row at most {MOST_IDS} ids")
    start = _IV.copy()
    start[0] ^= np.uint64(0x01010000 | len(key) << 8 | _DIGEST)
    start[6:8] ^= np.frombuffer(person, "<u8")
    return _digests(ids, start, np.frombuffer(key.ljust(_BLOCK, b"\0"), "<u8").astype(np.uint64))
