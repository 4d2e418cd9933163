"""The Merkle tree of RFC 9162: hashes, roots, and proofs that an entry is in a log and that a log only grew.

Leaves and nodes are hashed with different first bytes, so that neither can pass for the other (section 2.1.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

HASH_BYTES = 32


def leaf_hash(entry: bytes) -> bytes:
    """Hash of one entry."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of two neighbouring subtrees."""
    return sha256(b"\x01" + left + right).digest()


class Frontier(NamedTuple):
    """What it takes to add leaves and to know the root, without the leaves: the roots of the full subtrees.

    size: number of leaves. peaks: one hash per full subtree, the largest first; as many as `size` has binary ones.

    >>> Frontier().grown([leaf_hash(b"")]).root().hex()[:16]
    '6e340b9cffb37a98'
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def grown(self, leaves: Iterable[bytes]) -> Frontier:
        """With these leaf hashes added at the end."""
        size, peaks = self.size, list(self.peaks)
        for leaf in leaves:
            merged, left = leaf, size
            while left & 1:
                merged, left = node_hash(peaks.pop(), merged), left >> 1
            peaks.append(merged)
            size += 1
        return Frontier(size, tuple(peaks))

    @property
    def text(self) -> str:
        """Its peaks in hex."""
        return " ".join(peak.hex() for peak in self.peaks)

    def root(self) -> bytes:
        """The Merkle tree hash."""
        if not self.peaks:
            return sha256(b"").digest()
        found = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            found = node_hash(peak, found)
        return found


def root(leaves: Sequence[bytes]) -> bytes:
    """The Merkle tree hash of leaf hashes."""
    return Frontier().grown(leaves).root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes that lead from one leaf to the root, nearest first (section 2.1.3.1). Raises IndexError."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"there is no leaf {index} of {len(leaves)}")
    if len(leaves) == 1:
        return []
    half = _half(len(leaves))
    if index < half:
        return [*inclusion_proof(leaves[:half], index), root(leaves[half:])]
    return [*inclusion_proof(leaves[half:], index - half), root(leaves[:half])]


def consistency_proof(leaves: Sequence[bytes], size: int) -> list[bytes]:
    """The hashes that show that the first `size` leaves were not changed (section 2.1.4.1). Raises IndexError."""
    if not 0 < size <= len(leaves):
        raise IndexError(f"a log of {len(leaves)} entries had no {size}")
    return _consistency(leaves, size, True)


def includes(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether a proof leads from the leaf hash at `index` to the root of a log of `size` (section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(step, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, step)
        place, last = place >> 1, last >> 1
    return last == 0 and found == root


def is_consistent(size: int, root: bytes, later: int, later_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether a proof shows that a log of `size` with this root grew to `later` with that root (section 2.1.4.2)."""
    if size == later:
        return not proof and root == later_root
    if not 0 < size < later or not proof:
        return False
    steps = [root, *proof] if size & (size - 1) == 0 else list(proof)
    place, last = size - 1, later - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new = node_hash(new, step)
        place, last = place >> 1, last >> 1
    return last == 0 and old == root and new == later_root


def _half(size: int) -> int:
    """The largest power of two below a size of 2 or more."""
    return 1 << (size - 1).bit_length() - 1


def _consistency(leaves: Sequence[bytes], size: int, whole: bool) -> list[bytes]:
    if size == len(leaves):
        return [] if whole else [root(leaves)]
    half = _half(len(leaves))
    if size <= half:
        return [*_consistency(leaves[:half], size, whole), root(leaves[half:])]
    return [*_consistency(leaves[half:], size - half, False), root(leaves[:half])]
