"""Tokens of the last minute that gateways on several machines count together, in Redis.

No request waits for Redis. Each gateway counts for itself at once; a thread adds that up in Redis ten times a second
and reads what the others counted. So a budget is overshot by what all machines serve in such a moment. Where Redis is
gone, each gateway goes on with what it counted itself, and nobody is refused for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING

from clonewatch_gateway.counters import Moment
from clonewatch_gateway.periodic import Periodic

if TYPE_CHECKING:
    from redis import Redis

PERIOD = 0.1
# Seconds after which Redis forgets a minute, and for which it may keep this thread waiting.
KEPT, TIMEOUT = 180, 1.0
# Counters that are followed at once; of others only what this gateway counts is known.
MOST_COUNTERS = 2_000
_MINUTE = 60
_PREFIX = "clonewatch:tokens:"
_INSTALL = "counting in Redis needs the library. Install the extra: pip install 'clonewatch-gateway[redis]'"
_LOG = logging.getLogger("clonewatch_gateway")
# A counter in a minute.
_Slot = tuple[int, str]


class NotInstalled(Exception):
    """The library is not installed. The message says what to do."""


def connected(url: str) -> Redis:
    """A client that waits for nobody long. url: redis://, rediss:// or unix://. Raises ValueError, NotInstalled."""
    try:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise NotInstalled(_INSTALL) from error
    # What was sent may have been counted: it is not sent again.
    return Redis.from_url(url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, retry=Retry(NoBackoff(), 0))


class RedisMinutes:
    """A sliding minute for each counter, over all gateways that share a Redis. Their clocks agree within seconds.

    said: called with a sentence when Redis goes, and when it is back; default: a warning of the log
    `clonewatch_gateway`. Make it in each worker, after the fork, and start it.
    """

    def __init__(
        self,
        client: Redis,
        *,
        period: float = PERIOD,
        said: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client, self._period, self._clock = client, period, clock
        self._said = said or (lambda what: _LOG.warning("%s", what))
        self._lock = threading.Lock()
        # What was counted here, what of it is to be sent, what Redis has of it, and what Redis has of all gateways.
        self._own: dict[_Slot, float] = {}
        self._unsent: dict[_Slot, float] = {}
        self._sent: dict[_Slot, float] = {}
        self._all: dict[_Slot, float] = {}
        self._followed: dict[str, int] = {}
        self._thread = Periodic("clonewatch-counters", self._step)
        self.problem = ""

    def at(self, now: float) -> Mapping[str, float]:
        """These counters at a time, in seconds since 1970."""
        return Moment(self, now)

    def add(self, counter: str, tokens: float, now: float) -> None:
        """Count tokens; negative ones give back what was not used."""
        slot = int(now // _MINUTE), counter
        with self._lock:
            self._own[slot] = self._own.get(slot, 0.0) + tokens
            self._unsent[slot] = self._unsent.get(slot, 0.0) + tokens
            self._follow(counter, slot[0])

    def read(self, counter: str, now: float) -> float | None:
        """Tokens of the last minute, as far as this gateway knows; None where it knows of none."""
        minute = int(now // _MINUTE)
        with self._lock:
            self._follow(counter, minute)
            running, before = self._total((minute, counter)), self._total((minute - 1, counter))
        if running is None and before is None:
            return None
        return max(0.0, running or 0.0) + (1.0 - (now / _MINUTE - minute)) * max(0.0, before or 0.0)

    def _total(self, slot: _Slot) -> float | None:
        if slot not in self._own and slot not in self._all:
            return None
        return self._all.get(slot, 0.0) + self._own.get(slot, 0.0) - self._sent.get(slot, 0.0)

    def _follow(self, counter: str, minute: int) -> None:
        if counter in self._followed or len(self._followed) < MOST_COUNTERS:
            self._followed[counter] = minute

    def exchange(self) -> bool:
        """Send what was counted here, and read what all counted, once; whether Redis answered."""
        minute = int(self._clock() // _MINUTE)
        with self._lock:
            sending, self._unsent = self._unsent, {}
            self._forget(minute)
            slots = [(at, counter) for counter in self._followed for at in (minute, minute - 1)]
        try:
            found = self._asked(sending, slots)
        except Exception as error:  # noqa: BLE001  (whatever it is: requests are served on)
            # It may have been counted or not: it is not sent again, and stays in what this gateway knows.
            self._tell(f"{type(error).__name__}: {error}")
            return False
        with self._lock:
            for slot, tokens in sending.items():
                self._sent[slot] = self._sent.get(slot, 0.0) + tokens
            self._all |= found
        self._tell("")
        return True

    def _asked(self, sending: Mapping[_Slot, float], slots: list[_Slot]) -> dict[_Slot, float]:
        with self._client.pipeline(transaction=False) as pipe:
            for slot, tokens in sending.items():
                pipe.incrbyfloat(_key(slot), tokens)
                pipe.expire(_key(slot), KEPT)
            if slots:
                pipe.mget([_key(slot) for slot in slots])
            answers = pipe.execute()
        held = answers[-1] if slots else []
        return {slot: float(value) for slot, value in zip(slots, held, strict=True) if value is not None}

    def _forget(self, minute: int) -> None:
        """Drop minutes that count no more, those of a clock that was ahead as well."""
        for held in (self._own, self._sent, self._all):
            for slot in [slot for slot in held if not minute - 1 <= slot[0] <= minute + 1]:
                del held[slot]
        self._followed = {name: at for name, at in self._followed.items() if minute - 1 <= at <= minute + 1}

    def _tell(self, problem: str) -> None:
        if bool(problem) != bool(self.problem):
            here = "each gateway counts for itself"
            self._said(f"budgets are not shared, {here}: {problem}" if problem else "budgets are shared again")
        self.problem = problem

    def start(self) -> RedisMinutes:
        """Exchange every period, in a thread that ends with the process."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Send what is left, and end the thread."""
        self._thread.stop()
        self.exchange()

    def _step(self) -> float:
        return self._period if self.exchange() else TIMEOUT


def _key(slot: _Slot) -> str:
    """The name in Redis: cases are in it as hashes."""
    named = blake2b(slot[1].encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{_PREFIX}{slot[0]}:{named}"
