"""Joins log records that hold a call's prompt to the span of that call, by trace and span id.

Instrumentations of the earlier conventions write every message as a log record of its own, those of the newest one
record with all that the span says and its texts. A collector exports spans
and log records in separate requests, some seconds apart and in any order, so a call without a prompt waits for the
records of the next batch, and records wait for their span; both wait for a bounded time.
"""

from __future__ import annotations

from clonewatch.adapters import otlp_names as names
from clonewatch.adapters.telemetry import Attributes, Record
from clonewatch.adapters.telemetry_calls import call
from clonewatch.adapters.telemetry_content import from_events, has_text
from clonewatch.adapters.telemetry_nesting import Call, Nesting

# Calls and records that wait for each other; beyond this the oldest wait no longer.
MOST_WAITING = 50_000
_MOST_EVENTS = 200  # log records joined to one span
MOST_HELD = 64 << 20  # characters of the records that wait
_EVENTS = (*names.MESSAGE_EVENTS, names.CHOICE_EVENT)


class Joiner:
    """Takes records in the order of their files and returns complete calls.

    passed_over: records that were no model call.
    """

    def __init__(self) -> None:
        self.passed_over = 0
        self._held = 0
        self._events: dict[str, list[tuple[str, Attributes]]] = {}
        self._waiting: list[tuple[Call, float]] = []  # with the place that has to be passed
        self._details: dict[str, list[tuple[int, int, Record]]] = {}
        self._nesting = Nesting()
        self._told: dict[str, None] = {}  # spans with text that came last: records about them say nothing new

    def take(self, found: list[tuple[int, list[Record]]], file: int, at: float, reached: float) -> list[Call]:
        """The calls that are complete after these records, with the number of their line and their file.

        at: the place behind these records. A call that lacks text waits until every file has passed it. reached: the
        place that all have reached.
        """
        fresh: list[Call] = []
        for number, records in found:
            self._nesting.saw(records)
            for record in records:
                self._sort(record, number, file, fresh)
        until = {one.id: place for one, place in self._waiting}
        held = [one for one, _ in self._waiting]
        complete = self._nesting.merged([self._joined(one) for one in held + fresh])
        done: list[Call] = []
        self._waiting = []
        for one in complete:
            place = until.get(one.id, at)
            lacks = not has_text(one.row.get("messages")) and bool(one.id) and not one.record.is_log
            if lacks and place >= reached and len(self._waiting) < MOST_WAITING:
                self._waiting.append((one, place))
            else:
                done.append(one)
        self._nesting.leave(done)
        return done + self._alone(MOST_WAITING)

    def rest(self) -> list[Call]:
        """The calls that still wait at the end of the file."""
        done, self._waiting = self._nesting.merged([self._joined(one) for one, _ in self._waiting]), []
        self._nesting.leave(done)
        self.passed_over += sum(map(len, self._events.values()))
        done += self._alone(0)
        self._events, self._held = {}, 0
        return done

    def _sort(self, record: Record, number: int, file: int, fresh: list[Call]) -> None:
        if record.is_log and record.id and record.name in names.CONTENT_EVENTS:
            if record.id not in self._told:
                self._details.setdefault(record.id, []).append((number, file, record))
                self._held += _size(record.attributes)
            return
        row = call(record)
        if (
            record.is_log
            and record.id
            and record.name in _EVENTS
            and (row is None or not has_text(row.get("messages")))
        ):
            self._keep(record)
        elif row is None:
            self.passed_over += 1
        else:
            fresh.append(Call(row, number, record.id, record, file))

    def _keep(self, record: Record) -> None:
        held = self._events.setdefault(record.id, [])
        if len(held) < _MOST_EVENTS:
            held.append((record.name, record.attributes))
            self._held += _size(record.attributes)
        while len(self._events) > MOST_WAITING or (self._held > MOST_HELD and len(self._events) > 1):
            self.passed_over += len(self._release(next(iter(self._events))))

    def _release(self, span: str) -> list[tuple[str, Attributes]]:
        """The records that wait for a span, which wait no longer."""
        events = self._events.pop(span, [])
        self._held -= sum(_size(values) for _, values in events)
        return events

    def _alone(self, most: int) -> list[Call]:
        """Records with all that a span would say whose span did not come: calls themselves, beyond so many."""
        done: list[Call] = []
        while len(self._details) > most or (self._details and self._held > MOST_HELD):
            span = next(iter(self._details))
            for number, file, record in self._details.pop(span):
                self._held -= _size(record.attributes)
                row = call(record)
                if row is None:
                    self.passed_over += 1
                else:
                    done.append(Call(row, number, span, record, file))
        return done

    def _detailed(self, one: Call) -> Call:
        """The call with what a record says about it; the span's own words count first."""
        if one.record.is_log or not one.id:
            return one
        if one.id in self._details:
            told = [(record.name, record.attributes) for _, _, record in self._details.pop(one.id)]
            self._held -= sum(_size(values) for _, values in told)
            one = one._replace(row=call(one.record._replace(events=[*one.record.events, *told])) or one.row)
        if has_text(one.row.get("messages")):
            self._told[one.id] = None
            if len(self._told) > MOST_WAITING:
                del self._told[next(iter(self._told))]
        return one

    def _joined(self, one: Call) -> Call:
        one = self._detailed(one)
        events = self._release(one.id) if one.id in self._events else []
        if events:
            from_events(events, one.row)
        return one


def _size(attributes: Attributes) -> int:
    """About how many characters attributes hold."""
    return sum(len(value) for value in attributes.values() if isinstance(value, str)) + 100 * len(attributes)
