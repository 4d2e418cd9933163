"""Where batches wait between whoever receives them and the worker: the spool of one machine, Redis Streams or Kafka.

A bus hands rows over at least once. It needs no more: the state takes no row twice.
"""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import zstandard

from clonewatch.live import spool
from clonewatch.live.settings import Settings
from clonewatch.live.spool import Bounds, Rows
from clonewatch.model.errors import SetupError

Put = Callable[[Sequence[Rows]], None]
# Scheme of an address -> module, and the library that it needs.
_KINDS = {"redis": ("redis_bus", "redis"), "rediss": ("redis_bus", "redis"), "kafka": ("kafka_bus", "confluent_kafka")}
MOST_AT_ONCE = 500  # messages that are handed over together
_HEAD = struct.Struct("<BIdH")  # version, rows, when they arrived, length of the name of the stream
_VERSION = 1


class Writer(Protocol):
    """Takes rows from those who receive them, in one thread at a time. place: folder of the spool, with the status."""

    place: Path
    bounds: Bounds

    @property
    def size(self) -> int:
        """Bytes that wait, as last seen."""
        ...

    def append(self, rows: Sequence[Rows]) -> None:
        """Return once rows are kept. Raises FullError, OSError; whoever sends them again changes nothing."""
        ...

    def is_full(self, more: int = 1) -> bool:
        """Whether so many bytes more would be more than may wait."""
        ...

    def seal(self) -> None:
        """Called now and then: what has waited long enough may be taken."""
        ...

    def expire(self, exempt: Sequence[str] = ()) -> int:
        """Called now and then: drop what nobody read for too long; returns how many segments."""
        ...


class Reader(Protocol):
    """Hands rows over, in one process at a time."""

    def drain(self, put: Put) -> int:
        """Hand over what waits, and forget it once `put` has returned; returns how many rows. Raises OSError.

        What was handed over to a process that ended before is handed over again.
        """
        ...


@contextlib.contextmanager
def writing(settings: Settings) -> Iterator[Writer]:
    """The bus of a service, for the process that receives. Raises SetupError, StateError, OutputError."""
    place = Path(settings.spool)
    if not settings.bus:
        with spool.opened(place, settings.spool_bounds()) as held:
            yield held
        return
    spool.make(place)
    with contextlib.closing(_opened(settings, reads=False)) as bus:
        held_elsewhere: Writer = bus
        yield held_elsewhere


def reading(settings: Settings) -> Reader | None:
    """The bus of a service, for its worker; None where what is received is in the spool already."""
    bus: Reader | None = _opened(settings, reads=True) if settings.bus else None
    return bus


def check(address: str) -> None:
    """Raise SetupError for an address of no bus, or where its library is not installed."""
    kind = _KINDS.get(urlsplit(address).scheme)
    if kind is None:
        raise SetupError(
            "this is no address of a bus",
            where="bus",
            fix="Write redis://host:6379/stream or kafka://host:9092/topic; leave it out for the spool alone",
        )
    if find_spec(kind[1]) is None:
        extra = "kafka" if kind[0] == "kafka_bus" else "redis"
        raise SetupError(f"the bus needs {kind[1]}", fix=f"Install the extra: pip install 'clonewatch[{extra}]'")


def packed(one: Rows) -> bytes:
    """Rows as one message, compressed."""
    name = one.stream.encode()
    return (
        _HEAD.pack(_VERSION, one.rows, one.at or time.time(), len(name))
        + name
        + zstandard.ZstdCompressor(1).compress(one.data)
    )


def unpacked(message: bytes, most: int) -> Rows | None:
    """The rows of a message; None for one that is none of ours. most: bytes to which it may inflate."""
    try:
        version, rows, at, length = _HEAD.unpack_from(message)
        name = message[_HEAD.size : _HEAD.size + length].decode("ascii")
        packed_data = message[_HEAD.size + length :]
        if version != _VERSION or not name or not 0 <= zstandard.frame_content_size(packed_data) <= most:
            return None
        data = zstandard.ZstdDecompressor().decompress(packed_data, most)
    except (struct.error, UnicodeDecodeError, zstandard.ZstdError):
        return None
    # The name becomes that of a file.
    whole = data.endswith(b"\n") and name.replace("@", "").replace(".", "").replace("_", "").replace("-", "").isalnum()
    return Rows(name, data, rows, at) if whole and ".." not in name else None


def _opened(settings: Settings, *, reads: bool) -> Any:
    check(settings.bus)
    module = import_module(f"clonewatch.live.{_KINDS[urlsplit(settings.bus).scheme][0]}")
    return module.opened(settings, reads=reads)
