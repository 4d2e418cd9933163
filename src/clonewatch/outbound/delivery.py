"""Delivers what targets have to hear: each message at least once, with growing pauses, until it is given up."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from clonewatch.cases import outbox
from clonewatch.cases.outbox import DEAD, SENT, WAITING, Delivery
from clonewatch.cases.people import later
from clonewatch.cases.store import Store
from clonewatch.model.errors import SetupError
from clonewatch.outbound import events, formats, people, posting
from clonewatch.outbound.events import Event
from clonewatch.outbound.posting import Outcome, Receiver
from clonewatch.outbound.settings import FILE, WEBHOOK, Settings, Target, key_of

# 1, 2, 4 ... minutes, half of them at random, at most six hours: given up after about a day.
MOST_TRIES = 14
_FIRST_PAUSE, _LONGEST_PAUSE = 60.0, 6 * 3600.0
# A target that fails so often in a row is left alone for the rest of a run, so that a dead one does not hold up others.
_IN_A_ROW = 3
MOST = 500
_CONTENT = {formats.CEF: "text/plain; charset=utf-8"}
_PRIVATE = 0o600


class Told(NamedTuple):
    """What a run did for one target. new: messages that it found in the log. error: of the last try that failed."""

    target: str
    where: str
    new: int
    sent: int
    failed: int
    dead: int
    waiting: int
    error: str


class Clock(NamedTuple):
    """The time, and a random share between 0 and 1 by which pauses differ."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    share: Callable[[], float] = random.random

    @property
    def text(self) -> str:
        """The time as the store holds it."""
        return f"{self.now():%Y-%m-%dT%H:%M:%SZ}"


def run(store: Store, settings: Settings, most: int = MOST, clock: Clock = Clock()) -> list[Told]:  # noqa: B008
    """Put down what is new for every target, and try what is due; most: tries for each target.

    Two runs at once try different messages. If a run dies, what it tried is tried again later.
    """
    senders = {target.name: _sender(target, settings) for target in settings.targets}
    done = []
    for target in settings.targets:
        done.append(_told(store, settings, target, senders[target.name], most, clock))
    outbox.forget(store, clock.text)
    return done


def pause(tries: int, share: float) -> timedelta:
    """How long to wait after so many tries.

    >>> [round(pause(tries, 0.5).total_seconds()) for tries in (1, 2, 14)]
    [45, 90, 16200]
    """
    whole = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (tries - 1))
    return timedelta(seconds=whole * (0.5 + share / 2))


Sender = Callable[[Event, Clock], Outcome]


def _told(store: Store, settings: Settings, target: Target, send: Sender, most: int, clock: Clock) -> Told:
    wanted, start = settings.wanted(target), clock.text
    new = outbox.gather(
        store,
        target.name,
        lambda held, number, entry: events.told(held, number, entry, wanted),
        lambda held: events.reminders(held, start, wanted),
        start,
    )
    sent = failed = in_a_row = 0
    error = ""
    while sent + failed < most and in_a_row < _IN_A_ROW:
        delivery = outbox.claim(store, target.name, clock.text)
        if delivery is None:
            break
        outcome = send(msgspec.json.decode(delivery.body, type=Event), clock)
        outbox.settle(store, _after(delivery, outcome, clock))
        if outcome.error:
            failed, in_a_row, error = failed + 1, in_a_row + 1, outcome.error
        else:
            sent, in_a_row = sent + 1, 0
    with store.reading() as reading:
        counts = outbox.counts(reading)
    dead, waiting = (counts.get((target.name, state), 0) for state in (DEAD, WAITING))
    return Told(target.name, target.shown, new, sent, failed, dead, waiting, error)


def _after(delivery: Delivery, outcome: Outcome, clock: Clock) -> Delivery:
    """A delivery after a try."""
    if not outcome.error:
        return delivery._replace(state=SENT, error="")
    if outcome.gone or delivery.tries >= MOST_TRIES:
        return delivery._replace(state=DEAD, error=outcome.error)
    wait = max(pause(delivery.tries, clock.share()), timedelta(seconds=outcome.later))
    return delivery._replace(state=WAITING, error=outcome.error, due=later(clock.text, wait))


def _sender(target: Target, settings: Settings) -> Sender:
    """What sends an event to a target. Raises SetupError for what is missing, before anything is sent."""
    if target.kind == WEBHOOK:
        authority = settings.folder / target.ca_file if target.ca_file else None
        receiver = Receiver(target.url, frozenset(target.allow), authority)
        signer = _signer(target, settings)
        return lambda event, clock: _post(receiver, signer, target.format, event, clock)
    if target.kind == FILE:
        place = settings.folder / target.path
        return lambda event, _clock: _append(place, formats.written(event, target.format))
    found = people.addressed(settings.secret(target), target.name, target.allow)
    return lambda event, _clock: people.tell(found, target.allow, *formats.text(event))


def _signer(target: Target, settings: Settings) -> Any:
    try:
        from standardwebhooks import Webhook
    except ImportError as error:
        raise SetupError(
            f"target {target.name} needs standardwebhooks", fix="Install the extra: pip install 'clonewatch[out]'"
        ) from error
    return Webhook(key_of(settings.secret(target), target.name))


def _post(receiver: Receiver, signer: Any, form: str, event: Event, clock: Clock) -> Outcome:
    """One try of a webhook, signed as the specification of Standard Webhooks says."""
    body, now = formats.written(event, form), clock.now()
    headers = {
        "content-type": _CONTENT.get(form, "application/json"),
        "user-agent": "clonewatch",
        "webhook-id": event.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signer.sign(event.id, now, body),
    }
    return posting.post(receiver, body.encode(), headers)


def _append(place: Path, line: str) -> Outcome:
    """Add a line to a file, whole or not at all."""
    data = (line + "\n").encode()
    try:
        handle = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0), _PRIVATE)
        try:
            state = os.fstat(handle)
            if not stat.S_ISREG(state.st_mode):
                return Outcome("it is no regular file")
            if os.write(handle, data) < len(data):
                os.ftruncate(handle, state.st_size)
                return Outcome("the disk is full")
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        return Outcome(f"it cannot be written: {error.strerror or type(error).__name__}")
    return Outcome()
