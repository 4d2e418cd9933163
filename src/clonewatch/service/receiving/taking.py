"""What becomes of a body on each way in: rows of the spool, and what the sender hears."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, cast

import msgspec

from clonewatch.adapters.reading import FORMATS
from clonewatch.live import bodies, otlp
from clonewatch.live.bodies import RefusedError, Sources, Taken
from clonewatch.live.spool import Rows
from clonewatch.model.read_results import Rejected
from clonewatch.ports.adapter import Adapter

_EVERY, _SOON = 10.0, 1.0  # seconds between looks at what one key sends: where all is well, where something was wrong
_MOST_SENDERS = 10_000


class Heard(NamedTuple):
    """What a sender hears. taken: how many rows. rejected: by reason."""

    rows: list[Rows]
    taken: int
    rejected: dict[str, int]

    @property
    def lost(self) -> int:
        """How many rows were rejected."""
        return sum(self.rejected.values())

    @property
    def said(self) -> str:
        """The reasons in words; empty where nothing was rejected."""
        return "; ".join(f"{count} rows: {reason}" for reason, count in self.rejected.items())


class Taker:
    """Makes rows of bodies.

    The first body of each key and stream, and then one every ten seconds, also goes through the reader that will read
    the spool, so that the sender hears at once what it would reject. Doing that for all would cost several times more.
    """

    def __init__(self, sources: Sources, ticks: Callable[[], float] = time.monotonic) -> None:
        self.sources, self._ticks = sources, ticks
        self._next: dict[tuple[str, str], float] = {}

    def telemetry(self, body: bytes, signal: str, *, binary: bool, key: str) -> Heard:
        """An OTLP request. Raises RefusedError."""
        try:
            if binary:
                line, count = otlp.line_of(body, signal)
            else:
                line, count = _compact(body, signal)
        except otlp.MalformedError as error:
            raise RefusedError(400, str(error)) from error
        return self._telemetry(line, count, signal, key)

    def _telemetry(self, line: bytes, count: int, signal: str, key: str) -> Heard:
        if not count:
            return Heard([], 0, {})
        source = "@otlp" if self.sources.map_of(bodies.OTLP) else ""
        taken = Taken([Rows(f"otlp.{signal}{source}", line, count)], [])
        rejected = self._looked_at(taken, bodies.OTLP, bodies.OTLP, key) if signal == otlp.TRACES else []
        # All of them are kept: a span may lack what a later log record brings.
        return Heard(taken.rows, count - len(rejected), bodies.reasons(rejected))

    def litellm(self, body: bytes, key: str) -> Heard:
        """What LiteLLM's generic API callback sends: an array, lines, or one object. Raises RefusedError."""
        source = bodies.LITELLM if self.sources.map_of(bodies.LITELLM) else ""
        return self._heard(bodies.exchanges(body, bodies.LITELLM, source), bodies.LITELLM, source, key)

    def exchanges(self, body: bytes, form: str, source: str, key: str) -> Heard:
        """A batch in any format in JSON, or with a field map. Raises RefusedError."""
        if source:
            mapping = self.sources.map_of(source)
            if mapping is None:
                raise RefusedError(400, f"there is no map {source[:64]!r}; there are {', '.join(self.sources.known())}")
            form = mapping.format
        elif form not in FORMATS.names() and form:
            raise RefusedError(400, f"there is no format {form[:64]!r}; there are {', '.join(FORMATS.names())}")
        form = form or bodies.format_of(body)
        return self._heard(bodies.exchanges(body, form, source), form, source, key)

    def facts(self, body: bytes, *, accounts: bool) -> Heard:
        """Rows about accounts. Raises RefusedError."""
        taken = bodies.facts(body, accounts=accounts)
        return _told(taken, [])

    def _heard(self, taken: Taken, form: str, source: str, key: str) -> Heard:
        return _told(taken, self._looked_at(taken, form, source, key))

    def _looked_at(self, taken: Taken, form: str, source: str, key: str) -> list[Rejected]:
        """What the reader would reject, where it is time to look."""
        if not taken.rows:
            return []
        place, now = (key, taken.rows[0].stream), self._ticks()
        if now < self._next.get(place, now):
            return []
        found = bodies.rejected_by(taken, cast(Adapter, FORMATS.load(form)), self.sources.map_of(source or form))
        if len(self._next) >= _MOST_SENDERS:
            self._next.clear()
        self._next[place] = now + (_SOON if found else _EVERY)
        return found


def _told(taken: Taken, later: list[Rejected]) -> Heard:
    """What a sender hears. later: what the reader will reject. Raises RefusedError where nothing of a body is taken."""
    rejected = bodies.reasons(taken.rejected + later)
    heard = Heard(taken.rows, max(0, sum(one.rows for one in taken.rows) - len(later)), rejected)
    if not taken.rows:
        raise RefusedError(400, f"no row of the body can be read: {heard.said}")
    return heard


def _compact(body: bytes, signal: str) -> tuple[bytes, int]:
    """A request in JSON as one line, and how many spans or records it has. Raises MalformedError."""
    try:
        request = msgspec.json.decode(body, type=dict[str, object])
        count = otlp.counted(request, signal)
        return msgspec.json.encode(request) + b"\n", count
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise otlp.MalformedError(f"the body is not JSON of this request: {error}") from error
