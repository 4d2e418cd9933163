"""Follows a watch list: a thread looks for new files, checks them, and puts them in place of the list in use.

What is wrong with a new file is said, and the list in use stays until it is stale: nobody is refused by a fault, and
traffic flows on when nothing new comes.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from clonewatch_gateway.mapping import forget
from clonewatch_gateway.periodic import Periodic
from clonewatch_gateway.refusal import MISSING, UNREADABLE, Refused
from clonewatch_gateway.signatures import key_name
from clonewatch_gateway.watch_list import Keys, Part, WatchList, joined

SNAPSHOT_NAME, DELTA_NAME = "snapshot.cwl", "delta.cwl"
PERIOD = 1.0
NO_LIST, STALE, EARLY = "no_list", "stale_list", "list_from_the_future"
_IDLE = {
    NO_LIST: "there is no list that can be used",
    STALE: "the newest good list is over. Publish again",
    EARLY: "the newest good list is of a time to come. Look at the clocks of this machine and of the publisher",
}
_LOG = logging.getLogger("clonewatch_gateway")
Seen = tuple[int, int, int] | None


class Follower:
    """The newest good list of a folder. memory: a file that remembers the highest serial number over restarts.

    shared: a folder of this gateway's own, in which workers share one copy of the list; without it each has its own.
    said: called with a code and a sentence when something is wrong with a new file, once for each file, and when the
    list in use is over; default: a warning of the log `clonewatch_gateway`.
    """

    def __init__(
        self,
        folder: Path,
        keys: Keys,
        *,
        memory: Path | None = None,
        shared: Path | None = None,
        said: Callable[[str, str], None] | None = None,
        period: float = PERIOD,
    ) -> None:
        self.folder, self._keys, self._memory, self._shared = folder, keys, memory, shared
        self._period = period
        self._said = said or (lambda code, what: _LOG.warning("watch list not used: %s: %s", code, what))
        self._seen: tuple[Seen, Seen] | None = None
        self._part: tuple[Seen, Part] | None = None
        self._highest = self._remembered()
        self._lock = threading.Lock()
        self._thread = Periodic("clonewatch-watch-list", self._step)
        self.current: WatchList | None = None
        self.problem = ""
        self._told = ""
        self.look()

    def trust(self, trusted: tuple[bytes, ...]) -> None:
        """Trust other public keys from now on. A list in use that none of them signed is used no more."""
        with self._lock:
            self._keys = self._keys._replace(trusted=trusted)
            self._seen, self._part = None, None
            used = self.current
            if used is not None:
                names = {key_name(key) for key in trusted}
                parts = [one for one in (used.snapshot, used.delta) if one is not None]
                if not names.issuperset(one.header["signed_by"] for one in parts):
                    self.current = None

    def look(self) -> bool:
        """Look for new files once; whether a new list is in use."""
        with self._lock:
            return self._looked()

    def _looked(self) -> bool:
        seen = (state_of(self.folder / SNAPSHOT_NAME), state_of(self.folder / DELTA_NAME))
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            found = self._read(*seen)
        except Refused as refused:
            again = refused.code == UNREADABLE and self.problem == UNREADABLE
            self.problem = refused.code
            if refused.code == UNREADABLE:
                self._seen = None  # a full disk, perhaps: the same files are tried again
            if not again:
                self._said(refused.code, refused.said)
            return False
        self.problem, self.current = "", found
        if self._shared is not None:
            forget(self._shared, {one.copy for one in (found.snapshot, found.delta) if one}, time.time())
        if found.serial > self._highest:
            self._highest = found.serial
            self._remember()
        return True

    def _read(self, snapshot: Seen, delta: Seen) -> WatchList:
        if snapshot is None:
            raise Refused(MISSING, f"there is no {SNAPSHOT_NAME} in {self.folder}")
        if self._part is None or self._part[0] != snapshot:
            self._part = (snapshot, Part(self.folder / SNAPSHOT_NAME, self._keys, self._shared))
        part = Part(self.folder / DELTA_NAME, self._keys, self._shared) if delta is not None else None
        return joined(self._part[1], part, self._keys, after=self._highest)

    def start(self) -> Follower:
        """Look every period, in a thread that ends with the process."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the thread."""
        self._thread.stop()

    def idle(self, now: float | None = None) -> str:
        """Why decisions are only observed: a code, as their reason has it; empty where the list is in use."""
        moment = time.time() if now is None else now
        if self.current is None:
            return NO_LIST
        if moment < self.current.from_:
            return EARLY
        return STALE if moment >= self.current.valid_until else ""

    def tell_idle(self, now: float | None = None) -> None:
        """Say once that nothing is enforced, and why."""
        idle = self.idle(now)
        if idle and idle != self._told:
            self._said(idle, f"nothing is enforced: {_IDLE[idle]} ({self.folder})")
        self._told = idle

    def _step(self) -> float:
        self.look()
        self.tell_idle()
        return self._period

    def _remembered(self) -> int:
        if self._memory is None:
            return 0
        try:
            return int(self._memory.read_text(encoding="ascii"))
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            self._said("no_memory", f"the highest serial number cannot be read from {self._memory}: {error}")
            return 0

    def _remember(self) -> None:
        if self._memory is None:
            return
        aside = self._memory.with_name(f".{self._memory.name}.{os.getpid()}")
        try:
            aside.write_text(str(self._highest), encoding="ascii")
            aside.replace(self._memory)
        except OSError as error:
            self._said("no_memory", f"the highest serial number cannot be kept in {self._memory}: {error}")


def state_of(path: Path) -> Seen:
    """What tells one file at a path from the next; None for no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
