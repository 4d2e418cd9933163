"""Asks a server over HTTP at a fixed rate, as a process of its own, and says how long answers took and who waited.

    python benchmarks/at_rate.py PORT REQUEST-FILE --rate 2000 --seconds 10 [--core 1] [--pid N] [--first]

Questions are due at even distances, and each goes out on a connection that is free, or waits for one. A time counts
from when a question was due to the last byte of its answer, so a server that stands still for 50 ms makes a hundred
slow answers, and not one. This process does little else than to wait, on plain sockets. It says what it takes of a
core, what it and the server (--pid) spent ready to run while others had it, and how late it was to send by itself,
which is part of the times and no fault of the server. With --first both go before all other processes of the machine
(SCHED_FIFO, for which root is needed), which shows what they take by themselves.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import select
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

_END, _LENGTH = b"\r\n\r\n", b"content-length: "
_LATEST = 60.0


class Waited(NamedTuple):
    """Seconds of a process on a core, and ready to run without one, from its start."""

    on_core: float
    for_core: float


def main() -> None:
    """Ask, and print figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("request", type=Path, help="file with the bytes of one request")
    parser.add_argument("--rate", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--core", type=int, help="to which this process is bound")
    parser.add_argument("--pid", type=int, help="of the server")
    parser.add_argument("--first", action="store_true", help="let this process and the server go before all others")
    asked = parser.parse_args()
    if asked.core is not None:
        os.sched_setaffinity(0, {asked.core})
    first = [os.getpid(), *([asked.pid] if asked.pid else [])] if asked.first else []
    with going_first(first):
        before, began = waited(asked.pid), time.perf_counter()
        took, late = at_rate(asked.port, asked.request.read_bytes(), asked.rate, asked.seconds, asked.connections)
    seconds = time.perf_counter() - began
    print(json.dumps(figures(took, late) | shares(before, waited(asked.pid), len(took), seconds)))


@contextmanager
def going_first(pids: list[int]) -> Iterator[None]:
    """Let processes, with all of their threads, go before all others for a while. Raises PermissionError."""
    threads = [int(one.name) for pid in pids for one in Path(f"/proc/{pid}/task").iterdir()]
    try:
        for thread in threads:
            os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(1))
        yield
    finally:
        for thread in threads:
            with suppress(OSError):
                os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def at_rate(port: int, sent: bytes, rate: int, seconds: float, connections: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each answer from when its question was due, and by how many each question was noticed late.

    The second says how late this process was by itself, whatever connections were free.
    """
    gc.disable()
    lines = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    for line in lines:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A server that has just begun to listen may not serve yet: each connection is answered once before it counts.
        line.sendall(sent)
        held = b""
        while not _whole(held):
            held += line.recv(65_536)
    for line in lines:
        line.setblocking(False)
    free, parts = deque(lines), dict.fromkeys(lines, b"")
    due_of: dict[socket.socket, float] = {}
    waiting: deque[float] = deque()
    took: list[float] = []
    late: list[float] = []
    total, count, begun = int(rate * seconds), 0, time.perf_counter()
    while len(took) < total:
        now = time.perf_counter()
        if now > begun + seconds + _LATEST:
            raise TimeoutError(f"{total - len(took)} answers are missing")
        while count < total and begun + count / rate <= now:
            waiting.append(begun + count / rate)
            late.append((now - waiting[-1]) * 1_000)
            count += 1
        while waiting and free:
            line = free.popleft()
            due_of[line] = waiting.popleft()
            line.send(sent)
        # `select` waits as long as it is told; `epoll` rounds up to milliseconds.
        pause = begun + count / rate - time.perf_counter() if count < total else 1.0
        for line in select.select(list(due_of), (), (), max(0.0, pause))[0]:
            held = parts[line] + line.recv(65_536)
            if not _whole(held):
                parts[line] = held
                continue
            parts[line] = b""
            took.append((time.perf_counter() - due_of.pop(line)) * 1_000)
            free.append(line)
    for line in lines:
        line.close()
    return took, late


def _whole(held: bytes) -> bool:
    head, end, body = held.partition(_END)
    if not end:
        return False
    at = head.lower().find(_LENGTH)
    length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return len(body) >= length


def waited(pid: int | None) -> tuple[Waited, Waited | None]:
    """Of this process, and of another with all of its threads; zeros for waiting where the system does not say."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    own = Waited(used.ru_utime + used.ru_stime, _scheduled(os.getpid()).for_core)
    return own, _scheduled(pid) if pid else None


def _scheduled(pid: int) -> Waited:
    on, ready = 0, 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        try:
            first, second, _ = (thread / "schedstat").read_text().split()
        except OSError:
            continue
        on, ready = on + int(first), ready + int(second)
    return Waited(on / 1e9, ready / 1e9)


def figures(took: list[float], late: list[float]) -> dict[str, Any]:
    """Percentiles of times, and of how late this process was."""
    took, late = sorted(took), sorted(late)
    names = (("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99), ("p999_ms", 0.999))
    told: dict[str, Any] = {name: round(took[int(place * len(took))], 3) for name, place in names}
    return told | {"most_ms": round(took[-1], 3), "late_p99_ms": round(late[int(0.99 * len(late))], 3)}


def shares(
    before: tuple[Waited, Waited | None], after: tuple[Waited, Waited | None], count: int, seconds: float
) -> dict[str, Any]:
    """What a question cost this process and the server in processor time, and how long each waited for a core."""
    told: dict[str, Any] = {"requests": count}
    for name, was, now in zip(("client", "server"), before, after, strict=True):
        if was is not None and now is not None:
            told[f"{name}_cpu_us"] = round((now.on_core - was.on_core) / count * 1e6, 1)
            told[f"{name}_waited_for_core"] = round((now.for_core - was.for_core) / seconds, 4)
    return told


if __name__ == "__main__":
    main()
