"""Keyed functions of the audit: published vectors, uniform numbers, inputs that tell draws apart, imported keys."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest

from clonewatch.audit import prf, stats
from clonewatch.audit.blake2 import keyed_digests
from clonewatch.audit.philox import philox
from clonewatch.model.errors import InputError

# Text that vLLM's own tests watermark with key 42 and a window of 4.
PUBLISHED = np.array([
    85, 56, 123, 77, 105, 62, 9, 104, 16, 98, 123, 22, 16, 35, 47, 127, 77, 67, 19, 2, 10, 8, 75, 22, 127, 30,
    95, 9, 101, 14, 113, 122, 85, 66, 122, 50, 38, 119, 15, 58, 68, 62, 24, 126, 80, 126, 68, 83, 81, 126, 62, 31,
    18, 81, 64, 47, 22, 70, 47, 109, 54, 21, 65, 38,
])  # fmt: skip
EVERY = [prf.VllmPhilox(77, 2), prf.VllmAdditive(77, 2), prf.Blake2(bytes(range(32)), 2)]


def windows(tokens: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    return np.stack([tokens[i : len(tokens) - width + i] for i in range(width)], 1), tokens[width:]


@pytest.mark.parametrize(("key", "low", "high"), [(42, 4.5e-70, 4.7e-70), (43, 0.92, 0.94)])
def test_the_sequence_that_vllm_published_is_detected_by_its_key_alone(key: int, low: float, high: float) -> None:
    u = prf.VllmPhilox(key, 4).uniform(*windows(PUBLISHED, 4))
    assert low < 10 ** stats.gamma_tail(float(-np.log1p(-u).sum()), len(u)) < high


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_known_answers_of_its_authors(
    counter: tuple[int, ...], key: tuple[int, ...], words: tuple[int, ...]
) -> None:
    assert tuple(int(w) for w in philox(*map(np.uint64, (*counter, *key)))) == words


def test_many_blake2_digests_are_those_of_the_standard_library() -> None:
    draw = np.random.default_rng(0)
    for width in (1, 2, 5, 31, 32):
        ids = draw.integers(0, 2**32, (20, width)).astype(np.uint64)
        for size in (1, 16, 64):
            key = draw.bytes(size)
            told = [
                hashlib.blake2b(
                    row.astype("<u4").tobytes(), digest_size=8, key=key, person=b"0123456789abcdef"
                ).digest()
                for row in ids
            ]
            expected = [int.from_bytes(digest, "little") for digest in told]
            assert keyed_digests(ids, key, b"0123456789abcdef").tolist() == expected


@pytest.mark.parametrize("keyed", EVERY, ids=lambda p: p.name)
def test_the_numbers_are_uniform_over_tokens_and_over_keys(keyed: prf.Prf) -> None:
    draw = np.random.default_rng(1)
    u = keyed.uniform(draw.integers(0, 50_000, (4000, 2)), draw.integers(0, 50_000, 4000))
    assert kstest(u, "uniform").pvalue > 1e-3 and 0 < u.min() and u.max() < 1
    one = (np.array([[5, 9]]), np.array([7]))
    over_keys = [float(keyed.decoy(i).uniform(*one)[0]) for i in range(2000)]
    assert kstest(over_keys, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("keyed", EVERY, ids=lambda p: p.name)
def test_equal_inputs_are_equal_numbers_and_other_inputs_are_not(keyed: prf.Prf) -> None:
    draw = np.random.default_rng(2)
    context, token = draw.integers(0, 12, (3000, 2)), draw.integers(0, 12, 3000)
    u, inputs = keyed.uniform(context, token), keyed.inputs(context, token)
    groups = {}
    for one, number in zip(inputs.tolist(), u.tolist(), strict=True):
        groups.setdefault(one, set()).add(number)
    assert all(len(numbers) == 1 for numbers in groups.values())
    assert len({next(iter(n)) for n in groups.values()}) == len(groups)


def test_the_order_of_a_window_counts_but_not_for_the_additive_function() -> None:
    one, other, token = np.array([[3, 8]]), np.array([[8, 3]]), np.array([1])
    assert prf.VllmPhilox(1, 2).inputs(one, token) != prf.VllmPhilox(1, 2).inputs(other, token)
    assert prf.VllmAdditive(1, 2).inputs(one, token) == prf.VllmAdditive(1, 2).inputs(other, token)
    assert prf.VllmAdditive(1, 2).uniform(one, token) == prf.VllmAdditive(1, 2).uniform(other, token)


@pytest.mark.parametrize("keyed", EVERY, ids=lambda p: p.name)
def test_a_decoy_is_the_same_for_whoever_checks_and_like_no_other(keyed: prf.Prf) -> None:
    context, token = windows(np.arange(50), 2)
    first = keyed.decoy(3).uniform(context, token)
    assert (first == keyed.decoy(3).uniform(context, token)).all()
    assert not np.isclose(first, keyed.decoy(4).uniform(context, token)).any()
    assert not np.isclose(first, keyed.uniform(context, token)).any()


@pytest.mark.parametrize("keyed", EVERY, ids=lambda p: p.name)
def test_ids_that_are_none_are_refused(keyed: prf.Prf) -> None:
    for bad in (-1, 2**32):
        with pytest.raises(InputError, match="token id"):
            keyed.uniform(np.array([[1, bad]]), np.array([1]))
    with pytest.raises(ValueError, match="width of 2"):
        keyed.uniform(np.array([[1, 2, 3]]), np.array([1]))


@pytest.mark.parametrize(
    ("config", "name", "rule", "gamma", "width"),
    [
        ({"algorithm": "gumbel", "key": 42}, "philox4x32-10-v1", "gumbel", 0.5, 4),
        ({"algorithm": "dual_key_gumbel", "key": 42, "context_width": 2}, "philox4x32-10-v1", "gumbel", 0.5, 2),
        ({"algorithm": "red_green", "key": 1, "gamma": 0.3}, "philox4x32-10-v1", "kgw", 0.3, 4),
        ({"algorithm": "sbw", "key": 1, "sbw_scheme": "lefthash"}, "sbw-lefthash", "kgw", 0.5, 1),
    ],
)
def test_a_watermark_is_read_from_the_configuration_it_is_served_with(
    tmp_path: Path, config: dict[str, object], name: str, rule: str, gamma: float, width: int
) -> None:
    file = tmp_path / "watermark.json"
    file.write_text(json.dumps(config))
    told = prf.read_vllm(file)
    assert (told.prf.name, told.rule, told.gamma, told.prf.width) == (name, rule, gamma, width)


def test_the_first_of_two_keys_is_derived_as_vllm_derives_it() -> None:
    derived = int.from_bytes(hashlib.sha256(b"key_a" + (42).to_bytes(8, "big")).digest()[:8], "big")
    one = prf.vllm_watermark({"algorithm": "dual_key_gumbel", "key": 42}).prf
    context, token = windows(PUBLISHED, 4)
    assert (one.uniform(context, token) == prf.VllmPhilox(derived, 4).uniform(context, token)).all()


@pytest.mark.parametrize(
    "config",
    [
        [],
        {},
        {"key": "secret-5577"},
        {"key": True},
        {"key": -5577},
        {"key": 2**64 + 5577},
        {"key": 5577, "prf": "md5"},
        {"key": 5577, "context_width": 0},
        {"key": 5577, "algorithm": "sbw"},
        {"key": 5577, "algorithm": "synthid"},
        {"key": 5577, "algorithm": "red_green", "gamma": 1.5},
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused_and_its_key_not_shown(tmp_path: Path, config: object) -> None:
    file = tmp_path / "watermark.json"
    file.write_text(json.dumps(config))
    with pytest.raises(InputError) as told:
        prf.read_vllm(file)
    assert "5577" not in str(told.value)


def test_a_configuration_that_is_no_json_is_refused_without_a_word_of_it(tmp_path: Path) -> None:
    file = tmp_path / "watermark.json"
    file.write_text('{"key": 5577')
    with pytest.raises(InputError, match="not JSON") as told:
        prf.read_vllm(file)
    assert "5577" not in str(told.value)


@pytest.mark.parametrize("secret", [b"", b"short", bytes(65)])
def test_a_secret_of_the_wrong_size_is_refused(secret: bytes) -> None:
    with pytest.raises(InputError, match="16 to 64 bytes"):
        prf.Blake2(secret)
