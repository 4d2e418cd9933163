"""Whose a key is. It stands for LiteLLM's virtual keys; account ids are those of the log that is scanned."""

from fastapi import HTTPException, Request
from litellm.proxy._types import UserAPIKeyAuth, hash_token

KEYS = {"sk-canary": "canary-1", "sk-acme": "acme"}


async def user_api_key_auth(request: Request, api_key: str) -> UserAPIKeyAuth:
    """The owner of a key."""
    if api_key not in KEYS:
        raise HTTPException(status_code=401, detail="unknown key")
    return UserAPIKeyAuth(api_key=hash_token(api_key), user_id=KEYS[api_key])
