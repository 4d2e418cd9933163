"""Keyed hashing and addresses."""

import ipaddress

import numpy as np
import pyarrow as pa
import pytest

from clonewatch.kernels.addresses import prefixes
from clonewatch.kernels.hashing import key_words, keyed_hash, mix, siphash_words

# First 16 of the SipHash-2-4 test vectors (key 00..0f, message 00..i-1) of the authors' reference implementation.
VECTORS = [
    "310e0edd47db6f72",
    "fd67dc93c539f874",
    "5a4fa9d909806c0d",
    "2d7efbd796666785",
    "b7877127e09427cf",
    "8da699cd64557618",
    "cee3fe586e46c9cb",
    "37d1018bf50002ab",
    "6224939a79f5f593",
    "b0e4a90bdf82009e",
    "f3b9dd94c5bb5d7a",
    "a7ad6b22462fb3f4",
    "fbe50e86bc8f1e75",
    "903d84c02756ea14",
    "eef27a8e90ca23f7",
    "e545be4961ca29a1",
]
KEY = bytes(range(16))


@pytest.mark.parametrize("length", range(16))
def test_siphash_gives_the_published_vectors(length: int) -> None:
    got = keyed_hash(pa.array([bytes(range(length))], pa.binary()), KEY)
    assert got[0].tobytes().hex() == VECTORS[length]


def test_words_hash_like_their_bytes() -> None:
    words = np.arange(7, dtype=np.uint64)
    as_bytes = keyed_hash(pa.array([words.tobytes()], pa.binary()), KEY)[0]
    assert siphash_words(words, 7, *key_words(KEY)) == as_bytes


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.binary(),
        pa.large_binary(),
        pa.string_view(),
        pa.dictionary(pa.int32(), pa.string()),
    ],
    ids=str,
)
def test_the_type_of_the_column_does_not_matter(kind: pa.DataType) -> None:
    plain = pa.array(["a", None, "", "ünï", "a"])
    column = plain.dictionary_encode() if pa.types.is_dictionary(kind) else plain.cast(kind)
    assert keyed_hash(column, KEY).tolist() == keyed_hash(plain, KEY).tolist()
    assert keyed_hash(column.slice(2), KEY).tolist() == keyed_hash(plain, KEY)[2:].tolist()


def test_chunks_hash_like_one_array() -> None:
    whole = keyed_hash(pa.array(["a", "b", None]), KEY)
    assert keyed_hash(pa.chunked_array([["a"], ["b", None]]), KEY).tolist() == whole.tolist()
    assert len(keyed_hash(pa.chunked_array([], pa.string()), KEY)) == 0


def test_null_is_zero_and_a_value_is_not() -> None:
    hashes = keyed_hash(pa.array([None, "", "x"]), KEY)
    assert hashes[0] == 0 and (hashes[1:] != 0).all()
    assert keyed_hash(pa.nulls(2), KEY).tolist() == [0, 0]


def test_another_key_gives_other_hashes() -> None:
    column = pa.array(["a", "b"])
    assert (keyed_hash(column, KEY) != keyed_hash(column, bytes(16))).all()


def test_a_key_of_the_wrong_length_and_a_column_of_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        keyed_hash(pa.array(["a"]), b"short")
    with pytest.raises(TypeError, match="text column"):
        keyed_hash(pa.array([1]), KEY)


def test_mixing_depends_on_order_and_keeps_nothing_as_nothing() -> None:
    a, b = np.array([1, 0, 5], np.uint64), np.array([2, 0, 0], np.uint64)
    assert mix(a, b)[0] != mix(b, a)[0]
    assert mix(a, b)[1] == 0 and mix(a, b)[2] != 0
    with pytest.raises(ValueError, match="at least one"):
        mix()


def test_neighbours_share_a_block_and_unrelated_addresses_do_not() -> None:
    ips = ["8.8.8.8", "8.8.8.200", "8.8.9.8", "2606:4700:1::1", "2606:4700:1:ffff::2", "2606:4700:2::1"]
    address, block = prefixes(pa.array(ips), KEY)
    assert len(set(address.tolist())) == 6
    assert block[0] == block[1] != block[2]
    assert block[3] == block[4] != block[5]


@pytest.mark.parametrize(
    "ip",
    ["127.0.0.1", "0.0.0.0", "169.254.1.1", "::1", "::", "fe80::1%eth0", "224.0.0.1", "", "  "],  # noqa: S104
)
def test_an_address_that_identifies_no_host_links_nobody(ip: str) -> None:
    address, block = prefixes(pa.array([ip, None]), KEY)
    assert address.tolist() == [0, 0] and block.tolist() == [0, 0]


def test_one_address_has_one_hash_however_it_is_written() -> None:
    spellings = ["8.8.8.8", " 8.8.8.8 ", "::ffff:8.8.8.8", "::FFFF:0808:0808"]
    address, block = prefixes(pa.array(spellings), KEY)
    assert len(set(address.tolist())) == 1 and len(set(block.tolist())) == 1
    long = ipaddress.ip_address("2606:4700::1").exploded
    assert len(set(prefixes(pa.array(["2606:4700::1", long, "[2606:4700::1]"]), KEY)[0].tolist())) == 1


def test_an_opaque_address_has_no_block() -> None:
    address, block = prefixes(pa.array(["3f9ac1", "3f9ac1", "77aa01"]), KEY)
    assert address[0] == address[1] != address[2] and address.all()
    assert not block.any()


def test_dictionary_columns_of_addresses_work() -> None:
    plain = pa.array(["8.8.8.8", None, "8.8.8.8"])
    for left, right in zip(prefixes(plain, KEY), prefixes(plain.dictionary_encode(), KEY), strict=True):
        assert left.tolist() == right.tolist()
