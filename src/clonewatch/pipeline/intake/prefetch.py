"""Prefetching: one thread decodes the next batches while the current one is being staged."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class _Failed:
    def __init__(self, error: BaseException) -> None:
        self.error = error


_END = object()


def prefetched(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """The same items in the same order, up to `depth` of them produced in advance by another thread.

    What the other thread raises is raised here. Closing the iterator stops it.

    >>> list(prefetched(range(4)))
    [0, 1, 2, 3]
    """
    waiting: queue.Queue[object] = queue.Queue(depth)
    stop = threading.Event()

    def offer(item: object) -> bool:
        while not stop.is_set():
            try:
                waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not offer(item):
                    return
        except BaseException as error:  # noqa: BLE001 - passed to the waiting thread, which raises it
            offer(_Failed(error))
        else:
            offer(_END)

    thread = threading.Thread(target=work, name="clonewatch-reading", daemon=True)
    thread.start()
    try:
        yield from _take(waiting.get)
    finally:
        stop.set()
        # A thread that waits for a silent pipe cannot be woken; it ends with the process.
        thread.join(timeout=1.0)


def _take(get: Callable[[], object]) -> Iterator[T]:
    while (item := get()) is not _END:
        if isinstance(item, _Failed):
            raise item.error
        yield item  # type: ignore[misc]
