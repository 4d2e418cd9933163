"""Serving twins: ASGI middleware that requests some answers twice, releases one by the coin, and stores the other.

Every user receives an ordinary answer of the model, without delay: both are requested at once, and the released one is
passed on as it arrives, streamed or not. The cost is a second answer for the chosen share of requests. Put the
middleware inside metering and rate limits, so that a user pays for one answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass
from typing import Any

from clonewatch.audit.twin import flip
from clonewatch.model.errors import InputError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

PATHS = frozenset({"/v1/chat/completions", "/v1/completions"})
# One request in a hundred: a test needs about a hundred pairs, and the cost is one more answer in a hundred.
SHARE = 0.01
_PERSON = b"clonewatch.share"


@dataclass(frozen=True)
class Pair:
    """Two answers to one request. answers: bodies in the order of the requests; `flip` returns which was released."""

    request_id: str
    request: bytes
    answers: tuple[bytes, bytes]
    statuses: tuple[int, int]

    @property
    def whole(self) -> bool:
        """Whether both answers are valid, so that the pair may be tested."""
        return all(200 <= status < 300 for status in self.statuses) and all(self.answers)


class Twins:
    """ASGI middleware. keep: stores a pair; it is awaited after the released answer was sent.

    secret: the committed twin secret. share: of requests that are sent twice, also chosen by the secret. paths:
    on which a POST requests an answer. Everything else passes through unchanged.
    """

    def __init__(
        self,
        app: App,
        secret: bytes,
        keep: Callable[[Pair], Awaitable[None]],
        *,
        share: float = SHARE,
        paths: Collection[str] = PATHS,
    ) -> None:
        if not 0 <= share <= 1:
            raise InputError(f"a share of {share}; it must be between 0 and 1")
        flip(secret, "")  # a secret of the wrong size is refused before anything is served
        self.app, self.secret, self.keep, self.share, self.paths = app, secret, keep, share, frozenset(paths)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One connection, by the ASGI specification."""
        request_id = uuid.uuid4().hex
        order = scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self.paths
        if not (order and chosen(self.secret, request_id, self.share)):
            await self.app(scope, receive, send)
            return
        body = await _body(receive)
        if body is None:
            return
        released = flip(self.secret, request_id)
        runs = [_Run(body, receive, send) if slot == released else _Run(body, _never, None) for slot in (0, 1)]
        tasks = [asyncio.create_task(run.through(self.app, dict(scope))) for run in runs]
        try:
            await tasks[released]
            # The released answer was sent. If the other one failed, the user never sees it; its status records it.
            await asyncio.wait([tasks[1 - released]])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        first, second = runs
        await self.keep(Pair(request_id, body, (first.body, second.body), (first.status, second.status)))


def chosen(secret: bytes, request_id: str, share: float) -> bool:
    """Whether a request is sent twice, by the secret and independent of the coin.

    >>> chosen(bytes(32), "a", 1.0), chosen(bytes(32), "a", 0.0)
    (True, False)
    """
    digest = hashlib.blake2b(request_id.encode(), digest_size=8, key=secret, person=_PERSON).digest()
    return int.from_bytes(digest, "little") < share * 2**64


class _Run:
    """One of the two runs of the application. send: receives the answer as it arrives, or None to only store it."""

    def __init__(self, request: bytes, receive: Receive, send: Send | None) -> None:
        self.request, self.after, self.onward = request, receive, send
        self.status, self.body = 0, b""
        self._given = False

    async def through(self, app: App, scope: MutableMapping[str, Any]) -> None:
        await app(scope, self.receive, self.send)

    async def receive(self) -> Message:
        if self._given:
            return await self.after()
        self._given = True
        return {"type": "http.request", "body": self.request, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
        if self.onward is not None:
            await self.onward(message)


async def _never() -> Message:
    """What follows the request when nobody waits for the answer: nothing, until its task is cancelled."""
    nothing: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    return await nothing


async def _body(receive: Receive) -> bytes | None:
    """The whole request; None if the client disconnected."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)
