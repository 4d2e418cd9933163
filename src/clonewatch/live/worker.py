"""The worker: takes batches from the spool into the state, looks for groups, and publishes the watch list.

It is a process of its own, so that receiving goes on while it works. Whenever it is killed, nothing is lost and nothing
is counted twice: a batch is removed after the state has it, and the state takes no row twice.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from clonewatch.live import bus, spool
from clonewatch.live.batches import MOST_TRIES, Batch, apart, carry, forget_carried, set_aside, waiting
from clonewatch.live.bodies import SIDES, Sources
from clonewatch.live.bus import Reader
from clonewatch.live.settings import Settings
from clonewatch.live.spool import Arrived, FullError, Spool, counted, make
from clonewatch.live.status import Status
from clonewatch.model.errors import ClonewatchError, KeyFileError, OutputError, StateError
from clonewatch.model.limits import DEFAULT
from clonewatch.pipeline.daily.detect_window import WindowSettings, windows
from clonewatch.pipeline.daily.growing import Grown, grown
from clonewatch.pipeline.daily.ingest import Ingested, IngestSettings, ingest
from clonewatch.pipeline.daily.maintenance import compact, look

# What publishes a watch list of result folders, and of the accounts that joined groups of each since; it says its
# serial number and how many accounts it has.
Publisher = Callable[[list[Path], list[list[Grown]]], tuple[int, int]]


class Following(Protocol):
    """A publisher that also publishes by itself what people decide, between two looks."""

    def __call__(self, scans: list[Path], grown: list[list[Grown]], /) -> tuple[int, int]:
        """Publish what was found."""

    def follow(self, told: Callable[[int, int], None], said: Callable[[str], None], stop: threading.Event) -> None:
        """Publish what is decided until it is stopped. told: called with each list's serial number and accounts."""


_LOCK = ".worker.lock"
_REJECTED = DEFAULT._replace(rejected=1 << 20)
_MOST_PARTS = 200  # beyond one a day, after which a state is compacted
_FILES_KEPT = 200  # of rejected rows
_CARRIED_SECONDS = 30.0  # and two more segments' time: then no batch comes for what was carried
_AGAIN = 10.0  # seconds after which a look that failed is tried again
_NAP = 0.5  # seconds between looks at the spool
# What goes away, and is no fault of a batch.
_PASSING = (StateError, OutputError, KeyFileError, OSError)

log = logging.getLogger("clonewatch.live")


class Worker:
    """One worker of a spool. publisher: None for no watch list. clock: seconds since 1970."""

    def __init__(
        self, settings: Settings, publisher: Publisher | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.settings, self.publisher, self._clock = settings, publisher, clock
        self.place = Path(settings.spool)
        self.key = Path(settings.fingerprint_key) if settings.fingerprint_key else None
        self.sources = Sources(settings.maps)
        self.status = Status()
        self._bus: Reader | None = None
        self._own: Spool | None = None
        self._unseen = Counter[float]()  # rows that no look has seen yet, by the second of their arrival
        self._begun = False  # whether there was a look since this process began
        self._results: list[Path] = []  # of the last look
        self._grown: list[list[Grown]] = []  # since then, for each of them
        self._compared = 0  # batches that were taken when newcomers were compared last
        self._next = 0.0  # when the next look is due, on a clock that nobody sets

    def run(self, stopped: Callable[[], bool]) -> None:
        """Work until told to stop. What goes wrong is said, counted and tried again."""
        with _alone(self.place, stopped), contextlib.ExitStack() as held:
            self._bus = bus.reading(self.settings)
            if self._bus is not None:  # what it hands over is in a spool of our own before it forgets it
                self._own = held.enter_context(spool.opened(self.place, self.settings.spool_bounds()))
            while not stopped():
                self.step()
                time.sleep(_NAP)

    def step(self) -> None:
        """Fetch what a bus has, take what is sealed, look for groups or new accounts: each whatever others do."""
        problem = "; ".join(
            filter(None, [self._tried(one) for one in (self._fetch, self._take_all, self._look_if_due, self._grow)])
        )
        if problem and problem != self.status.problem:
            log.error("trouble", extra={"problem": problem})
        self.status.problem = problem
        self.status.write(self.place)

    def _tried(self, work: Callable[[], None]) -> str:
        """Do one kind of work; what it waits for, in words, empty for nothing."""
        try:
            work()
            return ""
        except ClonewatchError as error:
            said = error.what
        except FullError:
            said = "the spool is full"
        except OSError as error:
            said = f"the system refuses: {error.strerror}"
        self.status.failures += 1
        return said

    def _fetch(self) -> None:
        if self._bus is None or self._own is None:
            return
        self._own.seal()
        self._own.expire(SIDES)
        self._bus.drain(self._own.append)

    def _take_all(self) -> None:
        for batch in waiting(self.place):
            self._take(batch)
        forget_carried(self.place, _CARRIED_SECONDS + 2 * self.settings.bounds.seal_seconds)

    def _look_if_due(self) -> None:
        if time.monotonic() >= self._next and self._is_due():
            self._next = time.monotonic() + _AGAIN  # for one that fails
            self._look()

    def _grow(self) -> None:
        """Between two looks: publish which new accounts joined groups of the last. The next judges them again."""
        if self.publisher is None or not self._results or self._compared == self.status.batches:
            return
        self._compared = self.status.batches
        state, memory = Path(self.settings.state), self.settings.detect.memory
        found = [grown(state, result, self.key, memory) for result in self._results]
        self.status.grown = sum(map(len, found))
        if found != self._grown and any([*found, *self._grown]):
            self.status.serial, self.status.listed = self.publisher(self._results, found)
            log.info("grown", extra={"accounts": self.status.grown, "serial": self.status.serial})
        self._grown = found

    def _take(self, batch: Batch) -> None:
        """Take a batch; one that ended this process twice or that no reader takes: without its facts, then in parts."""
        if batch.tried() >= MOST_TRIES:
            self._apart(batch, "it ended the worker")
            return
        try:
            self._ingest(batch)
        except _PASSING:
            (batch.place / "tries").unlink(missing_ok=True)
            raise
        except ClonewatchError as error:
            self._apart(batch, error.what)
        except Exception as error:  # noqa: BLE001 - whatever a batch holds, the next ones are taken
            self._apart(batch, type(error).__name__)

    def _apart(self, batch: Batch, why: str) -> None:
        if batch.put_facts_away():
            self._take(batch)
            return
        batch.give_facts_back()
        if len(batch.segments()) > 1:
            for one in apart(batch):
                self._take(one)
            return
        set_aside(batch)
        self.status.set_aside += 1
        log.error("segment set aside", extra={"problem": why, "format": batch.form})

    def _ingest(self, batch: Batch) -> None:
        if not batch.segments():
            batch.done()
            return
        done = ingest(
            IngestSettings(
                paths=(str(batch.place),),
                state=Path(self.settings.state),
                format="auto" if batch.source else batch.form,
                mapping=self.sources.file_of(batch.source) if batch.source else None,
                key_file=self.key,
                memory=self.settings.detect.memory,
                max_rejected=1.0,
                limits=_REJECTED,
                passing=True,
            )
        )
        times = batch.times()
        carry(batch)
        self.status.set_aside += batch.done()
        self._count(done, times)

    def _count(self, done: Ingested, times: list[Arrived]) -> None:
        status = self.status
        status.batches += 1
        status.exchanges += done.kept
        status.repeated += done.repeated
        status.rejected += done.rejected
        status.accounts = done.accounts
        status.taken_at = self._clock()
        status.to_state.add(counted(times, status.taken_at))
        status.arrived(times)
        for one in times:
            self._unseen[round(one.at)] += one.rows
        log.info(
            "taken",
            extra={
                "exchanges": done.kept,
                "repeated": done.repeated,
                "rejected": done.rejected,
                "batch": status.batches,
            },
        )
        _prune(Path(self.settings.state) / "rejected")

    def _is_due(self) -> bool:
        """Whether a look could tell something new: of exchanges, or to gateways, whose list would lapse."""
        held = (Path(self.settings.state) / "state.json").exists()
        return held and (bool(self._unseen) or self.publisher is not None or not self._begun)

    def _look(self) -> None:
        """Look for groups in the days of the state, and publish what the policy says about them."""
        self._compact()
        started, seen = time.monotonic(), self._unseen
        chosen = self.settings.detect
        found = windows(
            WindowSettings(
                state=Path(self.settings.state),
                out=Path(self.settings.results),
                days=chosen.days,
                until=self._until(),
                key_file=self.key,
                memory=chosen.memory,
                max_repeated=1.0,
                answers=Path(chosen.answers) if chosen.answers else None,
                calibration=Path(chosen.calibration) if chosen.calibration else None,
            )
        )
        self._results, self._grown = [one.out for one in found], [[] for _ in found]
        self._compared, self.status.grown = self.status.batches, 0
        if self.publisher:
            self.status.serial, self.status.listed = self.publisher(self._results, self._grown)
        self._unseen, self._begun = Counter(), True
        took = time.monotonic() - started
        status = self.status
        status.looks, status.look_seconds, status.looked_at = status.looks + 1, took, self._clock()
        status.to_effect.add(counted([Arrived(at, rows, 0) for at, rows in seen.items()], status.looked_at))
        status.flagged = max(
            (sum(row["flagged"] for row in one.result.tables["campaigns"].to_pylist()) for one in found if one.result),
            default=status.flagged,
        )
        # A look that takes long is not begun again at once: the spool comes first.
        self._next = started + max(60 * chosen.every_minutes, 2 * took)
        log.info("looked", extra={"seconds": round(took, 2), "flagged": status.flagged, "serial": status.serial})

    def _until(self) -> datetime | None:
        """Today, where the state has exchanges of it: shortly after midnight it has few, which would not count."""
        today = datetime.fromtimestamp(self._clock(), UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        days = look(Path(self.settings.state), self.key)["days"]
        return today if any(day["day"] == today.date().isoformat() for day in days) else None

    def _compact(self) -> None:
        held = look(Path(self.settings.state), self.key)["days"]
        if sum(day["parts"] - 1 for day in held) > _MOST_PARTS:
            chosen = self.settings.detect
            compact(Path(self.settings.state), self.key, keep=chosen.keep_days or None, memory=chosen.memory)


def work(settings: Settings, publisher: Following | None, parent: int) -> None:
    """Run a worker until its parent process is gone, or it gets SIGTERM. Beside it what people decide is published."""
    import signal

    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    make(Path(settings.spool))
    worker = Worker(settings, publisher)
    with _followed(publisher, worker.status):
        worker.run(lambda: bool(stop) or os.getppid() != parent)


@contextlib.contextmanager
def _followed(publisher: Following | None, status: Status) -> Iterator[None]:
    """Publish decisions in a thread of its own, so that none waits for a look."""
    if publisher is None:
        yield
        return
    stop = threading.Event()

    def told(serial: int, listed: int) -> None:
        status.serial, status.listed = serial, listed
        log.info("decided", extra={"serial": serial})

    def followed() -> None:
        while not stop.is_set():
            try:
                publisher.follow(told, lambda what: log.error("trouble", extra={"problem": what}), stop)
                return
            except (ClonewatchError, OSError) as error:  # the store cannot be opened yet
                log.error("trouble", extra={"problem": str(error)})
                stop.wait(_AGAIN)

    thread = threading.Thread(target=followed, name="clonewatch-decisions", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def _alone(place: Path, stopped: Callable[[], bool]) -> Iterator[None]:
    """Wait until no other worker has the spool: one that lost its parent ends by itself."""
    lock = FileLock(place / _LOCK, thread_local=False)
    while True:
        try:
            lock.acquire(timeout=1)
            break
        except Timeout:
            if stopped():
                return
    try:
        yield
    finally:
        lock.release()


def _prune(folder: Path) -> None:
    """Keep the newest files of rejected rows."""
    if folder.is_dir():
        for path in sorted(folder.glob("*.ndjson"))[:-_FILES_KEPT]:
            path.unlink(missing_ok=True)
