"""Publishes what a policy says of results and measures as a watch list; again whenever something was decided."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from clonewatch.enforcement.gathering import NOBODY, approved, of_scans
from clonewatch.model.errors import ClonewatchError, OutputError, SetupError

if TYPE_CHECKING:
    from clonewatch.cases.store import Store
    from clonewatch.pipeline.daily.growing import Grown
    from clonewatch.policy.canary import Canary
    from clonewatch.policy.groups import Ruled
    from clonewatch.policy.matching import Member
    from clonewatch.policy.policy_file import Policy
    from clonewatch.policy.publishing import Published
    from clonewatch.policy.watch_list_file import Signing

# Seconds between looks at the store: gateways take another second or two to follow.
PERIOD = 1.0


class Place(NamedTuple):
    """Where a list goes, and how. name: of the list. valid_seconds: after this time gateways only observe."""

    folder: Path
    name: str
    signing: Signing
    valid_seconds: int
    whole: bool = False


class Told(NamedTuple):
    """What was published. canary: that is limited; None for none, or where its account is used by others.

    enforced, simulated: accounts by rule. unbound: accounts under a measure that no rule enforces, by measure.
    undecided: accounts of which a fact is not known, by rule. problem: why policy and results are those read before.
    grown: accounts that joined groups since their scans, all of them simulated.
    """

    policy: Policy
    done: Published
    canary: Canary | None
    enforced: dict[str, int]
    simulated: dict[str, int]
    unbound: dict[str, int]
    undecided: dict[str, int]
    bystanders: int
    cleared: int
    problem: str = ""
    grown: int = 0


class _Read(NamedTuple):
    policy: Policy
    members: list[Member]
    slices: dict[str, list[str]]


class Publisher:
    """Publishes one policy about results and a store, as often as it is asked to."""

    def __init__(self, file: Path, scans: Sequence[Path], store: Store | None, place: Place) -> None:
        self._file, self._scans, self._store, self._place = file, list(scans), store, place
        self._grown: list[list[Grown]] = []
        self._held: _Read | None = None
        self._canary_since = 0
        self._lock = threading.Lock()  # what is found and what is decided may be published at once

    def use(self, scans: Sequence[Path], grown: Sequence[Sequence[Grown]] = ()) -> None:
        """Publish about these results from now on. grown: for each of them, accounts that joined its groups since."""
        with self._lock:
            self._scans, self._grown = list(scans), [list(those) for those in grown]

    @property
    def ready(self) -> bool:
        """Whether there are results to publish about."""
        return bool(self._scans)

    def publish(self, now: int, *, renew: bool = True) -> Told:
        """Write what the policy says now, in seconds since 1970. Raises what reading and writing raise.

        renew: begin the canary anew; else it stays as it was, since a decision that somebody waits for changed others.
        """
        with self._lock:
            return self._publish(now, renew)

    def _publish(self, now: int, renew: bool) -> Told:
        from clonewatch.policy.entries import chosen, with_canary
        from clonewatch.policy.matching import matched
        from clonewatch.policy.publishing import publish

        people = approved(self._store, now) if self._store else NOBODY
        problem = ""
        try:
            self._held = self._read(people.ruled)
        except ClonewatchError as error:
            if self._held is None:
                raise
            # Whoever was cleared is lifted, though somebody left a fault in the policy.
            problem = str(error)
        policy, members, slices = self._held
        found = matched(policy, members, people.cleared)
        made = chosen(policy, found.matches, people.measures, slices, now)
        own = policy.canary
        if own and own.account in {one.account for one in members} | people.measures.keys():
            own = None  # it is used by others: nothing is done to it, and whoever watches the canary hears of it
        if renew:
            self._canary_since = now
        if own and now < self._canary_since + own.seconds:
            made = with_canary(made, own, policy.appeal_url, self._canary_since)
        where = self._place
        _make(where.folder)
        done = publish(
            where.folder,
            where.name,
            made.numbers,
            made.entries,
            where.signing,
            now,
            where.valid_seconds,
            whole=where.whole,
        )
        counts = (made.enforced, made.simulated, made.unbound, found.undecided, found.bystanders, found.cleared)
        return Told(policy, done, own, *counts, problem, sum(one.growth != "" for one in members))

    def _read(self, ruled: Iterable[Ruled]) -> _Read:
        from clonewatch.policy.policy_file import read

        policy = read(self._file)
        if policy.rules and not self._scans:
            raise SetupError(
                "the policy has rules, and no scan is named", where=str(self._file), fix="Name one with --scan"
            )
        members, slices = of_scans(self._scans, ruled, grown=self._grown)
        return _Read(policy, members, slices)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or "this is not the name of a folder"
        raise OutputError(
            f"cannot make the folder: {said}", where=str(folder), fix="Name another with --out"
        ) from error


def follow(
    publisher: Publisher,
    store: Store,
    told: Callable[[Told], None],
    said: Callable[[str], None],
    stop: threading.Event,
    every: float | None,
    clock: Callable[[], float] = time.time,
) -> None:
    """Publish now, after every change of the store, and after `every` seconds without one, until it is stopped.

    every: None where somebody else publishes what is found, and renews it so; then it begins with the next change.
    told: called with what was published. said: called with what is wrong, once while it stays so; then it is tried
    again each second, and what was published holds until it lapses.
    """
    seen, renewed, problem = -1, float("-inf"), ""
    if every is None:
        with store.reading() as reading:
            seen = reading.size()
    while not stop.is_set():
        now = clock()
        try:
            with store.reading() as reading:
                size = reading.size()
            # A clock that went back makes nobody wait for it.
            due = every is not None and not renewed <= now < renewed + every
            wrong = ""
            if due or (size != seen and publisher.ready):
                done = publisher.publish(int(now), renew=due)
                seen, renewed, wrong = size, now if due else renewed, done.problem
                told(done)
        except (ClonewatchError, OSError) as error:
            wrong = str(error)
        if wrong and wrong != problem:
            said(wrong)
        problem = wrong
        stop.wait(PERIOD)
