"""Template signatures: sketches of families of templates under a group's key, as docs/reference has them."""

from __future__ import annotations

import numpy as np

from clonewatch.kernels.sketching import Sketches, SketchKey, deciphered, enciphered, resemblance, shingles
from clonewatch.model.errors import SetupError
from clonewatch.model.schema import SKETCH_SIZE
from clonewatch.sharing.epoch_key import EpochKey
from clonewatch.sharing.indicators import KINDS

PREFIX = "cwt1"
# Fewer different shingles are so short a text that somebody could be in it, and it could be guessed.
FEWEST_SHINGLES = 16
# Estimated Jaccard similarity from which two templates are one family, as in `fingerprints/families.py`.
SAME = 0.5


def signature(sketch: Sketches, own: SketchKey, group: EpochKey) -> str:
    """A sketch under one's own key as a signature for a group: no text is needed. sketch: uint32[64].

    Raises SetupError for the sketch of a text that is too short.

    >>> own, group = EpochKey(bytes(32)), EpochKey(bytes(31) + b"a")
    >>> minima = np.arange(64, dtype=np.uint32)[None]
    >>> held = signature(enciphered(minima, own.sketches())[0], own.sketches(), group)
    >>> bool((sketch_of(held, group, own.sketches()) == enciphered(minima, own.sketches())[0]).all())
    True
    """
    minima = deciphered(sketch, own)
    if (count := shingles(minima[0], own)) < FEWEST_SHINGLES:
        raise SetupError(
            f"this template has {count} different shingles, and {FEWEST_SHINGLES} is the least that is told",
            fix="Leave it out: a text this short can be guessed",
        )
    words = enciphered(minima, group.sketches())[0]
    return f"{PREFIX}:{group.name}:{words.astype('>u4').tobytes().hex()}"


def key_name(value: str) -> str:
    """The name of the group's key that a signature was made with. Raises SetupError for what is no signature."""
    if not KINDS["template_family"].form.fullmatch(value):
        raise SetupError("this is no template signature", where=value[:40])
    return value.split(":")[1]


def sketch_of(value: str, group: EpochKey, own: SketchKey) -> Sketches:
    """A signature as a sketch under one's own key, uint32[64], to compare with one's own. Raises SetupError."""
    if key_name(value) != group.name:
        raise SetupError("this signature was made with another key of the group", where=key_name(value))
    words: Sketches = np.frombuffer(bytes.fromhex(value.split(":")[2]), ">u4").astype(np.uint32)
    assert len(words) == SKETCH_SIZE  # noqa: S101 - the form says so
    found: Sketches = enciphered(deciphered(words, group.sketches()), own)[0]
    return found


def alike(sketches: Sketches, other: Sketches) -> np.ndarray:
    """Which sketches, uint32[N, 64], are of the family of another one, uint32[64], under the same key: bool[N]."""
    same: np.ndarray = resemblance(sketches, other) >= SAME
    return same
