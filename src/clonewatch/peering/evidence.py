"""What the tables of a result tell of a group beside counts: behaviours, and times of its accounts in wide ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from clonewatch.sharing.release_gate.vocabulary import BEHAVIOURS, behaviour, timing

# Nothing is told that fewer accounts of the group have in common: it could be about one of them.
FLOOR = 5
_DAY = 86_400
# How much one indicator of a kind is worth at most, whatever is known of the campaign: a convention, by how many honest
# people share such a thing.
MOST_CONFIDENCE = {
    "template_family": 75,
    "forced_format": 40,
    "tls": 40,
    "http": 40,
    "network": 30,
    "mail_domain": 40,
    "issuer_class": 15,
    "behaviour": 50,
    "timing": 20,
    "attack": 85,
}


class Found(NamedTuple):
    """Something worth telling. families: kinds of evidence that it is of."""

    kind: str
    value: str
    confidence: int
    families: tuple[str, ...]


def found(kind: str, value: str, *families: str) -> Found:
    """Something worth telling, with the most confidence that its kind can have."""
    return Found(kind, value, MOST_CONFIDENCE[kind], tuple(sorted(families)))


def of_tables(tables: Mapping[str, list[dict[str, Any]]]) -> list[Found]:
    """Behaviours and timings of a group. tables: rows by table, of this group alone."""
    made = []
    for row in tables["evidence"]:
        if row["kind"] == "behaviour" and row["signal"] in BEHAVIOURS:
            if value := behaviour(row["signal"], row["bits"] or 0.0):
                made.append(found("behaviour", value, BEHAVIOURS[row["signal"]]))
    members = [row for row in tables["members"] if row["role"] != "proxy_customer"]
    for name, days in _SPANS.items():
        spans = sorted(one for row in members if (one := days(row)) is not None and one >= 0)
        if len(spans) >= FLOOR:
            tenth = len(spans) // 10
            made.append(found("timing", timing(name, spans[tenth], spans[-1 - tenth]), "lifecycle"))
    return made


def _between(first: str, last: str) -> Callable[[Mapping[str, Any]], float | None]:
    def days(row: Mapping[str, Any]) -> float | None:
        begins, ends = row.get(first), row.get(last)
        if not isinstance(begins, datetime) or not isinstance(ends, datetime):
            return None
        return (ends - begins).total_seconds() / _DAY

    return days


_SPANS: Mapping[str, Callable[[Mapping[str, Any]], float | None]] = {
    "signup_to_first_use_days": _between("created_ts", "first_ts"),
    "active_days": _between("first_ts", "last_ts"),
}
