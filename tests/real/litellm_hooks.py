"""What the LiteLLM proxy loads: who a key belongs to, and its spend rows without a database.

LiteLLM makes the rows of its spend table itself; only the last step, the insertion, is replaced by a line in a file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from calls import calls
from fastapi import HTTPException
from litellm.proxy._types import UserAPIKeyAuth, hash_token
from litellm.proxy.db.db_spend_update_writer import DBSpendUpdateWriter
from litellm.proxy.hooks.proxy_track_cost_callback import ProxyDBLogger

_ROWS = Path(os.environ["REAL_SPEND_ROWS"])
_OWNERS = {call.key: call for call in calls()}


async def user_api_key_auth(request: Any, api_key: str) -> UserAPIKeyAuth:
    """The owner of a key, as a table of virtual keys would say."""
    owner = _OWNERS.get(api_key)
    if owner is None:
        raise HTTPException(status_code=401, detail="unknown key")
    return UserAPIKeyAuth(api_key=hash_token(api_key), user_id=owner.account_id, org_id=owner.org_id)


async def _write(self: DBSpendUpdateWriter, payload: Any, prisma_client: Any = None, **_: Any) -> Any:
    with _ROWS.open("a", encoding="utf-8") as out:
        out.write(json.dumps(dict(payload), default=str, ensure_ascii=False) + "\n")
    return prisma_client


DBSpendUpdateWriter._insert_spend_log_to_db = _write  # type: ignore[method-assign]
spend = ProxyDBLogger()
