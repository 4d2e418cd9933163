"""One call that several instrumentations tell as spans around each other is one call.

A framework wraps the span of the client below it: both name the model and the prompt, and have no common id but the
trace. The inner span is the call; what only the outer one says, such as the account, is given to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from clonewatch.adapters import otlp_names as names
from clonewatch.adapters.bodies import Row
from clonewatch.adapters.telemetry import Record
from clonewatch.adapters.telemetry_content import has_text, said

# Spans and calls that are remembered for those which come later; beyond this the oldest are forgotten.
MOST_REMEMBERED = 100_000
_NEAR = 2_000  # calls at the end of a batch: spans of one call are exported within seconds
_MOST_BETWEEN = 16  # spans between a call and the one around it
_LATER = 5_000_000  # nanoseconds by which an inner span may end after the outer one: clocks are read one by one
_LONGEST_COMPARED = 4096  # characters of a prompt


class Call(NamedTuple):
    """A model call: its row, the number of its line, its trace and span id, and its record."""

    row: Row
    number: int
    id: str
    record: Record
    file: int = 0  # which of the files that are read together


class _Told(NamedTuple):
    """What is remembered of a call: its id, and what a span around it must have in common with it."""

    exchange_id: object
    account: object
    facts: tuple[object, str, str]
    start: int
    end: int


class Nesting:
    """Merges calls with those around them, among the calls that are given together; later ones get the same id."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}
        self._told: dict[str, _Told] = {}
        self._inner: dict[str, _Told] = {}  # by the id of the span around it, which has not come yet

    def saw(self, records: Iterable[Record]) -> None:
        """Remember which span is inside which."""
        self._parents.update((r.id, r.parent) for r in records if r.parent and r.id)
        _forget(self._parents)

    def merged(self, calls: list[Call]) -> list[Call]:
        """The calls without those that wrap another one, which gets their values, in the same order."""
        by_id = {one.id: one for one in calls if one.id and not one.record.is_log}
        inner: dict[str, list[str]] = {}
        for one in by_id.values():
            around = self._around(one, by_id)
            if around is not None:
                inner.setdefault(around, []).append(one.id)
        became: dict[str, str] = {}
        for outer in sorted(inner, key=lambda span: (by_id[span].record.start, -by_id[span].record.end), reverse=True):
            last = max(inner[outer], key=lambda span: (by_id[span].record.end, span))
            target = became.get(last, last)
            by_id[target] = _filled(by_id[target], by_id[outer])
            for sibling in inner[outer]:
                place = became.get(sibling, sibling)
                if by_id[place].row.get("account_id") is None:
                    by_id[place].row["account_id"] = by_id[outer].row.get("account_id")
            became[outer] = target
        return [by_id.get(one.id, one) for one in calls if one.id not in became]

    def leave(self, calls: list[Call]) -> None:
        """Remember calls that are given away, and give those that belong to an earlier one its id."""
        near = len(calls) - _NEAR
        for place, one in enumerate(calls):
            if one.record.is_log or not one.id:
                continue
            inside, outside = self._inner.pop(one.id, None), self._told.get(one.record.parent)
            if inside is not None or outside is not None:
                told = _told(one)
                known = inside if inside and _covers(told, inside) else None
                known = known or (outside if outside and _covers(outside, told) else None)
                if known is not None:
                    one.row["exchange_id"] = known.exchange_id
                    one.row["account_id"] = one.row.get("account_id") or known.account
            if place >= near:
                self._told[one.id] = told = _told(one)
                if one.record.parent and one.record.parent not in self._told:
                    self._inner[one.record.parent] = told
        _forget(self._told)
        _forget(self._inner)

    def _around(self, one: Call, by_id: dict[str, Call]) -> str | None:
        """The nearest call around a call that may be the same one."""
        span = one.record.parent
        for _ in range(_MOST_BETWEEN):
            if not span:
                return None
            if span in by_id and span != one.id:
                return span if _covers(_told(by_id[span]), _told(one)) else None
            span = self._parents.get(span, "")
        return None


def _forget(held: dict[str, object] | dict[str, str] | dict[str, _Told]) -> None:
    while len(held) > MOST_REMEMBERED:
        del held[next(iter(held))]


def _told(one: Call) -> _Told:
    facts = (one.row.get("operation"), str(one.row.get("model") or ""), _asked(one.row))
    return _Told(one.row.get("exchange_id"), one.row.get("account_id"), facts, one.record.start, one.record.end)


def _covers(outer: _Told, inner: _Told) -> bool:
    """Whether a span around another one tells of the same call: nothing that both say differs."""
    if inner.start < outer.start or (outer.end and inner.end > outer.end + _LATER):
        return False
    if outer.account and inner.account and outer.account != inner.account:
        return False
    (operation, model, asked), (other, its_model, its_asked) = outer.facts, inner.facts
    if operation and other and operation != other:
        return False
    # A model's name may have the date of its version behind it, or its provider before it.
    shorter, longer = sorted((model.rpartition("/")[2], its_model.rpartition("/")[2]), key=len)
    return longer.startswith(shorter) and (not asked or not its_asked or asked == its_asked)


def _asked(row: Row) -> str:
    """The last thing that the user says, which every instrumentation writes in its own form; empty without content."""
    messages = row.get("messages")
    listed = messages.get("messages") if isinstance(messages, dict) else messages
    if isinstance(listed, str):
        return listed.strip()[:_LONGEST_COMPARED]
    if not isinstance(listed, list):
        return ""
    asked = (said(m) for m in reversed(listed) if not isinstance(m, dict) or m.get("role") in ("user", "human", None))
    return next(filter(None, asked), "").strip()[:_LONGEST_COMPARED]


def _filled(inner: Call, outer: Call) -> Call:
    """The inner call with what only the outer one says; its own id is that of the answer where one of them has it."""
    row, more = inner.row, outer.row
    mine, its = row.get("messages"), more.get("messages")
    if has_text(its) and not has_text(mine):
        beside = mine if isinstance(mine, dict) else {}
        row["messages"] = {**beside, **(its if isinstance(its, dict) else {"messages": its})} if beside else its
    elif isinstance(its, dict) and isinstance(mine, dict | list | str):
        offered = {key: value for key, value in its.items() if key in names.BESIDE}
        if offered:
            row["messages"] = {**offered, **(mine if isinstance(mine, dict) else {"messages": mine})}
    if row.get("exchange_id") == inner.id and more.get("exchange_id") != outer.id:
        row["exchange_id"] = more.get("exchange_id")
    for column, value in more.items():
        if row.get(column) is None:
            row[column] = value
    record = inner.record
    return inner._replace(
        record=record._replace(
            resource=outer.record.resource | record.resource, attributes=outer.record.attributes | record.attributes
        )
    )
