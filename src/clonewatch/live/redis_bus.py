"""The bus in Redis Streams: one stream, one group of readers, entries that are deleted once they were handed over."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import redis
from redis.exceptions import RedisError, ResponseError

from clonewatch.live.bus import MOST_AT_ONCE, Put, packed, unpacked
from clonewatch.live.settings import Settings, size_of
from clonewatch.live.spool import Bounds, FullError, Rows
from clonewatch.model.errors import SetupError

_GROUP, _FIELD = "clonewatch", b"rows"
_PATIENCE = 5.0  # seconds for an answer
_LOOK = 1.0  # seconds for which the size is believed
# Entries of a reader that is gone for so many milliseconds are taken over.
_GONE = 60_000

log = logging.getLogger("clonewatch.live")


class RedisBus:
    """One stream of a Redis. clock: seconds of a clock that nobody sets."""

    def __init__(self, client: Any, stream: str, place: Path, bounds: Bounds, most: int) -> None:
        self._redis, self._stream, self.place, self.bounds, self._most = client, stream, place, bounds, most
        self._size, self._looked = 0, -_LOOK
        self._me = socket.gethostname()
        self._again = True  # whether entries that were handed to us before may not be done

    @property
    def size(self) -> int:
        """Bytes of memory that the stream takes in Redis."""
        return self._size

    def append(self, rows: Sequence[Rows]) -> None:
        """Add an entry for each stream."""
        if self.is_full(sum(len(one.data) for one in rows)):
            raise FullError
        try:
            with self._redis.pipeline(transaction=True) as line:
                for one in rows:
                    line.xadd(self._stream, {_FIELD: packed(one)})
                line.execute()
        except RedisError as error:
            raise _unreachable(error) from error

    def is_full(self, more: int = 1) -> bool:
        """Whether Redis holds as much of ours as it may, as of a second ago."""
        now = time.monotonic()
        if now - self._looked >= _LOOK:
            try:
                self._size = int(self._redis.memory_usage(self._stream) or 0)
            except RedisError as error:
                log.warning("Redis does not say its size", extra={"problem": type(error).__name__})
            self._looked = now
        # It keeps them compressed: this is an upper bound.
        return self._size + more > self.bounds.size

    def seal(self) -> None:
        """Nothing: an entry may be taken as soon as it is there."""

    def expire(self, exempt: Sequence[str] = ()) -> int:
        """Nothing: how long Redis keeps what nobody reads is bounded by size."""
        return 0

    def drain(self, put: Put) -> int:
        """Hand over entries: those that were handed over before and not finished, those of readers gone, new ones."""
        count = 0
        try:
            self._join()
            while entries := self._next():
                count += self._hand_over(entries, put)
        except RedisError as error:
            raise _unreachable(error) from error
        return count

    def _hand_over(self, entries: list[Any], put: Put) -> int:
        ids = [one for one, _ in entries]
        found = [unpacked(fields.get(_FIELD, b""), self._most) for _, fields in entries if fields]
        rows = [one for one in found if one is not None]
        if len(rows) < len(found):
            log.error("entries of the bus are none of ours", extra={"entries": len(found) - len(rows)})
        self._again = True  # unless all of this succeeds
        put(rows)
        with self._redis.pipeline(transaction=True) as line:
            line.xack(self._stream, _GROUP, *ids)
            line.xdel(self._stream, *ids)
            line.execute()
        self._again = False
        return sum(one.rows for one in rows)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _join(self) -> None:
        try:
            self._redis.xgroup_create(self._stream, _GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def _next(self) -> list[Any]:
        mine = self._redis.xreadgroup(_GROUP, self._me, {self._stream: "0"}, count=MOST_AT_ONCE) if self._again else []
        if mine and mine[0][1]:
            return list(mine[0][1])
        self._again = False
        gone: list[Any] = self._redis.xautoclaim(self._stream, _GROUP, self._me, _GONE, count=MOST_AT_ONCE)[1]
        if gone:
            return gone
        new = self._redis.xreadgroup(_GROUP, self._me, {self._stream: ">"}, count=MOST_AT_ONCE)
        return list(new[0][1]) if new else []


def opened(settings: Settings, *, reads: bool) -> RedisBus:
    """The bus at an address such as redis://host:6379/stream. Raises SetupError."""
    parts = urlsplit(settings.bus)
    stream = parts.path.strip("/") or "clonewatch"
    if "/" in stream:
        raise SetupError("the address names more than a stream", where="bus", fix="Write redis://host:6379/stream")
    client = redis.Redis.from_url(
        urlunsplit((parts.scheme, parts.netloc, "", parts.query, "")),
        socket_timeout=_PATIENCE,
        socket_connect_timeout=_PATIENCE,
        protocol=2,
    )
    bus = RedisBus(client, stream, Path(settings.spool), settings.spool_bounds(), size_of(settings.limits.inflated))
    if not reads:
        _ask_how_it_keeps(client)
    return bus


def _ask_how_it_keeps(client: Any) -> None:
    """Say it where Redis keeps nothing over a restart: what it acknowledged would then be lost."""
    try:
        held = client.config_get("append*")
    except RedisError:
        return
    told = {str(name): str(value) for name, value in held.items()} if isinstance(held, dict) else {}
    if "no" in (told.get("appendonly"), told.get("appendfsync")):
        log.warning("Redis keeps nothing over a loss of power", extra={"fix": "appendonly yes, appendfsync always"})


def _unreachable(error: RedisError) -> OSError:
    return OSError(0, f"Redis refuses: {type(error).__name__}")
