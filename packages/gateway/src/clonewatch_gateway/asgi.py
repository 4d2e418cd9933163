"""Middleware for any ASGI server: decides about each request, refuses or changes it, and tells the client.

Pure ASGI, so streams pass as they come. Whatever fails here is logged, and the request is served.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from clonewatch_gateway.bodies import MOST_BODY, Usage, rewritten
from clonewatch_gateway.counters import Counters, Minutes
from clonewatch_gateway.deciding import NO_FACTS, NO_LIST, decide
from clonewatch_gateway.decisions import Decision, Facts
from clonewatch_gateway.saying import COUNTER, NOT_CARRIED_OUT, TOKEN_BYTES, refusal_body
from clonewatch_gateway.watch_list import WatchList

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOG = logging.getLogger("clonewatch_gateway")


class Middleware:
    """Decides about every HTTP request of an ASGI application.

    watch: gives the newest list, such as `lambda: follower.current`. account: the account id of a request, as the log
    that was scanned has it; None lets the request pass. It runs behind whatever checks keys. facts: what else is known.
    record: called with every decision, for logs and metrics. counters: `SharedMinutes` where several workers serve;
    default: of this process.
    """

    def __init__(
        self,
        app: Application,
        watch: Callable[[], WatchList | None],
        account: Callable[[Scope], str | None],
        *,
        facts: Callable[[Scope], Facts] | None = None,
        record: Callable[[str, Decision], None] | None = None,
        counters: Counters | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._app, self._watch, self._account, self._facts = app, watch, account, facts
        self._record, self._clock = record, clock
        self.counters: Counters = counters if counters is not None else Minutes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0].lower() != COUNTER.encode()]}
        account, decision = self._decided(scope)
        if decision.changes:
            scope, receive, done = await _rewritten(scope, receive, decision)
            if not done:
                # Nobody is told of what did not happen; whoever watches is.
                decision = decision._replace(reason=NOT_CARRIED_OUT, headers=(), changes=())
        if not self._recorded(account, decision):
            decision = NO_LIST
        if decision.status:
            await _refuse(send, decision)
            return
        if decision.charge:
            if not decision.simulated:
                scope["headers"].append((COUNTER.encode(), decision.charge.encode()))
            send = self._counting(send, decision.charge)
        if decision.headers:
            send = _telling(send, decision)
        await self._app(scope, receive, send)

    def _decided(self, scope: Scope) -> tuple[str | None, Decision]:
        """The account of a request, None where there is none to decide about, and the decision."""
        try:
            account = self._account(scope)
            if account is None:
                return None, NO_LIST
            now = self._clock()
            facts = self._facts(scope) if self._facts else NO_FACTS
            facts = facts._replace(tokens=facts.tokens or _asked(scope), spent=self.counters.at(now))
            decision = decide(account, facts, self._watch(), now)
            if decision.charge:
                self.counters.add(decision.charge, facts.tokens, now)
        except Exception:  # noqa: BLE001  (whatever it is: a fault of ours refuses nobody)
            _LOG.exception("no decision was made; the request is served")
            return None, NO_LIST
        return account, decision

    def _recorded(self, account: str | None, decision: Decision) -> bool:
        """Record a decision; false where that fails, since nothing is done to anybody without a record."""
        if self._record is None or account is None:
            return True
        try:
            self._record(account, decision)
        except Exception:  # noqa: BLE001  (whatever it is: a fault of ours refuses nobody)
            _LOG.exception("a decision was not recorded; the request is served")
            return False
        return True

    def _counting(self, send: Send, counter: str) -> Send:
        usage = Usage()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.body":
                usage.add(message.get("body", b""))
                if not message.get("more_body"):
                    self.counters.add(counter, usage.tokens(), self._clock())
            await send(message)

        return counted


def _asked(scope: Scope) -> int:
    """Tokens of a request, about, from its length."""
    length = next((value for name, value in scope["headers"] if name.lower() == b"content-length"), b"0")
    return int(length) // TOKEN_BYTES if length.isdigit() else 0


async def _refuse(send: Send, decision: Decision) -> None:
    body = refusal_body(decision)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *((name.encode(), value.encode()) for name, value in decision.headers),
    ]
    await send({"type": "http.response.start", "status": decision.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _telling(send: Send, decision: Decision) -> Send:
    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            added = [(name.encode(), value.encode()) for name, value in decision.headers]
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await send(message)

    return told


async def _rewritten(scope: Scope, receive: Receive, decision: Decision) -> tuple[Scope, Receive, bool]:
    """A request with its body changed, and whether it could be. One that is no JSON, or too long, passes as it came."""
    held: list[Message] = []
    size = 0
    while True:
        message = await receive()
        held.append(message)
        size += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body") or size > MOST_BODY:
            break
    whole = held[-1]["type"] == "http.request" and not held[-1].get("more_body")
    data = b"".join(message.get("body", b"") for message in held) if whole and size <= MOST_BODY else b""
    made = rewritten(data, decision.changes)
    if made is not None and made is not data:
        kept = [pair for pair in scope["headers"] if pair[0].lower() not in (b"content-length", b"transfer-encoding")]
        scope = {**scope, "headers": [*kept, (b"content-length", str(len(made)).encode())]}
        held = [{"type": "http.request", "body": made, "more_body": False}]

    async def again() -> Message:
        return held.pop(0) if held else await receive()

    return scope, again, made is not None
