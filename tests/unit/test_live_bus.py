"""One suite for every bus: rows come out at least once, in order, and none is lost when either end or the bus ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from confluent_kafka import Producer
from tests.required import required
from tests.unit.live_stand import exchange, ids, serving, settings
from tests.unit.test_live_worker import Watched, rows

from clonewatch.live import batches, bodies, bus, spool
from clonewatch.live.bus import Reader, Writer, packed, unpacked
from clonewatch.live.settings import Detect, Settings, shown
from clonewatch.live.spool import Bounds, FullError, Rows
from clonewatch.model.errors import SetupError

PATIENCE = 30.0
REDIS = shutil.which("redis-server")
REQUIRED = required("Redis", [] if REDIS else ["redis-server"])


class Redis:
    """A real Redis on a free port, which writes everything to its disk before it answers."""

    def __init__(self, folder: Path) -> None:
        with contextlib.closing(socket.socket()) as held:
            held.bind(("127.0.0.1", 0))
            self.port = int(held.getsockname()[1])
        self.folder = folder
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> Redis:
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        keeps = ["--appendonly", "yes", "--appendfsync", "always"]
        self._running = subprocess.Popen([str(REDIS), *words, *keeps], stdout=subprocess.DEVNULL)
        until = time.monotonic() + PATIENCE
        with contextlib.closing(redis.Redis(port=self.port)) as client:
            while time.monotonic() < until:
                with contextlib.suppress(redis.exceptions.RedisError):
                    client.ping()
                    return self
                time.sleep(0.02)
        raise AssertionError("Redis does not start")

    def stop(self) -> None:
        if self._running:
            os.kill(self._running.pid, signal.SIGKILL)
            self._running.wait()
            self._running = None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    held = Redis(tmp_path_factory.mktemp("redis")).start()
    yield held
    held.stop()


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """The address of the broker that comes with librdkafka."""
    producer = Producer({"test.mock.num.brokers": 1})
    [found] = producer.list_topics(timeout=PATIENCE).brokers.values()
    yield f"{found.host}:{found.port}"
    del producer


@pytest.fixture(params=["spool", pytest.param("redis", marks=REQUIRED), "kafka"])
def chosen(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings with each bus, a stream or topic of their own."""
    held = settings(tmp_path, detect=Detect(every_minutes=60))
    name = f"s{time.monotonic_ns()}"
    if request.param == "redis":
        port = request.getfixturevalue("server").port
        return msgspec.structs.replace(held, bus=f"redis://127.0.0.1:{port}/{name}")
    if request.param == "kafka":
        return msgspec.structs.replace(held, bus=f"kafka://{request.getfixturevalue('broker')}/{name}")
    return held


class FromSpool:
    """The spool alone as the worker reads it, in the shape of the other buses."""

    def __init__(self, chosen: Settings) -> None:
        self._place = Path(chosen.spool)

    def drain(self, put: Callable[[list[Rows]], None]) -> int:
        count = 0
        for batch in batches.waiting(self._place):
            found = [Rows(spool.stream_of(p), p.read_bytes(), p.read_bytes().count(b"\n")) for p in batch.segments()]
            put(found)
            batch.done()
            count += sum(one.rows for one in found)
        return count


@contextlib.contextmanager
def reader(chosen: Settings) -> Iterator[Reader]:
    held: Any = bus.reading(chosen) or FromSpool(chosen)
    yield held
    if hasattr(held, "close"):
        held.close()


def drained(chosen: Settings, wanted: int) -> list[bytes]:
    """Lines that come out, once there are so many."""
    lines: list[bytes] = []
    until = time.monotonic() + PATIENCE
    with reader(chosen) as held:
        while len(lines) < wanted and time.monotonic() < until:
            held.drain(lambda found: lines.extend(line for one in found for line in one.data.splitlines()))
    return lines


def put(chosen: Settings, *found: Rows) -> None:
    with bus.writing(chosen) as held:
        held.append(found)


def line(number: int, stream: str = "exchange_ndjson") -> Rows:
    return Rows(stream, b"%d\n" % number, 1)


def test_what_goes_in_comes_out_in_order_and_is_forgotten(chosen: Settings) -> None:
    with bus.writing(chosen) as held:
        for number in range(20):
            held.append([line(number)])
    assert drained(chosen, 20) == [b"%d" % number for number in range(20)]
    put(chosen, line(99))
    assert drained(chosen, 1) == [b"99"]


def test_a_row_keeps_its_stream_its_bytes_and_its_count(chosen: Settings) -> None:
    sent = Rows("jsonl_map@our-gateway", b'{"a": "\xc3\xa9"}\n' * 3, 3)
    put(chosen, sent)
    found: list[Rows] = []
    until = time.monotonic() + PATIENCE
    with reader(chosen) as held:
        while not found and time.monotonic() < until:
            held.drain(found.extend)
    assert [one._replace(at=0.0) for one in found] == [sent]


def test_what_a_reader_could_not_put_away_comes_again(chosen: Settings) -> None:
    put(chosen, line(1), line(2))

    def broken(_: object) -> None:
        raise FullError

    until = time.monotonic() + PATIENCE
    with reader(chosen) as held:
        with pytest.raises(FullError):
            while time.monotonic() < until:
                held.drain(broken)
        lines: list[bytes] = []
        while len(lines) < 2 and time.monotonic() < until:
            held.drain(lambda found: lines.extend(line for one in found for line in one.data.splitlines()))
    assert lines == [b"1", b"2"]


def test_what_a_reader_held_when_it_ended_comes_to_the_next(chosen: Settings) -> None:
    put(chosen, line(1))

    def killed(_: object) -> None:
        raise KeyboardInterrupt

    until = time.monotonic() + PATIENCE
    with pytest.raises(KeyboardInterrupt), reader(chosen) as held:
        while time.monotonic() < until:
            held.drain(killed)
    assert drained(chosen, 1) == [b"1"]


def test_a_worker_takes_what_the_bus_has_into_the_state_once(chosen: Settings) -> None:
    put(chosen, rows(range(40)))
    put(chosen, rows(range(30, 60)), *bodies.facts(b'{"kind":"sign_up","account_id":"a1"}', accounts=False).rows)
    worker = Watched(msgspec.structs.replace(chosen, bounds=msgspec.structs.replace(chosen.bounds, seal_seconds=0.05)))
    steps, until = iter(range(10_000)), time.monotonic() + PATIENCE
    worker.run(lambda: worker.status.exchanges >= 60 or time.monotonic() > until or next(steps) > 100)
    assert ids(Path(chosen.state)) == sorted(f"x{n}" for n in range(60))
    assert (worker.status.problem, worker.status.set_aside) == ("", 0)


@pytest.mark.parametrize("chosen", [pytest.param("redis", marks=REQUIRED), "kafka"], indirect=True)
def test_a_worker_whose_spool_is_full_takes_from_it_and_fetches_the_rest(chosen: Settings) -> None:
    many = [rows(range(n, n + 100), note="x" * 400) for n in range(0, 500, 100)]
    assert sum(len(one.data) for one in many) > 1 << 17
    for one in many:
        put(chosen, one)
    bounds = msgspec.structs.replace(chosen.bounds, size="100KB", seal_seconds=0.05)
    worker = Watched(msgspec.structs.replace(chosen, bounds=bounds))
    until = time.monotonic() + PATIENCE
    with pytest.MonkeyPatch.context() as small:
        for module in ("redis_bus", "kafka_bus"):
            small.setattr(f"clonewatch.live.{module}.MOST_AT_ONCE", 1)
        worker.run(lambda: worker.status.exchanges >= 500 or time.monotonic() > until)
    assert ids(Path(chosen.state)) == sorted(f"x{n}" for n in range(500))
    assert worker.status.failures > 0


def test_the_wait_in_the_bus_is_part_of_the_wait(chosen: Settings) -> None:
    put(chosen, rows(range(3))._replace(at=time.time() - 3_000))
    worker = Watched(msgspec.structs.replace(chosen, bounds=msgspec.structs.replace(chosen.bounds, seal_seconds=0.05)))
    until = time.monotonic() + PATIENCE
    worker.run(lambda: worker.status.exchanges >= 3 or time.monotonic() > until)
    assert worker.status.to_state.counts[-2] == 3  # between twenty minutes and an hour


@pytest.mark.parametrize("chosen", [pytest.param("redis", marks=REQUIRED), "kafka"], indirect=True)
def test_two_services_receive_and_one_worker_takes_all(chosen: Settings, tmp_path: Path) -> None:
    other = msgspec.structs.replace(chosen, spool=str(tmp_path / "elsewhere"), worker=False)
    with serving(chosen) as one, serving(other) as two:
        for number in range(10):
            assert (one, two)[number % 2].post("/v1/exchanges", exchange(number)).status_code == 200
    worker = Watched(msgspec.structs.replace(chosen, bounds=msgspec.structs.replace(chosen.bounds, seal_seconds=0.05)))
    until = time.monotonic() + PATIENCE
    worker.run(lambda: worker.status.exchanges >= 10 or time.monotonic() > until)
    assert ids(Path(chosen.state)) == sorted(f"x{n}" for n in range(10))


def test_a_message_of_somebody_else_is_left_out(chosen: Settings) -> None:
    assert unpacked(b"hello", 100) is None and unpacked(b"", 100) is None
    good = line(1)
    assert unpacked(packed(good._replace(at=7.5)), 100) == good._replace(at=7.5)
    assert unpacked(packed(Rows("x", b"a" * 1000 + b"\n", 1)), 100) is None
    for name in ("../../etc/passwd", "a/b", "a\0b"):
        assert unpacked(packed(Rows(name, b"1\n", 1)), 100) is None
    assert unpacked(packed(Rows("x", b"torn", 1)), 100) is None


@REQUIRED
def test_a_redis_that_is_stopped_and_begun_again_loses_nothing(tmp_path: Path) -> None:
    server = Redis(tmp_path).start()
    chosen = settings(tmp_path, bus=f"redis://127.0.0.1:{server.port}/traffic")
    try:
        with bus.writing(chosen) as held, reader(chosen) as other:
            held.append([line(1), line(2)])
            server.stop()
            with pytest.raises(OSError, match="Redis refuses"):
                held.append([line(3)])
            with pytest.raises(OSError, match="Redis refuses"):
                other.drain(lambda _: None)
            with serving(chosen) as service:
                refused = service.post("/v1/exchanges", exchange(9))
                assert refused.status_code == 503 and refused.headers["retry-after"] == "30"
                server.start()
                assert service.post("/v1/exchanges", exchange(9)).status_code == 200
            held.append([line(3)])
            lines: list[bytes] = []
            other.drain(lambda found: lines.extend(line for one in found for line in one.data.splitlines()))
            lines = [one for one in lines if one]
            assert lines[:2] + lines[3:] == [b"1", b"2", b"3"] and b'"x9"' in lines[2]
    finally:
        server.stop()


@REQUIRED
def test_redis_holds_no_more_than_it_may_and_nothing_that_was_taken(server: Redis, tmp_path: Path) -> None:
    tight = settings(tmp_path, bus=f"redis://127.0.0.1:{server.port}/tight")
    tight = msgspec.structs.replace(tight, bounds=msgspec.structs.replace(tight.bounds, size="1MB"))
    with bus.writing(tight) as held:
        taken = 0
        with pytest.raises(FullError):
            for _ in range(100):
                held.append([Rows("x", os.urandom(50_000) + b"\n", 1)])
                taken += 1
                held._looked = -10.0  # type: ignore[attr-defined]
        assert 10 < taken < 25 and held.is_full(100_000)
        assert len(drained(tight, taken)) >= taken
        held._looked = -10.0  # type: ignore[attr-defined]
        assert not held.is_full(100_000)
        held.append([line(1)])


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("amqp://host/x", "no address of a bus"),
        ("redis://host:1/a/b", "more than a stream"),
        ("kafka:///x", "not brokers"),
        ("kafka://me:secret@host:9092/x", "not brokers"),
    ],
)
def test_an_address_that_is_none_is_refused(tmp_path: Path, address: str, said: str) -> None:
    with pytest.raises(SetupError, match=said):
        bus.reading(settings(tmp_path, bus=address))


def test_a_wrong_setting_of_kafka_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"absent\.setting"):
        bus.reading(settings(tmp_path, bus="kafka://127.0.0.1:1/x", kafka={"absent.setting": "1"}))


def test_passwords_of_a_bus_are_not_shown(tmp_path: Path) -> None:
    kafka = {"sasl.password": "secret"}
    assert "secret" not in str(shown(settings(tmp_path, bus="redis://:secret@host:6379/x", kafka=kafka)))


def test_the_three_are_one_kind_of_thing(chosen: Settings) -> None:
    with bus.writing(chosen) as held:
        writer: Writer = held
        assert writer.place == Path(chosen.spool) and isinstance(writer.bounds, Bounds)
        assert not writer.is_full() and writer.expire() == 0 and writer.size >= 0
        writer.seal()
