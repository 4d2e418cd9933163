"""Puts rows of many requests on the disk together: one sync for all that came while the one before it ran."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from clonewatch.live.bodies import SIDES
from clonewatch.live.bus import Writer
from clonewatch.live.spool import Rows

_MOST = 32 << 20  # bytes that are written at once
_TICK = 0.5  # seconds between looks at what has to be sealed
_EXPIRY = 60.0  # seconds between looks at what is too old


class Committer:
    """Writes into a bus, in one thread at a time. expired: called with how many segments were dropped unread."""

    def __init__(self, spool: Writer, expired: Callable[[int], None]) -> None:
        self.spool, self._expired = spool, expired
        self._queue: asyncio.Queue[tuple[Sequence[Rows], asyncio.Future[None]]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._expiry = 0.0

    async def put(self, rows: Sequence[Rows]) -> None:
        """Return once rows are on the disk. Raises FullError, OSError."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((rows, done))
        await done

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Write what waits, and end."""
        while not self._queue.empty():
            await asyncio.sleep(0.01)
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                first = await asyncio.wait_for(self._queue.get(), _TICK)
            except TimeoutError:
                await asyncio.to_thread(self._tend)
                continue
            waiting, size = [first], _size(first[0])
            while size < _MOST and not self._queue.empty():
                more = self._queue.get_nowait()
                waiting.append(more)
                size += _size(more[0])
            await self._write(waiting)

    async def _write(self, waiting: list[tuple[Sequence[Rows], asyncio.Future[None]]]) -> None:
        """Write several requests at once; where that fails, one by one, so that each hears what became of its own."""
        try:
            await asyncio.to_thread(self._append, [one for rows, _ in waiting for one in rows])
        except Exception as error:  # noqa: BLE001 - given to whoever waits, who raises it
            if len(waiting) > 1:
                for one in waiting:
                    await self._write([one])
                return
            if not waiting[0][1].done():
                waiting[0][1].set_exception(error)
            return
        for _, done in waiting:
            if not done.done():
                done.set_result(None)

    def _append(self, rows: Sequence[Rows]) -> None:
        self.spool.append(rows)
        self.spool.seal()

    def _tend(self) -> None:
        with contextlib.suppress(OSError):  # of a full disk those hear who send
            self.spool.seal()
            self._expiry -= _TICK
            if self._expiry <= 0:
                self._expiry = _EXPIRY
                self._expired(self.spool.expire(SIDES))


def _size(rows: Sequence[Rows]) -> int:
    return sum(len(one.data) for one in rows)
