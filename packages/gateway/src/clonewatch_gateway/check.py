"""Decisions over plain HTTP, for gateways in other languages.

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
from collections.abc import Iterable
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from clonewatch_gateway import litellm_guardrail
from clonewatch_gateway.counters import Minutes
from clonewatch_gateway.deciding import NO_LIST, decide
from clonewatch_gateway.decisions import Decision, Facts
from clonewatch_gateway.following import Follower
from clonewatch_gateway.forwarding import FORWARD, NGINX, NO_ACCOUNT, Answer, answered, asked
from clonewatch_gateway.metrics import CONTENT_TYPE, Metrics

MOST_BODY = 64 << 10
_MOST_TOKENS = 10**9
_IDLE = 60  # seconds after which a connection that says nothing is closed


class Malformed(ValueError):
    """A body that is no question about an account."""


class Server(ThreadingHTTPServer):
    """Answers with decisions of the newest list of a follower."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], follower: Follower, answer_tokens: int = 0) -> None:
        self.follower, self.counters, self.metrics, self._answer_tokens = follower, Minutes(), Metrics(), answer_tokens
        super().__init__(address, _Handler)

    def answer(self, body: bytes) -> dict[str, Any]:
        """The decision that a body asks for. Raises Malformed."""
        decision = self._decided(*_asked(body))
        changes = [{"path": one.path, "how": one.how, "value": one.value} for one in decision.changes]
        return {**decision._asdict(), "headers": dict(decision.headers), "changes": changes}

    def guarded(self, body: bytes) -> dict[str, Any]:
        """The answer to LiteLLM. Raises ValueError for what is no question."""
        question = litellm_guardrail.asked(body, self._answer_tokens)
        return litellm_guardrail.answered(self._stated(*question) if question else None)

    def forwarded(self, headers: Message, *, nginx: bool) -> Answer:
        """The answer to a proxy that states an account in its headers."""
        return answered(self._stated(*asked(headers, self._answer_tokens)), nginx=nginx)

    def _stated(self, account: str, facts: Facts) -> Decision:
        """The decision about an account; nothing is done where none is stated, and that is counted."""
        if account:
            return self._decided(account, facts)
        decision = NO_LIST._replace(reason=NO_ACCOUNT)
        self.metrics.count(decision)
        return decision

    def _decided(self, account: str, facts: Facts) -> Decision:
        now = time.time()
        decision = decide(account, facts._replace(spent=self.counters.at(now)), self.follower.current, now)
        if decision.charge:
            self.counters.add(decision.charge, facts.tokens, now)
        self.metrics.count(decision)
        return decision


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


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "clonewatch-gateway", ""
    timeout = _IDLE
    # Headers and body go out at once, without waiting for the other side.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Server
    _POSTED: ClassVar = {
        "/v1/check": (Server.answer, MOST_BODY),
        litellm_guardrail.PATH: (Server.guarded, litellm_guardrail.MOST_BODY),
    }
    _SAID: ClassVar = {"/healthz": (200, "alive"), "/readyz": (200, "ready")}

    def do_POST(self) -> None:
        """Answer with a decision."""
        if self._forwarded():
            return
        length = self.headers.get("content-length", "")
        answer, most = self._POSTED.get(self.path, (None, 0))
        if answer is None:
            self._say(404, {"error": f"there are POST {' and '.join(self._POSTED)}"}, close=True)
        elif not length.isdigit() or int(length) > most:
            self._say(413 if length.isdigit() else 411, {"error": f"send at most {most} bytes"}, close=True)
        else:
            try:
                self._say(200, answer(self.server, self.rfile.read(int(length))))
            except ValueError as error:
                self._say(400, {"error": str(error)})

    def do_GET(self) -> None:
        """Answer whether the process lives, and whether a list is in use."""
        follower = self.server.follower
        if self._forwarded():
            return
        if self.path == "/metrics":
            text = self.server.metrics.text(follower, time.time())
            self._write(200, [("content-type", CONTENT_TYPE)], text.encode())
        elif self.path not in self._SAID:
            self._say(404, {"error": "there are /healthz, /readyz and /metrics"})
        elif self.path == "/readyz" and follower.is_stale():
            self._say(503, {"status": "observing only", "problem": follower.problem or "stale_list"})
        else:
            status, said = self._SAID[self.path]
            watch = follower.current
            self._say(status, {"status": said, "list": watch.origin if watch else "", "problem": follower.problem})

    def _say(self, status: int, value: dict[str, Any], *, close: bool = False) -> None:
        more = [("connection", "close")] if close else []
        self._write(status, [("content-type", "application/json"), *more], json.dumps(value).encode())

    def _write(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def _forwarded(self) -> bool:
        """Answer what a proxy asks by headers, whatever the method; whether it did."""
        path = self.path.partition("?")[0]
        if path != NGINX and path != FORWARD and not path.startswith(f"{FORWARD}/"):
            return False
        status, headers, body = self.server.forwarded(self.headers, nginx=path == NGINX)
        length = self.headers.get("content-length", "0")
        if "transfer-encoding" in self.headers or not length.isdigit() or int(length) > MOST_BODY:
            headers = (*headers, ("connection", "close"))  # the body is not asked for; it ends with the connection
        else:
            self.rfile.read(int(length))
        self._write(status, headers, body)
        return True

    def _other(self) -> None:
        if not self._forwarded():
            self._say(404, {"error": f"other methods are for {FORWARD}"}, close=True)

    do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = _other

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing for each request: account ids do not belong into a log."""
