"""What clients and gateways are told of a decision, by whichever way in, and how tokens are guessed."""

from __future__ import annotations

import json

from clonewatch_gateway.decisions import Decision
from clonewatch_gateway.entries import NOTICE

# Names the counter to a limiter behind this; whatever a client sends under it is taken out.
COUNTER = "clonewatch-counter"
LIMITED = 429
# The reason of a change that could not be made, such as of a body that is no JSON.
NOT_CARRIED_OUT = "not_carried_out"
# Bytes of text for a token, about, where nothing better is known.
TOKEN_BYTES = 4


def refusal_body(decision: Decision) -> bytes:
    """The JSON body of a refusal."""
    error = {
        "type": "account_" + ("limited" if decision.status == LIMITED else "restricted"),
        "code": decision.reason,
        "case": decision.case,
        "message": f"This account is under a measure ({decision.action}). See the header {NOTICE} on how to appeal.",
    }
    return json.dumps({"error": error}).encode()


def mode(decision: Decision) -> str:
    """`shadow` for what is only recorded, `enforce` for what acts, empty for what does neither."""
    if decision.simulated:
        return "shadow"
    return "enforce" if decision.status or decision.headers or decision.changes or decision.charge else ""
