"""Pseudo-random functions of (window, token): the keyed functions of watermarks, recomputed for the audit.

Any object with the methods of `Prf` works; SynthID and the vocabulary permutations of HF-KGW fit the same shape (a
permutation's place over its size is a uniform number) and have no adapter here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from clonewatch.audit import blake2, philox
from clonewatch.audit.json_text import parsed
from clonewatch.kernels.hashing import stir_all
from clonewatch.model.errors import InputError
from clonewatch.model.secret_files import read_secret

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
F64 = npt.NDArray[np.float64]
Rule = Literal["gumbel", "kgw"]

_PERSON = b"clonewatch.prf.1"
_MOST_ID = 2**32 - 1
# The widest window that vLLM accepts.
_WIDEST = 16
# The additive mapping multiplies the key by a sum of ids modulo 2**64: a key divisible by this loses half of its bits.
_LOST_BITS = 2**32


@runtime_checkable
class Prf(Protocol):
    """A secret key and the uniform number that it assigns to every (window, token)."""

    @property
    def name(self) -> str:
        """The published name of the mapping."""
        ...

    @property
    def width(self) -> int:
        """Tokens in a window."""
        ...

    def uniform(self, context: I64, token: I64) -> F64:
        """The numbers in (0, 1). context: int64[N, width], the window, oldest first; token: int64[N]; float64[N]."""
        ...

    def inputs(self, context: I64, token: I64) -> U64:
        """The inputs of the function, as one number each: equal numbers are one draw. uint64[N]."""
        ...

    def decoy(self, i: int) -> Self:
        """The same mapping with an independent random key; the same i gives the same key."""
        ...


class VllmPhilox:
    """vLLM's `philox4x32-10-v1`, by the mapping it documents now: four tokens share a block.

    key: 0 to 2**64 - 1, drawn at random.

    >>> prf = VllmPhilox(42, width=4)
    >>> round(float(prf.uniform(np.array([[85, 56, 123, 77]]), np.array([105]))[0]), 4)
    0.9814
    """

    name = "philox4x32-10-v1"
    _shared = True

    def __init__(self, key: int, width: int = 4) -> None:
        _checked(key, width)
        self._key, self.width = key, width

    def uniform(self, context: I64, token: I64) -> F64:
        """See `Prf`."""
        window, drawn = _columns(context, token, self.width)
        told: F64 = philox.vllm_uniform(window, drawn, np.uint64(self._key), self._shared)
        return told

    def inputs(self, context: I64, token: I64) -> U64:
        """See `Prf`."""
        window, drawn = _columns(context, token, self.width)
        return _folded(window, drawn)

    def decoy(self, i: int) -> Self:
        """See `Prf`."""
        return type(self)(_decoy_number(i), self.width)


class VllmPhiloxSingle(VllmPhilox):
    """The other mapping that vLLM published under the name `philox4x32-10-v1`, before: every token has its own block.

    Which one served a text can only be seen in the text, so a plan tries both on it.
    """

    name = "philox4x32-10-v1, one token to a block"
    _shared = False


class VllmAdditive:
    """The `lefthash` seeding of vLLM's stateless Bernoulli watermark: only the sum of a window's ids counts.

    A token is green if its number is below gamma, so this belongs to the rule `kgw`. (a, b) and (b, a) are one draw.
    Checked against known answers of Philox and vLLM's documentation, not against test vectors of vLLM: none were
    published.
    """

    name = "sbw-lefthash"

    def __init__(self, key: int, width: int = 1) -> None:
        _checked(key, width)
        self._key, self.width = key, width

    def uniform(self, context: I64, token: I64) -> F64:
        """See `Prf`."""
        window, drawn = _columns(context, token, self.width)
        told: F64 = philox.additive_uniform(window.sum(1, dtype=np.uint64), drawn, np.uint64(self._key))
        return told

    def inputs(self, context: I64, token: I64) -> U64:
        """See `Prf`."""
        window, drawn = _columns(context, token, self.width)
        return _folded(window.sum(1, keepdims=True, dtype=np.uint64), drawn)

    def decoy(self, i: int) -> VllmAdditive:
        """See `Prf`."""
        return VllmAdditive(_decoy_number(i), self.width)


class Blake2:
    """Our own: keyed BLAKE2b of the window and the token, which anyone can recompute with the standard library.

    The number is (d >> 11 + 1/2) / 2**53, d the 8-byte digest read as a little-endian number, of the ids written as
    4-byte little-endian numbers, the window first, with the personalisation `clonewatch.prf.1`. secret: 16 to 64 bytes.
    """

    name = "clonewatch-blake2b-1"

    def __init__(self, secret: bytes, width: int = 2) -> None:
        if not 16 <= len(secret) <= 64:
            raise InputError(f"a watermark secret has 16 to 64 bytes, not {len(secret)}", fix="Draw 32 random bytes")
        if not 1 <= width < blake2.MOST_IDS:
            raise InputError(f"a window of {width} tokens; it must have 1 to {blake2.MOST_IDS - 1}")
        self._secret, self.width = secret, width

    def uniform(self, context: I64, token: I64) -> F64:
        """See `Prf`."""
        window, drawn = _columns(context, token, self.width)
        digests = blake2.keyed_digests(np.column_stack([window, drawn]), self._secret, _PERSON)
        told: F64 = ((digests >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
        return told

    def inputs(self, context: I64, token: I64) -> U64:
        """See `Prf`."""
        window, drawn = _columns(context, token, self.width)
        return _folded(window, drawn)

    def decoy(self, i: int) -> Blake2:
        """See `Prf`."""
        return Blake2(_decoy_bytes(i), self.width)


class Watermark(NamedTuple):
    """A watermark as it was served: its function, its rule, and for `kgw` the share of green tokens."""

    prf: Prf
    rule: Rule = "gumbel"
    gamma: float = 0.5


def read_vllm(path: Path) -> Watermark:
    """The watermark of a vLLM `--watermark-config`, as a JSON file. Raises an InputError that never shows the key."""
    return vllm_watermark(vllm_config(path), where=str(path))


def vllm_config(path: Path) -> dict[str, object]:
    """A vLLM `--watermark-config`, as a JSON file. Raises an InputError or KeyFileError that never shows the key."""
    data = read_secret(path, "the watermark configuration", private=False, fix="Name the file of --watermark-config")
    try:
        told = parsed(data)
    except ValueError:
        raise InputError(
            "cannot read the watermark configuration: not JSON, or a key occurs twice in it", where=str(path)
        ) from None
    if not isinstance(told, dict):
        raise InputError("the watermark configuration is not a JSON object", where=str(path))
    return told


def vllm_watermark(config: Mapping[str, object], where: str = "", shared: bool = True) -> Watermark:
    """The watermark that a vLLM configuration describes: gumbel, dual_key_gumbel (its first key), red_green or sbw.

    shared: which of the two mappings named `philox4x32-10-v1`; True for the one that vLLM documents now.

    >>> vllm_watermark({"key": 42}).prf.name
    'philox4x32-10-v1'
    """
    algorithm = config.get("algorithm", "gumbel")
    key, width = config.get("key"), config.get("context_width")
    if isinstance(key, bool) or not isinstance(key, int):
        raise InputError("the watermark configuration has no integer `key`", where=where)
    if not 0 <= key < 2**64:
        raise InputError("the watermark's `key` does not fit in 64 bits", where=where)
    if key % _LOST_BITS == 0:
        raise InputError(
            "the watermark's `key` is 0, or so many of its bits are that it hardly changes what is drawn",
            where=where,
            fix="Draw a key: python -c 'import secrets; print(secrets.randbits(64))'",
        )
    if width is not None and (isinstance(width, bool) or not isinstance(width, int) or not 1 <= width <= _WIDEST):
        raise InputError(f"`context_width` is {width!r}, not a whole number from 1 to {_WIDEST}", where=where)
    if config.get("prf", "philox") != "philox":
        raise InputError(f"`prf` is {config['prf']!r}; only philox can be recomputed", where=where)
    function = VllmPhilox if shared else VllmPhiloxSingle
    if algorithm == "gumbel":
        return Watermark(function(key, width or 4), "gumbel")
    if algorithm == "dual_key_gumbel":
        # Most tokens are drawn with the first key; those of the second are noise here and only cost power.
        first = hashlib.sha256(b"key_a" + key.to_bytes(8, "big")).digest()[:8]
        return Watermark(function(int.from_bytes(first, "big"), width or 4), "gumbel")
    if algorithm == "red_green":
        return Watermark(function(key, width or 4), "kgw", _share(config.get("gamma", 0.25), "gamma", where))
    if algorithm == "sbw" and config.get("sbw_scheme", "selfhash") == "lefthash":
        return Watermark(VllmAdditive(key, width or 1), "kgw", _share(config.get("sbw_gamma", 0.5), "sbw_gamma", where))
    raise InputError(
        f"the watermark {algorithm!r} (or its seeding) cannot be recomputed here",
        where=where,
        fix="gumbel, dual_key_gumbel, red_green, and sbw with the scheme lefthash can",
    )


def _share(told: object, name: str, where: str) -> float:
    if isinstance(told, bool) or not isinstance(told, (int, float)) or not 0 < told < 1:
        raise InputError(f"`{name}` is {told!r}, not a number between 0 and 1", where=where)
    return float(told)


def _checked(key: int, width: int) -> None:
    if not 0 <= key < 2**64:
        raise InputError("a Philox key is a whole number below 2**64")
    if width < 1:
        raise InputError(f"a window of {width} tokens; it must have at least 1")


def _columns(context: I64, token: I64, width: int) -> tuple[U64, U64]:
    """Both as uint64, checked: ids are whole numbers below 2**32."""
    window, drawn = np.asarray(context), np.asarray(token)
    if window.ndim != 2 or window.shape != (len(drawn), width):
        raise ValueError(f"windows of shape {window.shape} for {len(drawn)} tokens and a width of {width}")
    for part in (window, drawn):
        if part.size and (part.min() < 0 or part.max() > _MOST_ID):
            raise InputError("a token id is negative or above 2**32 - 1", fix="Use the ids of your own tokenizer")
    return np.ascontiguousarray(window, np.uint64), np.ascontiguousarray(drawn, np.uint64)


def _folded(window: U64, token: U64) -> U64:
    """One number per row. Two rows that collide are scored as one draw, which only costs a token."""
    total = np.zeros(len(token), np.uint64)
    for column in (*window.T, token):
        total = stir_all(total * np.uint64(0x9E3779B97F4A7C15) + column + np.uint64(1))
    return total


def _decoy_bytes(i: int) -> bytes:
    # Public and fixed: independent of any real secret, and the same for everybody who checks the audit.
    return hashlib.blake2b(i.to_bytes(8, "little"), digest_size=32, person=b"clonewatch.decoy").digest()


def _decoy_number(i: int) -> int:
    return int.from_bytes(_decoy_bytes(i)[:8], "little")
