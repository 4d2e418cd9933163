"""The Merkle tree against RFC 9162 written out naively, and against the vectors that logs publish."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clonewatch.cases.merkle import (
    Frontier,
    consistency_proof,
    includes,
    inclusion_proof,
    is_consistent,
    leaf_hash,
    root,
)

# Entries and roots of the tests of Certificate Transparency (RFC 6962), whose tree RFC 9162 keeps.
ENTRIES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
SIZES = st.integers(1, 40)


def tree_hash(entries: list[bytes]) -> bytes:
    """MTH of section 2.1.1, as it is written there."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = max(2**i for i in range(10) if 2**i < len(entries))
    return sha256(b"\x01" + tree_hash(entries[:k]) + tree_hash(entries[k:])).digest()


def log(size: int) -> tuple[list[bytes], list[bytes]]:
    entries = [b"entry %d" % i for i in range(size)]
    return entries, [leaf_hash(entry) for entry in entries]


@pytest.mark.parametrize("size", range(len(ROOTS)))
def test_roots_are_those_that_logs_publish(size: int) -> None:
    entries = [bytes.fromhex(entry) for entry in ENTRIES[:size]]
    assert root([leaf_hash(entry) for entry in entries]).hex() == ROOTS[size] == tree_hash(entries).hex()


@given(SIZES, st.data())
@settings(max_examples=60, deadline=None)
def test_a_log_that_grows_in_steps_has_the_root_of_one_that_is_built_at_once(size: int, data: st.DataObject) -> None:
    entries, leaves = log(size)
    cut = data.draw(st.integers(0, size))
    grown = Frontier().grown(leaves[:cut]).grown(leaves[cut:])
    assert grown.root() == tree_hash(entries) and grown.size == size
    assert len(grown.peaks) == size.bit_count()


@given(SIZES, st.data())
@settings(max_examples=60, deadline=None)
def test_every_entry_is_proved_and_nothing_else_is(size: int, data: st.DataObject) -> None:
    entries, leaves = log(size)
    index, whole = data.draw(st.integers(0, size - 1)), tree_hash(entries)
    proof = inclusion_proof(leaves, index)
    assert includes(leaves[index], index, size, proof, whole)
    assert not includes(leaf_hash(b"another"), index, size, proof, whole)
    assert not includes(leaves[index], index, size, [*proof, leaves[0]], whole)
    if proof:
        assert not includes(leaves[index], index, size, proof[:-1], whole)
        assert not includes(leaves[index], index ^ 1, size, proof, whole)
        bad = data.draw(st.integers(0, len(proof) - 1))
        flipped = [bytes([p[0] ^ 1]) + p[1:] if i == bad else p for i, p in enumerate(proof)]
        assert not includes(leaves[index], index, size, flipped, whole)


@given(SIZES, st.data())
@settings(max_examples=60, deadline=None)
def test_a_log_that_only_grew_is_proved_and_one_that_was_changed_is_not(size: int, data: st.DataObject) -> None:
    entries, leaves = log(size)
    before = data.draw(st.integers(1, size))
    proof, old, new = consistency_proof(leaves, before), tree_hash(entries[:before]), tree_hash(entries)
    assert is_consistent(before, old, size, new, proof)
    changed = data.draw(st.integers(0, before - 1))
    other = [leaf_hash(b"x") if i == changed else leaf for i, leaf in enumerate(leaves)]
    assert not is_consistent(before, old, size, root(other), consistency_proof(other, before))
    assert not is_consistent(before, old, size, new, [*proof, old])
    if before < size:
        assert not is_consistent(before, new, size, new, proof)
        assert not is_consistent(size, new, before, old, proof)


def test_proofs_outside_of_the_log_are_refused() -> None:
    leaves = log(3)[1]
    for ask in (
        lambda: inclusion_proof(leaves, 3),
        lambda: consistency_proof(leaves, 4),
        lambda: inclusion_proof([], 0),
    ):
        with pytest.raises(IndexError):
            ask()
    assert not includes(leaves[0], 3, 3, [], root(leaves))
