"""Keyed hashes of whole columns: SipHash-2-4 straight over Arrow buffers, and a way to combine hashes.

Only the holder of the key can check a guess at the text against its hash. Source: Aumasson and Bernstein,
"SipHash: a fast short-input PRF", INDOCRYPT 2012.

Kernels are compiled on first use and cached on disk, so importing this module is cheap.
"""

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clonewatch.kernels.buffers import text_buffers
from clonewatch.kernels.compiling import compiled

U64 = npt.NDArray[np.uint64]
KEY_BYTES, SECRET_BYTES = 16, 32
_PERSON = b"clonewatch.v1"


def derive(key: bytes, purpose: str) -> bytes:
    """A 16-byte key for one purpose, so that equal values in different columns do not have equal hashes.

    key: the 32-byte secret. purpose: such as "template_id". Keyed BLAKE2b (RFC 7693).

    >>> derive(bytes(32), "template_id") == derive(bytes(32), "prompt_id")
    False
    """
    if len(key) != SECRET_BYTES:
        raise ValueError(f"the secret has {SECRET_BYTES} bytes, not {len(key)}")
    return hashlib.blake2b(purpose.encode(), digest_size=KEY_BYTES, key=key, person=_PERSON).digest()


def key_words(key: bytes) -> tuple[np.uint64, np.uint64]:
    """The two little-endian 64-bit halves of a 16-byte key. Raises ValueError for any other length."""
    if len(key) != KEY_BYTES:
        raise ValueError(f"a SipHash key has {KEY_BYTES} bytes, not {len(key)}")
    low, high = np.frombuffer(key, dtype="<u8")
    return np.uint64(low), np.uint64(high)


@compiled()
def siphash(data: npt.NDArray[np.uint8], start: int, end: int, k0: np.uint64, k1: np.uint64) -> np.uint64:
    """SipHash-2-4 of `data[start:end]`; compiled, callable from other kernels."""
    v0 = k0 ^ np.uint64(0x736F6D6570736575)
    v1 = k1 ^ np.uint64(0x646F72616E646F6D)
    v2 = k0 ^ np.uint64(0x6C7967656E657261)
    v3 = k1 ^ np.uint64(0x7465646279746573)
    length = end - start
    whole = start + (length & ~7)
    i = start
    while True:
        m = np.uint64(0)
        last = i >= whole
        if last:
            for j in range(end - whole):
                m |= np.uint64(data[whole + j]) << np.uint64(8 * j)
            m |= np.uint64(length & 0xFF) << np.uint64(56)
        else:
            m = (
                np.uint64(data[i])
                | np.uint64(data[i + 1]) << np.uint64(8)
                | np.uint64(data[i + 2]) << np.uint64(16)
                | np.uint64(data[i + 3]) << np.uint64(24)
                | np.uint64(data[i + 4]) << np.uint64(32)
                | np.uint64(data[i + 5]) << np.uint64(40)
                | np.uint64(data[i + 6]) << np.uint64(48)
                | np.uint64(data[i + 7]) << np.uint64(56)
            )
        v3 ^= m
        v0, v1, v2, v3 = sip_round(v0, v1, v2, v3)
        v0, v1, v2, v3 = sip_round(v0, v1, v2, v3)
        v0 ^= m
        if last:
            break
        i += 8
    return sip_finish(v0, v1, v2, v3)


@compiled()
def sip_round(v0: np.uint64, v1: np.uint64, v2: np.uint64, v3: np.uint64) -> tuple[np.uint64, ...]:
    """One SipRound."""
    v0 += v1
    v1 = (v1 << np.uint64(13)) | (v1 >> np.uint64(51))
    v1 ^= v0
    v0 = (v0 << np.uint64(32)) | (v0 >> np.uint64(32))
    v2 += v3
    v3 = (v3 << np.uint64(16)) | (v3 >> np.uint64(48))
    v3 ^= v2
    v0 += v3
    v3 = (v3 << np.uint64(21)) | (v3 >> np.uint64(43))
    v3 ^= v0
    v2 += v1
    v1 = (v1 << np.uint64(17)) | (v1 >> np.uint64(47))
    v1 ^= v2
    v2 = (v2 << np.uint64(32)) | (v2 >> np.uint64(32))
    return v0, v1, v2, v3


@compiled()
def sip_finish(v0: np.uint64, v1: np.uint64, v2: np.uint64, v3: np.uint64) -> np.uint64:
    """The four finishing rounds."""
    v2 ^= np.uint64(0xFF)
    for _ in range(4):
        v0, v1, v2, v3 = sip_round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3


@compiled()
def siphash_words(words: U64, count: int, k0: np.uint64, k1: np.uint64) -> np.uint64:
    """SipHash-2-4 of the little-endian bytes of `words[:count]`; compiled, callable from other kernels."""
    v0 = k0 ^ np.uint64(0x736F6D6570736575)
    v1 = k1 ^ np.uint64(0x646F72616E646F6D)
    v2 = k0 ^ np.uint64(0x6C7967656E657261)
    v3 = k1 ^ np.uint64(0x7465646279746573)
    for i in range(count + 1):
        m = words[i] if i < count else np.uint64((8 * count) & 0xFF) << np.uint64(56)
        v3 ^= m
        v0, v1, v2, v3 = sip_round(v0, v1, v2, v3)
        v0, v1, v2, v3 = sip_round(v0, v1, v2, v3)
        v0 ^= m
    return sip_finish(v0, v1, v2, v3)


def hash_numbers(count: int, key: bytes) -> U64:
    """SipHash-2-4 of the numbers from 0 to `count` - 1, as 8 bytes each, with a 16-byte key. Returns uint64[count]."""
    k0, k1 = key_words(key)
    return np.array([siphash_words(np.array([i], np.uint64), 1, k0, k1) for i in range(count)], np.uint64)


@compiled()
def stir(x: np.uint64) -> np.uint64:
    """A bijection of 64 bits in which every input bit reaches every output bit (the finaliser of MurmurHash3)."""
    x ^= x >> np.uint64(33)
    x *= np.uint64(0xFF51AFD7ED558CCD)
    x ^= x >> np.uint64(33)
    x *= np.uint64(0xC4CEB9FE1A85EC53)
    return x ^ (x >> np.uint64(33))


@compiled(nogil=True)
def _hash_rows(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    valid: npt.NDArray[np.bool_],
    k0: np.uint64,
    k1: np.uint64,
) -> U64:
    rows = len(valid)
    out = np.zeros(rows, np.uint64)
    for row in range(rows):
        if valid[row]:
            value = siphash(data, offsets[row], offsets[row + 1], k0, k1)
            # 0 means "no value" everywhere, so the one input in 2^64 that hashes to it is moved to 1.
            out[row] = value if value != np.uint64(0) else np.uint64(1)
    return out


def keyed_hash(values: pa.Array | pa.ChunkedArray, key: bytes) -> U64:
    """Hash every value of a text or binary column with SipHash-2-4; a null gives 0, a value never does.

    values: string, large_string, string_view, binary or dictionary column of N rows. key: 16 bytes. Returns uint64[N].
    Raises ValueError for a key of another length and TypeError for a column that is not text.

    >>> [hex(h) for h in keyed_hash(pa.array([bytes(range(15)), None]), bytes(range(16))).tolist()]
    ['0xa129ca6149be45e5', '0x0']
    """
    k0, k1 = key_words(key)
    if isinstance(values, pa.ChunkedArray):
        if values.num_chunks != 1:
            parts = [keyed_hash(chunk, key) for chunk in values.chunks]
            return np.concatenate(parts) if parts else np.zeros(0, np.uint64)
        values = values.chunk(0)
    if pa.types.is_dictionary(values.type):
        distinct = keyed_hash(values.dictionary, key)
        codes = values.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False)
        hashes: U64 = np.append(distinct, np.uint64(0))[codes]
        return hashes
    return _hash_rows(*text_buffers(values), k0, k1)


def mix(*hashes: U64) -> U64:
    """Combine columns of hashes into one; the order matters; 0 only if every part is 0.

    hashes: one or more uint64[N]. Returns uint64[N]. For hashes that are already keyed: mixing adds no secrecy.

    >>> a, b = np.array([1, 0], np.uint64), np.array([2, 0], np.uint64)
    >>> bool(mix(a, b)[0] != mix(b, a)[0]), int(mix(a, b)[1])
    (True, 0)
    """
    if not hashes:
        raise ValueError("mix needs at least one column")
    total = np.zeros_like(hashes[0], dtype=np.uint64)
    present = np.zeros(total.shape, np.bool_)
    for column in hashes:
        total = stir_all((total * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)) ^ column)
        present |= column != 0
    return np.where(present, np.maximum(total, np.uint64(1)), np.uint64(0))


def stir_all(x: U64) -> U64:
    """`stir` over a whole array."""
    x = x ^ (x >> np.uint64(33))
    x = x * np.uint64(0xFF51AFD7ED558CCD)
    x = x ^ (x >> np.uint64(33))
    x = x * np.uint64(0xC4CEB9FE1A85EC53)
    return x ^ (x >> np.uint64(33))
