"""Decisions over plain HTTP, for gateways in other languages: an ASGI application (`serving.py` serves it).

`POST /v1/check` takes a JSON object:

::

    {"account": "acct-1", "tokens": 1200, "attributes": ["template:0e29b8a2"], "verified_at": 0}

and answers with the decision as a JSON object, always with status 200: the gateway carries it out. `/v1/forward` and
`/v1/auth-request` take headers and answer with a status (`forwarding.py`); LiteLLM has a question of its own
(`litellm_guardrail.py`). `GET /healthz` says that the process lives,
`GET /readyz` whether the list is in use (503 if it is stale, and then everything is observed), `GET /metrics` counts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from clonewatch_gateway import litellm_guardrail
from clonewatch_gateway.asgi import Message, Receive, Scope, Send
from clonewatch_gateway.counters import Counters, Minutes
from clonewatch_gateway.deciding import NO_LIST, decide
from clonewatch_gateway.decisions import Decision, Facts
from clonewatch_gateway.following import Follower
from clonewatch_gateway.forwarding import FORWARD, NGINX, NO_ACCOUNT, Answer, answered, asked
from clonewatch_gateway.metrics import CONTENT_TYPE, Metrics

MOST_BODY = 64 << 10
_MOST_TOKENS = 10**9
_JSON = "application/json"


class Malformed(ValueError):
    """A body that is no question about an account."""


class Gone(Exception):
    """Whoever asked went away before the question was whole."""


class Service:
    """Answers with decisions of the newest list of a follower. counters: default: of this process."""

    def __init__(self, follower: Follower, answer_tokens: int = 0, counters: Counters | None = None) -> None:
        self.follower, self.metrics, self._answer_tokens = follower, Metrics(), answer_tokens
        self.counters: Counters = counters if counters is not None else Minutes()
        self._posted = {
            "/v1/check": (self.answer, MOST_BODY),
            litellm_guardrail.PATH: (self.guarded, litellm_guardrail.MOST_BODY),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        began = time.perf_counter()
        # Of a header that comes twice the first counts.
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"][::-1]}
        path, method = scope["path"], scope["method"]
        try:
            if path == NGINX or path == FORWARD or path.startswith(f"{FORWARD}/"):
                answer = self.forwarded(headers, nginx=path == NGINX)
                if not await _passed_over(headers, receive):
                    answer = answer._replace(headers=(*answer.headers, ("connection", "close")))
            elif method == "POST":
                answer = await self._answered(path, headers, receive)
            elif method == "GET":
                answer = self._looked(path)
            else:
                answer = _said(404, {"error": f"other methods are for {FORWARD}"}, close=True)
        except Gone:
            return
        told: list[tuple[bytes, bytes]] = [(name.encode(), value.encode()) for name, value in answer.headers]
        told.append((b"content-length", str(len(answer.body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": told})
        await send({"type": "http.response.body", "body": answer.body})
        if method == "POST" or path.startswith("/v1/"):
            self.metrics.took(time.perf_counter() - began)

    async def _answered(self, path: str, headers: Mapping[str, str], receive: Receive) -> Answer:
        answer, most = self._posted.get(path, (None, 0))
        if answer is None:
            return _said(404, {"error": f"there are POST {' and '.join(self._posted)}"}, close=True)
        body = await _body(headers, receive, most)
        if body is None:
            return _said(413, {"error": f"send at most {most} bytes"}, close=True)
        try:
            return _said(200, answer(body))
        except ValueError as error:
            return _said(400, {"error": str(error)})

    def _looked(self, path: str) -> Answer:
        """Whether the process lives, whether a list is in use, and what was counted."""
        follower = self.follower
        if path == "/metrics":
            text = self.metrics.text(follower, time.time(), self.counters)
            return Answer(200, (("content-type", CONTENT_TYPE),), text.encode())
        if path == "/readyz" and (idle := follower.idle()):
            return _said(503, {"status": "observing only", "problem": follower.problem or idle})
        if path not in ("/healthz", "/readyz"):
            return _said(404, {"error": "there are /healthz, /readyz and /metrics"})
        watch = follower.current
        status = "alive" if path == "/healthz" else "ready"
        return _said(200, {"status": status, "list": watch.origin if watch else "", "problem": follower.problem})

    def answer(self, body: bytes) -> dict[str, Any]:
        """The decision that a body asks for. Raises Malformed."""
        decision = self._stated(*_asked(body))
        changes = [{"path": one.path, "how": one.how, "value": one.value} for one in decision.changes]
        return {**decision._asdict(), "headers": dict(decision.headers), "changes": changes}

    def guarded(self, body: bytes) -> dict[str, Any]:
        """The answer to LiteLLM. Raises ValueError for what is no question."""
        question = litellm_guardrail.asked(body, self._answer_tokens)
        return litellm_guardrail.answered(self._stated(*question) if question else None)

    def forwarded(self, headers: Mapping[str, str], *, nginx: bool) -> Answer:
        """The answer to a proxy that states an account in its headers."""
        return answered(self._stated(*asked(headers, self._answer_tokens)), nginx=nginx)

    def _stated(self, account: str, facts: Facts) -> Decision:
        decision = self.stated(account, facts)
        self.counted(decision, facts)
        return decision

    def stated(self, account: str, facts: Facts) -> Decision:
        """The decision about an account, which nothing is counted of; nothing is done where none is stated."""
        if not account:
            return NO_LIST._replace(reason=NO_ACCOUNT)
        now = time.time()
        return decide(account, facts._replace(spent=self.counters.at(now)), self.follower.current, now)

    def counted(self, decision: Decision, facts: Facts) -> None:
        """Count a decision that is carried out, and charge the tokens of its request."""
        if decision.charge:
            self.counters.add(decision.charge, facts.tokens, time.time())
        self.metrics.count(decision)


def _asked(body: bytes) -> tuple[str, Facts]:
    try:
        held = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Malformed("the body is no JSON") from error
    if not isinstance(held, dict) or not isinstance(held.get("account"), str):
        raise Malformed("the body is an object with an account, which is text")
    tokens, verified = held.get("tokens", 0), held.get("verified_at", 0)
    attributes = held.get("attributes", [])
    if type(tokens) is not int or not 0 <= tokens <= _MOST_TOKENS:
        raise Malformed("tokens is no whole number from 0 on")
    if isinstance(verified, bool) or not isinstance(verified, int | float):
        raise Malformed("verified_at is no time in seconds")
    if not isinstance(attributes, list) or not all(isinstance(one, str) for one in attributes):
        raise Malformed("attributes is no list of texts")
    return held["account"], Facts(tokens, frozenset(attributes), verified)


def _said(status: int, value: Mapping[str, Any], *, close: bool = False) -> Answer:
    more: Iterable[tuple[str, str]] = [("connection", "close")] if close else []
    return Answer(status, (("content-type", _JSON), *more), json.dumps(value).encode())


async def _body(headers: Mapping[str, str], receive: Receive, most: int) -> bytes | None:
    """The body of a request; None where it is longer than that, and then it is not read. Raises Gone."""
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > most:
        return None
    held = bytearray()
    while True:
        message: Message = await receive()
        if message["type"] != "http.request":
            raise Gone
        held += message.get("body", b"")
        if len(held) > most:
            return None
        if not message.get("more_body"):
            return bytes(held)


async def _passed_over(headers: Mapping[str, str], receive: Receive) -> bool:
    """Pass over a body that a proxy sent along; whether it was short enough. Others end with their connection."""
    if "transfer-encoding" not in headers and headers.get("content-length", "0") == "0":
        return True
    return await _body(headers, receive, MOST_BODY) is not None
