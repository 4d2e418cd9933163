"""Which objects of Langfuse's export are calls of a model: a trace holds many others."""

from __future__ import annotations

from clonewatch.adapters.outline import outline
from clonewatch.adapters.wrappings import sampled
from clonewatch.ports.mapping import Condition

OPERATIONS = {"GENERATION": "chat", "EMBEDDING": "embedding"}
_SIGNS = tuple(
    signs | {"type", sign}
    for signs, own in (
        ({"trace_id", "start_time"}, ("usage_details", "parent_observation_id")),
        ({"traceId", "startTime"}, ("usageDetails", "parentObservationId")),
    )
    for sign in own
)
CALLS = (Condition("type", frozenset((*OPERATIONS, *(kind.lower() for kind in OPERATIONS)))),)
CHOSEN = (
    "this is an export of Langfuse, of which the field map reads the model calls alone (type GENERATION or EMBEDDING);"
    " a [where] of its own chooses otherwise"
)


def is_one(head: bytes) -> bool:
    """Whether the first object of a head is an observation."""
    keys = outline(head).keys()
    return any(signs <= keys for signs in _SIGNS)


def are_these(head: bytes) -> bool:
    """Whether a file with this head is such an export."""
    rows = sampled(head)
    return bool(rows) and is_one(rows[0])
