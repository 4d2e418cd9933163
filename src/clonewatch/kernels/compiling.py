"""Compiles kernels: once per machine and cached on disk; if nothing can be cached, at every start."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

# The callback for the next compilation; see `when_compiling`.
_watchers: list[Callable[[], None]] = []
_listening = False
_places: set[Path] = set()
_kept = True


def compiled(*, nogil: bool = False) -> Callable[[F], F]:
    """Compile a function on its first call, and keep the machine code on disk if any cache folder is writable.

    Numba tries in this order: NUMBA_CACHE_DIR, `__pycache__` beside the source, the user's cache folder. nogil:
    let other threads run at the same time.
    """

    def decorate(function: F) -> F:
        global _kept
        import numba

        _listen()
        kernel: Any
        # Nothing calls a kernel from C; what would make that possible is compiled for every one of them.
        options: dict[str, Any] = {"nogil": nogil, "no_cfunc_wrapper": True}
        try:
            kernel = numba.njit(cache=True, **options)(function)
            _places.add(Path(kernel.stats.cache_path))
            _survive_a_full_disk(kernel)
        except RuntimeError:  # of all errors of this call, the one that no folder is writable
            _kept = False
            kernel = numba.njit(**options)(function)
        made: F = kernel
        return made

    return decorate


def _survive_a_full_disk(kernel: Any) -> None:
    """Code that cannot be written to the cache works all the same, and is compiled again next time."""
    cache = kernel._cache  # numba offers no public way in
    save = cache.save_overload

    def save_if_possible(*compiled_code: Any) -> None:
        global _kept
        try:
            save(*compiled_code)
        except OSError:  # the disk or a quota is full, or the folder was locked meanwhile
            _kept = False

    cache.save_overload = save_if_possible


def cache_folder() -> Path | None:
    """The folder of compiled kernels, None if no folder is writable. Known once a kernel is imported."""
    if not _kept or not _places:
        return None
    return Path(os.path.commonpath(_places))


@contextmanager
def when_compiling(call: Callable[[], object]) -> Iterator[None]:
    """Call this once, from any thread, when the first kernel in the block has to be compiled.

    Kernels that are cached on disk do not count.
    """

    def once() -> None:
        _watchers.remove(once)
        call()

    _watchers.append(once)
    try:
        yield
    finally:
        if once in _watchers:
            _watchers.remove(once)


def _listen() -> None:
    """Subscribe to the compiler's events."""
    global _listening
    if _listening:
        return
    _listening = True
    from numba.core import event

    register: Any = event.register

    class Report(event.Listener):
        def on_start(self, event: Any) -> None:
            for watcher in tuple(_watchers):
                watcher()

        def on_end(self, event: Any) -> None:
            pass

    register("numba:compile", Report())
