"""Accounts created in one burst, far above the usual rate of sign-ups."""

from math import log2

import numpy as np
import pyarrow as pa
from scipy.special import pdtrc

from clonewatch.ports.engine import Fold
from clonewatch.ports.linking import LinkingSignal
from clonewatch.ports.signal import Card, Signal

_HOUR = 3_600_000_000
_AROUND = 7 * 24  # hours on either side that define the usual rate
_LEAST, _FACTOR, _SURPRISE = 5, 5.0, 1e-6
SCHEMA = pa.schema([("entity", pa.int32()), ("attribute", pa.int64())])


def bursts(entities: pa.Table) -> pa.Table:
    """Entities created in an hour with many more sign-ups than the weeks around it. attribute: the hour."""
    known = entities.filter(entities["created"].is_valid())
    hour = known["created"].to_numpy() // _HOUR
    if not len(hour):
        return SCHEMA.empty_table()
    hours, place, count = np.unique(hour, return_inverse=True, return_counts=True)
    running = np.concatenate([[0], np.cumsum(count)])
    left, right = np.searchsorted(hours, hours - _AROUND), np.searchsorted(hours, hours + _AROUND, side="right")
    usual = (running[right] - running[left] - count) / (2 * _AROUND)
    burst = (count >= _LEAST) & (count > _FACTOR * usual) & (pdtrc(count - 1, np.maximum(usual, 1e-3)) < _SURPRISE)
    inside = burst[place]
    return pa.table([known["entity"].to_numpy()[inside], hour[inside]], schema=SCHEMA)


SIGNAL = LinkingSignal(
    Signal(
        "signup_burst",
        "link",
        Card(
            title="Signed up in one burst",
            family="identity",
            catches="accounts created in bulk within an hour",
            misses="slow sign-ups, bought accounts",
            innocent="a class, a hackathon, a launch, a newsletter",
            excluded_by="it only corroborates: entities that share nothing else are not linked",
        ),
        needs=(("accounts.created_at",),),
        suggests=(("class_or_event", 0.7),),
    ),
    "SELECT entity, attribute, 0 AS n FROM signup_bursts",
    hashed=False,
    reads=("signup_bursts",),
    cap=log2(1_000) / 2,
    weak=True,
    steps=(Fold("signup_bursts", ("entities",), bursts, 50_000_000),),
)
