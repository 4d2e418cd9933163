"""Clonewatch's decisions inside the LiteLLM proxy, by a list that is followed here: no service is asked.

It reads CLONEWATCH_LIST (a folder), CLONEWATCH_ACCOUNT_KEY (a file), CLONEWATCH_TRUST (ed25519:...) and, for a line on
each decision about a listed account, CLONEWATCH_DECISIONS (a file). Put it beside the configuration of the proxy, and
name it there: `litellm_settings: {callbacks: [clonewatch_litellm.clonewatch]}`.
"""

import json
import logging
import os
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from litellm.integrations.custom_logger import CustomLogger

from clonewatch_gateway import Decision, Facts, Follower, decide
from clonewatch_gateway.bodies import changed
from clonewatch_gateway.counters import Minutes
from clonewatch_gateway.saying import TOKEN_BYTES, mode, refusal_body
from clonewatch_gateway.watch_list import Keys, trusted

NOBODY = "default_user_id"
MOST_CALLS = 10_000
_LOG = logging.getLogger("clonewatch_gateway")


class Clonewatch(CustomLogger):
    """Decides about each request before it goes to a model. A fault of this is logged, and the request is served."""

    def __init__(self) -> None:
        super().__init__()
        secret = bytes.fromhex(Path(os.environ["CLONEWATCH_ACCOUNT_KEY"]).read_text(encoding="ascii").strip())
        keys = Keys(trusted([os.environ["CLONEWATCH_TRUST"]]), secret)
        self._follower = Follower(Path(os.environ["CLONEWATCH_LIST"]), keys).start()
        self._counters = Minutes()
        self._log = os.environ.get("CLONEWATCH_DECISIONS")
        # What the answer to a call is told and charged, by the call's id; the oldest are dropped.
        self._calls: OrderedDict[str, Decision] = OrderedDict()

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: Any
    ) -> Any:
        """Refuse a request, or change it."""
        try:
            decision = self._decided(user_api_key_dict, data)
        except Exception:  # noqa: BLE001  (whatever it is: a fault of ours refuses nobody)
            _LOG.exception("no decision was made; the request is served")
            return data
        if decision.status:
            error = json.loads(refusal_body(decision))["error"]
            raise HTTPException(decision.status, detail={"error": error}, headers=dict(decision.headers))
        changed(data, decision.changes)
        if decision.headers or decision.charge:
            self._calls[str(data.get("litellm_call_id"))] = decision
            if len(self._calls) > MOST_CALLS:
                self._calls.popitem(last=False)
        return data

    async def async_post_call_response_headers_hook(self, data: dict[str, Any], *_: Any, **__: Any) -> dict[str, str]:
        """Tell the client."""
        decision = self._calls.get(str(data.get("litellm_call_id")))
        return dict(decision.headers) if decision else {}

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Count what an answer used against the budget that its request was charged to."""
        decision = self._calls.pop(str(kwargs.get("litellm_call_id")), None)
        used = (kwargs.get("standard_logging_object") or {}).get("completion_tokens") or 0
        if decision and decision.charge:
            self._counters.add(decision.charge, used, time.time())

    def _decided(self, key: Any, data: dict[str, Any]) -> Decision:
        """The decision about a request, whose account is the key's user, else its team, else its hash."""
        user = key.user_id if key.user_id != NOBODY else None
        account = user or key.team_id or key.api_key or ""
        asked = next((data[name] for name in ("messages", "input", "prompt") if data.get(name)), "")
        tokens = max(1, len(json.dumps(asked, default=str)) // TOKEN_BYTES)
        now = time.time()
        facts = Facts(tokens, spent=self._counters.at(now))
        decision = decide(account, facts, self._follower.current, now)
        if decision.charge:
            self._counters.add(decision.charge, tokens, now)
        if self._log and (decision.simulated or decision.case):
            line = {"account": account, "action": decision.action, "mode": mode(decision), "reason": decision.reason}
            with Path(self._log).open("a", encoding="utf-8") as file:
                file.write(json.dumps({**line, "case": decision.case, "would": decision.would or 200}) + "\n")
        return decision


clonewatch = Clonewatch()
