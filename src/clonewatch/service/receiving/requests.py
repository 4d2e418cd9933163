"""A request on its way in: whose it is, whether it may, and its body within bounds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from starlette.requests import ClientDisconnect, Request

from clonewatch.live.api_keys import ApiKey, Holder, Keyring
from clonewatch.live.bodies import RefusedError, inflated
from clonewatch.live.settings import Settings, size_of
from clonewatch.service.receiving.figures import Figures

_SOON = 5  # seconds after which to try again where it is not known better


class LaterError(RefusedError):
    """A body that could be taken later. seconds: after which to try again."""

    def __init__(self, status: int, said: str, seconds: int = _SOON) -> None:
        super().__init__(status, said)
        self.seconds = seconds


class Bounds(NamedTuple):
    """Bytes of a body as sent, inflated, and of all bodies in flight; seconds for one to arrive."""

    body: int
    inflated: int
    in_flight: int
    seconds: float

    @classmethod
    def of(cls, settings: Settings) -> Bounds:
        """As the settings have them."""
        held = settings.limits
        return cls(size_of(held.body), size_of(held.inflated), size_of(held.in_flight), held.seconds)


class Door:
    """Lets requests in. clock: seconds of a clock that nobody sets."""

    def __init__(self, settings: Settings, figures: Figures, clock: Callable[[], float] = time.monotonic) -> None:
        self.bounds, self.figures = Bounds.of(settings), figures
        self._keys, self._clock = Keyring(settings.keys), clock
        self._left: dict[str, tuple[float, float]] = {}

    def admit(self, keys: Mapping[str, ApiKey]) -> None:
        """Let these keys in from now on, and no others. How often each name came is not forgotten."""
        self._keys = Keyring(keys)

    def holder(self, authorization: str, scope: str) -> Holder:
        """Whose request it is. Raises RefusedError where it is nobody's, may not, or comes too often."""
        scheme, _, key = authorization.partition(" ")
        held = self._keys.whose(key.strip()) if scheme.lower() == "bearer" else None
        if held is None:
            raise RefusedError(401, "send a key of this service as `Authorization: Bearer cwk_...`")
        if scope not in held.scopes:
            raise RefusedError(403, f"this key may not {scope}")
        self._count(held)
        return held

    def _count(self, held: Holder) -> None:
        now, rate = self._clock(), held.requests_per_minute / 60
        left, at = self._left.get(held.name, (float(held.requests_per_minute), now))
        left = min(float(held.requests_per_minute), left + (now - at) * rate)
        if left < 1:
            self._left[held.name] = (left, now)
            said = f"this key may send {held.requests_per_minute:,} requests a minute; send larger batches"
            raise LaterError(429, said, max(1, round((1 - left) / rate)))
        self._left[held.name] = (left - 1, now)

    async def body(self, request: Request) -> bytes:
        """The body of a request, counted as in flight until `leave` is called with its size. Raises RefusedError."""
        said = request.headers.get("content-length", "0")
        if not said.isdecimal() or len(said) > 15 or int(said) > self.bounds.body:
            raise RefusedError(413, f"the body may have {self.bounds.body:,} bytes; send smaller batches")
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.bounds.seconds):
                async for part in request.stream():
                    self.enter(len(part))
                    size += len(part)
                    if size > self.bounds.body:
                        raise RefusedError(413, f"the body may have {self.bounds.body:,} bytes; send smaller batches")
                    parts.append(part)
        except (RefusedError, ClientDisconnect, TimeoutError) as error:
            self.leave(size)
            if isinstance(error, TimeoutError):
                raise RefusedError(408, f"the body took longer than {self.bounds.seconds:g} seconds") from error
            raise
        return b"".join(parts)

    def enter(self, size: int) -> None:
        """Count bytes as in flight. Raises LaterError where they are too many."""
        if self.figures.in_flight + size > self.bounds.in_flight:
            raise LaterError(429, "too much is on its way already; send it again later")
        self.figures.in_flight += size

    def leave(self, size: int) -> None:
        """Count bytes as gone."""
        self.figures.in_flight -= size

    def inflate(self, body: bytes, encoding: str) -> bytes:
        """A body without its content encoding, within bounds. Raises RefusedError."""
        made = inflated(body, encoding.strip().lower(), self.bounds.inflated)
        self.figures.bytes += len(made)
        return made
