"""Whom a customer's request is for: an assertion that the customer signed counts, anything else is a claim.

An assertion is a JWT (RFC 7519) that is signed with Ed25519 by a key of the customer's, such as
`{"iss": "acme", "sub": "user-17", "aud": "api.example.com", "exp": 1778058300}`. A customer vouches for its own end
users alone, so trusted issuers are those of the account that asks. It proves that the customer says so: it is no proof
that there is such a person.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from clonewatch_gateway.signatures import public_key

SIGNED, CLAIMED = "signed", "claimed"
# Seconds that an assertion may hold from now on, and by which clocks may differ; characters.
MOST_LIFE, SKEW = 3_600, 60
MOST_TEXT, MOST_ID = 4_096, 200
_ALGORITHMS = ["Ed25519", "EdDSA"]
_INSTALL = "verifying assertions needs the library. Install the extra: pip install 'clonewatch-gateway[assertions]'"


class NotInstalled(Exception):
    """The library is not installed. The message says what to do."""


class EndUser(NamedTuple):
    """An end user. id: empty where nobody is named. provenance: `signed` or `claimed`, as a log has it.

    problem: a code that says why an assertion that came does not count; empty for none. Tell the customer.
    """

    id: str
    provenance: str
    problem: str = ""


class Issuer(NamedTuple):
    """Who may assert: a customer, by name and public keys, each spelled `ed25519:...`; several while keys change."""

    name: str
    keys: tuple[str, ...]


def end_user(
    assertion: str, claimed: str, issuers: Sequence[Issuer], audience: str, now: float, *, most_life: int = MOST_LIFE
) -> EndUser:
    """Who a request is for. assertion: the JWT of a request; empty for none. claimed: a name without one.

    issuers: of the account that asks. audience: the name of this service. now: seconds since 1970. Whatever is wrong
    with an assertion, the request is not refused for it: it is for whom it claims. Raises ValueError for a key of an
    issuer, NotInstalled.
    """
    if not assertion:
        return EndUser(_named(claimed), CLAIMED)
    if len(assertion) > MOST_TEXT or not assertion.isascii():
        return EndUser(_named(claimed), CLAIMED, "too_long" if assertion.isascii() else "malformed")
    claims, problem = _claims(assertion, issuers)
    problem = problem or _wrong(claims, audience, now, most_life)
    if problem:
        return EndUser(_named(claimed), CLAIMED, problem)
    return EndUser(claims["sub"], SIGNED)


def _claims(assertion: str, issuers: Sequence[Issuer]) -> tuple[Mapping[str, Any], str]:
    """The claims of an assertion that one of these issuers signed; else a code."""
    try:
        from joserfc import jwt
        from joserfc.errors import BadSignatureError, JoseError
        from joserfc.jwk import OKPKey
    except ImportError as error:
        raise NotInstalled(_INSTALL) from error
    # EdDSA is an older name of Ed25519, which many still write.
    warnings.filterwarnings("ignore", "EdDSA is deprecated")
    keys = [(one.name, public_key(key)) for one in issuers for key in one.keys]
    problem = "unknown_issuer"
    for name, key in keys:
        imported = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": _url(key)})
        try:
            claims = jwt.decode(assertion, imported, algorithms=_ALGORITHMS).claims
        except BadSignatureError:
            problem = "bad_signature"
            continue
        except (JoseError, ValueError, TypeError, RecursionError):
            return {}, "malformed"
        if isinstance(claims, dict) and claims.get("iss") == name:
            return claims, ""
        return {}, "unknown_issuer"
    return {}, problem


def _wrong(claims: Mapping[str, Any], audience: str, now: float, most_life: int) -> str:
    """Why claims that are signed do not count; empty where they do."""
    subject, to = claims.get("sub"), claims.get("aud")
    ends, begins = _time(claims.get("exp")), _time(claims.get("nbf", 0))
    if not isinstance(subject, str) or not subject or _named(subject) != subject:
        return "no_subject"
    if audience not in (to if isinstance(to, list) else [to]):
        return "other_audience"
    if ends is None or begins is None:
        return "no_end"
    if now >= ends + SKEW or now < begins - SKEW:
        return "expired" if now >= ends + SKEW else "not_yet"
    return "too_long_lived" if ends > now + most_life + SKEW else ""


def _time(value: object) -> float | None:
    """A time in seconds; None for what is none."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1 << 40
    return float(value) if known else None  # type: ignore[arg-type]


def _named(text: str) -> str:
    """An id as it can stand in a log; empty for what is none."""
    return text if len(text) <= MOST_ID and text.isprintable() else ""


def _url(key: bytes) -> str:
    import base64

    return base64.urlsafe_b64encode(key).rstrip(b"=").decode("ascii")
