"""LiteLLM's generic guardrail API: LiteLLM asks about each request, and refuses with 400 what is blocked.

Its question holds the texts of the request, of which nothing is kept but their length.
"""

from __future__ import annotations

import json
from typing import Any

from clonewatch_gateway.decisions import Decision, Facts
from clonewatch_gateway.saying import TOKEN_BYTES

PATH = "/beta/litellm_basic_guardrail_api"
MOST_BODY = 4 << 20
# An account is the key's user, else its team, else the hash of the key: as logs of LiteLLM are read.
_ACCOUNT = ("user_api_key_user_id", "user_api_key_team_id", "user_api_key_hash")
_NOBODY = "default_user_id"


def asked(body: bytes, answer_tokens: int) -> tuple[str, Facts] | None:
    """Account and facts of a question; None for one about an answer. Raises ValueError for what is no question."""
    try:
        held = json.loads(body)
    except RecursionError as error:
        raise ValueError("the body is nested too deep") from error
    known = held.get("request_data") if isinstance(held, dict) else None
    if not isinstance(known, dict):
        raise ValueError("the body is an object with request_data, which is one too")
    if held.get("input_type") != "request":
        return None
    found = [known.get(name) for name in _ACCOUNT]
    account = next((one for one in found if isinstance(one, str) and one not in ("", _NOBODY)), "")
    texts = held.get("texts")
    size = sum(len(one) for one in texts if isinstance(one, str)) if isinstance(texts, list) else 0
    return account, Facts(max(1, size // TOKEN_BYTES) + answer_tokens)


def answered(decision: Decision | None) -> dict[str, Any]:
    """What LiteLLM is answered. It changes nothing of a request, so such an action is not carried out."""
    if decision is None or not decision.status:
        return {"action": "NONE"}
    told = "; ".join(f"{name}: {value}" for name, value in decision.headers)
    return {"action": "BLOCKED", "blocked_reason": f"This account is under a measure. {told}"}
