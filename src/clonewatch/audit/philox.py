"""Philox4x32-10 over whole columns: the counter-based generator with which serving stacks draw watermarks.

Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. The first mapping is
the one vLLM documents as `philox4x32-10-v1`, in both forms that it has had under that name: four neighbouring tokens
to a block, and earlier one token to a block. The second is the additive one (`lefthash`) of its Bernoulli watermark.
Kernels are compiled on first use and cached on disk.
"""

import numpy as np
import numpy.typing as npt

from clonewatch.kernels.compiling import compiled

U64 = npt.NDArray[np.uint64]
F64 = npt.NDArray[np.float64]

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
# What separates absorbing a window from drawing a token, in vLLM's mapping.
_CONTEXT, _TOKEN = np.uint64(0x574D4358), np.uint64(0x574D544B)
_ZERO, _TWO, _THREE, _EIGHT = np.uint64(0), np.uint64(2), np.uint64(3), np.uint64(8)
_31_BITS = np.uint64(0x7FFFFFFF)


@compiled()
def philox(
    c0: np.uint64, c1: np.uint64, c2: np.uint64, c3: np.uint64, k0: np.uint64, k1: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """Ten rounds of Philox4x32 on one counter; every word is below 2**32."""
    for _ in range(10):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ k0, p1 & _LOW, (p0 >> _HALF) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return c0, c1, c2, c3


@compiled()
def _word(token: np.uint64, c1: np.uint64, c2: np.uint64, c3: np.uint64, k0: np.uint64, k1: np.uint64) -> np.uint64:
    """One of the four words of the block that a token falls into: four neighbouring tokens share a block."""
    words = philox(token >> _TWO, c1, c2, c3, k0, k1)
    place = token & _THREE
    if place == _ZERO:
        return words[0]
    if place == _TWO:
        return words[2]
    return words[3] if place == _THREE else words[1]


@compiled(nogil=True)
def vllm_uniform(context: U64, token: U64, key: np.uint64, shared: bool) -> F64:
    """The draws of `philox4x32-10-v1`: context uint64[N, C], token uint64[N], all below 2**32; float64[N].

    shared: whether four neighbouring tokens share a block.
    """
    rows, width = context.shape
    k0, k1 = key & _LOW, key >> _HALF
    out = np.empty(rows, np.float64)
    block = np.empty(4, np.uint64)
    for row in range(rows):
        s0, s1, s2, s3 = _CONTEXT, np.uint64(width), _ZERO, _ZERO
        for offset in range(0, width, 4):
            for i in range(4):
                block[i] = context[row, offset + i] if offset + i < width else _LOW - np.uint64(i)
            s0, s1, s2, s3 = philox(
                s0 ^ block[0], s1 ^ block[1], s2 ^ block[2], s3 ^ block[3], k0 ^ np.uint64(offset), k1
            )
        if shared:
            word = _word(token[row], s0, s1, s2, k0 ^ s3, k1 ^ _TOKEN)
        else:
            word = philox(token[row], s0, s1, s2, k0 ^ s3, k1 ^ _TOKEN)[0]
        out[row] = (np.float64(word >> _EIGHT) + 1.0) / 16777217.0  # 2**24 + 1
    return out


@compiled(nogil=True)
def additive_uniform(total: U64, token: U64, key: np.uint64) -> F64:
    """The draws of the additive mapping: total uint64[N], the sum of a window; token uint64[N]; float64[N]."""
    out = np.empty(len(token), np.float64)
    for row in range(len(token)):
        seed = key * total[row]
        word = _word(token[row], _ZERO, _ZERO, _ZERO, seed & _LOW, seed >> _HALF)
        out[row] = (np.float64(word & _31_BITS) + 0.5) / 2147483648.0  # 2**31
    return out
