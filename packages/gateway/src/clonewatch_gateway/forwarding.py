"""Decisions for proxies that ask by headers and carry out a status: nginx, Envoy, Traefik, Caddy and others.

The proxy states the account, and whatever else it knows, in headers that it takes from nobody. The answer is 200, or
the status of a refusal with its headers and body. A proxy that asks this way changes no body, so an action that allows
less instead of refusing is not carried out, the client is not told that it was, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from clonewatch_gateway.decisions import Decision, Facts
from clonewatch_gateway.saying import COUNTER, LIMITED, NOT_CARRIED_OUT, TOKEN_BYTES, mode, refusal_body

# Any method and any path below it, for proxies that pass the status on. The other is for nginx, whose `auth_request`
# knows 401 and 403 alone: there 401 stands for 429.
FORWARD, NGINX = "/v1/forward", "/v1/auth-request"
ACCOUNT, BYTES, VERIFIED = "clonewatch-account", "clonewatch-bytes", "clonewatch-verified-at"
NO_ACCOUNT = "no_account"
_MOST_DIGITS = 12
_OK, _UNAUTHORIZED = 200, 401


class Answer(NamedTuple):
    """What a proxy is answered. body: of a refusal."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""


def asked(headers: Mapping[str, str], answer_tokens: int) -> tuple[str, Facts]:
    """Account and facts of a request, from headers as HTTP carries them; the account is empty where none is stated.

    answer_tokens: counted for its answer, which is not seen. A request has at least one token.
    """
    account = (headers.get(ACCOUNT) or "").encode("latin-1", "replace").decode("utf-8", "replace").strip()
    tokens = max(1, _number(headers.get(BYTES)) // TOKEN_BYTES) + answer_tokens
    return account, Facts(tokens, verified_at=_number(headers.get(VERIFIED)))


def answered(decision: Decision, *, nginx: bool) -> Answer:
    """A decision as a status and headers."""
    told = [("clonewatch-action", decision.action), ("clonewatch-mode", mode(decision))]
    told += [("clonewatch-reason", NOT_CARRIED_OUT if decision.changes else decision.reason)]
    told += [("clonewatch-case", decision.case), ("clonewatch-would", str(decision.would or _OK))]
    if decision.charge and not decision.simulated:
        told.append((COUNTER, decision.charge))
    if not decision.changes:
        told += decision.headers
    told = [pair for pair in told if pair[1]]
    if not decision.status:
        return Answer(_OK, tuple(told))
    status = _UNAUTHORIZED if nginx and decision.status == LIMITED else decision.status
    return Answer(status, (*told, ("content-type", "application/json")), refusal_body(decision))


def _number(text: str | None) -> int:
    """A whole number, 0 for anything else."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else 0
