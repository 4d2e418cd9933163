"""The values that options may have. They are checked once, before anything is read, by whoever gives them."""

from __future__ import annotations

import re
from typing import TypeGuard

from clonewatch.model.defaults import MEMORY
from clonewatch.model.errors import SetupError

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT])i?B", re.IGNORECASE | re.ASCII)
_MEGABYTES = {"K": 2**-10, "M": 1.0, "G": 2.0**10, "T": 2.0**20}
# The least that the engine is tested with.
LEAST_MEGABYTES = 64
# More than any machine has cores; each takes memory before it works.
MOST_THREADS = 256
MOST_MEGABYTES = 2.0**30  # a pebibyte
# Addresses that a process takes beside what the engine may use: libraries, compiled kernels, stacks of threads.
BESIDE_MEGABYTES = 2600
# Generators of random numbers take more; other seeds are counted up from this one.
MOST_SEED = 2**31 - 1000


def megabytes(size: str) -> float:
    """A size such as "700MB" in megabytes of 2**20 bytes. Raises SetupError.

    >>> megabytes("700MB"), megabytes("1.5 GiB")
    (700.0, 1536.0)
    """
    read = _SIZE.fullmatch(size.strip()) if isinstance(size, str) else None
    if read is None:
        raise SetupError(f"memory is not a size: {size!r}", fix="Write it as in 700MB or 2GB")
    return float(read[1]) * _MEGABYTES[read[2].upper()]


def check(
    *,
    seed: object = 0,
    memory: str = MEMORY,
    threads: object = None,
    max_rejected: object = 0.0,
    max_repeated: object = 0.0,
) -> None:
    """Raise SetupError for a value that an option cannot have; the message names the option and what it takes."""
    size = megabytes(memory)
    if not LEAST_MEGABYTES <= size <= MOST_MEGABYTES:
        large = "small" if size < LEAST_MEGABYTES else "large"
        raise SetupError(
            f"memory is too {large}: {memory}", fix=f"Give it {LEAST_MEGABYTES}MB at least, 1024TB at most"
        )
    check_limit(BESIDE_MEGABYTES + size)
    if not _whole(seed, 0) or seed > MOST_SEED:
        raise SetupError(f"seed is not a whole number from 0 to {MOST_SEED}: {seed!r}", fix="Pass one, such as 0")
    if threads is not None and (not _whole(threads, 1) or threads > MOST_THREADS):
        raise SetupError(
            f"threads is not a whole number from 1 to {MOST_THREADS}: {threads!r}", fix="Leave it out to use every core"
        )
    for name, given in (("max_rejected", max_rejected), ("max_repeated", max_repeated)):
        share = given if isinstance(given, int | float) and not isinstance(given, bool) else -1.0
        if not 0 <= share <= 1:
            raise SetupError(f"{name} is not a share from 0 to 1: {given!r}", fix="0.01 is one row in a hundred")


def check_limit(needed: float) -> None:
    """Raise SetupError where the system lets this process have fewer megabytes of addresses than it needs.

    A native library that is refused memory ends the process without a message, so this is said before.
    """
    try:
        import resource
    except ImportError:  # not on Windows
        return
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY and soft < needed * 2**20:
        raise SetupError(
            f"this process may use {soft >> 20:,} MB of addresses, and needs {needed:,.0f} MB",
            where="the limit on virtual memory, as `ulimit -v` shows it",
            fix="Raise or remove the limit; --memory bounds what the engine uses",
        )


def _whole(value: object, least: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
