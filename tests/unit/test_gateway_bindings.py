"""Reasoning signatures bound to where they were issued, and end users for whom somebody vouches."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey

from clonewatch_gateway.end_users import EndUser, Issuer, end_user
from clonewatch_gateway.redeeming import DAY, PARTS, SIZE, Use, context_of, redeemed, seal
from clonewatch_gateway.signatures import spelled

NOW = 1_778_058_000
KEY = bytes(range(32))
USE = Use("api/eu/m-1", "acct-1", "s-1", context_of([b"user", b"hello"]))
OTHER = Use("api/us/m-1", "acct-2", "s-2", context_of([b"user", b"hello!"]))


def test_a_signature_holds_where_it_was_issued_and_says_of_each_part_whether_it_differs() -> None:
    held = seal(USE, NOW, KEY)
    assert redeemed(held, USE, NOW + 60, KEY) == (True, (), 60, True, "holds")
    for part in PARTS:
        elsewhere = USE._replace(**{part: getattr(OTHER, part)})
        found = redeemed(held, elsewhere, NOW, KEY, asked=PARTS)
        assert (found.differs, found.holds, found.reason) == ((part,), False, f"{part}_differs")
    assert redeemed(held, OTHER, NOW, KEY).differs == PARTS


def test_another_session_and_a_cut_context_are_said_and_refused_only_if_that_is_asked() -> None:
    found = redeemed(seal(USE, NOW, KEY), OTHER._replace(scope=USE.scope, account=USE.account), NOW, KEY)
    assert found.holds and found.differs == ("session", "context")
    assert not redeemed(seal(USE, NOW, KEY), OTHER, NOW, KEY, asked=["session"]).holds


def test_a_signature_is_good_for_a_time_and_clocks_may_differ_a_little() -> None:
    held = seal(USE, NOW, KEY)
    assert redeemed(held, USE, NOW + DAY, KEY).holds and redeemed(held, USE, NOW - 300, KEY).holds
    assert redeemed(held, USE, NOW + DAY + 1, KEY).reason == "too_old"
    assert redeemed(held, USE, NOW - 301, KEY).reason == "from_the_future"
    assert redeemed(held, USE, NOW + 61, KEY, most_age=60).reason == "too_old"


@given(st.integers(0, SIZE - 1), st.integers(1, 255))
def test_any_changed_byte_makes_it_none_of_ours(at: int, by: int) -> None:
    held = bytearray(seal(USE, NOW, KEY))
    held[at] ^= by
    assert redeemed(bytes(held), USE, NOW, KEY) == (False, (), 0, False, "not_ours")


@given(st.binary(max_size=2 * SIZE))
def test_whatever_comes_is_none_of_ours(held: bytes) -> None:
    assert not redeemed(held, USE, NOW, KEY).genuine


def test_another_key_knows_nothing_of_it_and_what_cannot_be_is_refused() -> None:
    held = seal(USE, NOW, KEY)
    assert redeemed(held, USE, NOW, bytes(32)).reason == "not_ours"
    # No part of a seal says which account it is: the same one has another hash with another key, and in another place.
    same = seal(Use("x", "x", "x", b"x"), NOW, KEY)
    assert len({same[9 + 8 * n : 17 + 8 * n] for n in range(4)}) == 4
    for wrong in (b"short", bytes(65)):
        with pytest.raises(ValueError, match="the key has"):
            seal(USE, NOW, wrong)
    with pytest.raises(ValueError, match="no time"):
        seal(USE, -1, KEY)
    with pytest.raises(ValueError, match="the parts of a use"):
        redeemed(held, USE, NOW, KEY, asked=["device"])


MINE, THEIRS = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
ACME = Issuer("acme", (spelled(MINE.public_key().public_bytes_raw()),))
HOLDS = {"iss": "acme", "sub": "user-17", "aud": "api.example.com", "exp": NOW + 300}


def signed(claims: dict[str, Any], key: Ed25519PrivateKey = MINE, algorithm: str = "Ed25519") -> str:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return jwt.encode({"alg": algorithm}, claims, OKPKey.import_key(pem), algorithms=[algorithm])


def asserted(assertion: str, issuers: tuple[Issuer, ...] = (ACME,), claimed: str = "user-1") -> EndUser:
    return end_user(assertion, claimed, issuers, "api.example.com", NOW)


def test_a_signed_assertion_counts_and_without_one_it_is_a_claim() -> None:
    assert asserted(signed(HOLDS)) == ("user-17", "signed", "")
    assert asserted(signed({**HOLDS, "aud": ["x", "api.example.com"], "nbf": NOW}))[:2] == ("user-17", "signed")
    assert asserted(signed(HOLDS, algorithm="EdDSA")).provenance == "signed", "the older name"
    assert asserted("") == ("user-1", "claimed", "")
    assert asserted("", claimed="a\nb").id == "" == asserted("", claimed="x" * 201).id


def test_while_keys_change_both_count() -> None:
    both = Issuer("acme", (spelled(THEIRS.public_key().public_bytes_raw()), *ACME.keys))
    assert (
        asserted(signed(HOLDS), (both,)).provenance == asserted(signed(HOLDS, THEIRS), (both,)).provenance == "signed"
    )


@pytest.mark.parametrize(
    ("claims", "problem"),
    [
        ({"iss": "other"}, "unknown_issuer"),
        ({"sub": ""}, "no_subject"),
        ({"sub": 7}, "no_subject"),
        ({"sub": "a\nb"}, "no_subject"),
        ({"aud": "elsewhere"}, "other_audience"),
        ({"aud": None}, "other_audience"),
        ({"exp": None}, "no_end"),
        ({"exp": True}, "no_end"),
        ({"nbf": "soon"}, "no_end"),
        ({"exp": NOW - 61}, "expired"),
        ({"nbf": NOW + 61}, "not_yet"),
        ({"exp": NOW + 86_400}, "too_long_lived"),
    ],
    ids=str,
)
def test_an_assertion_that_does_not_hold_is_a_claim_and_says_why(claims: dict[str, Any], problem: str) -> None:
    assert asserted(signed(HOLDS | claims)) == ("user-1", "claimed", problem)


def test_what_others_signed_or_nobody_did_is_a_claim() -> None:
    assert asserted(signed(HOLDS, THEIRS)).problem == "bad_signature"
    assert asserted(signed(HOLDS), ()).problem == "unknown_issuer", "another customer's account vouches for nobody"
    # The public key as the secret of another algorithm, and no algorithm at all.
    confused = jwt.encode({"alg": "HS256"}, HOLDS, OctKey.import_key(MINE.public_key().public_bytes_raw()))
    head, body, _ = signed(HOLDS).split(".")
    for odd in (confused, f"eyJhbGciOiJub25lIn0.{body}.", f"{head}.{body}", "a.b.c", "...", "é", "[" * 4_000):
        found = asserted(odd)
        assert found[:2] == ("user-1", "claimed") and found.problem in ("malformed", "bad_signature"), odd
    assert asserted("x" * 5_000).problem == "too_long"


@given(st.text(max_size=300))
def test_whatever_stands_for_an_assertion_refuses_nobody(text: str) -> None:
    assert asserted(text).provenance == "claimed"


def test_the_clock_that_counts_is_the_one_that_is_given() -> None:
    now = time.time()
    fresh = signed({**HOLDS, "exp": int(now) + 60})
    assert end_user(fresh, "", (ACME,), "api.example.com", now).provenance == "signed"
    assert end_user(fresh, "", (ACME,), "api.example.com", now + 200).problem == "expired"


def test_the_page_on_it_says_what_is_so() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "using" / "redeeming.md").read_text(encoding="utf-8")
    first, second, third = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    known: dict[str, Any] = {"key": KEY, "assertion": "", "claimed": "user-1", "time": time}
    exec(first + second + third.replace('("ed25519:...",)', "()"), known)  # noqa: S102
    assert known["found"] == ("user-1", "claimed", "")
