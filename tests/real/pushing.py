"""Three calls whose payloads LiteLLM's generic API callback pushes: `python pushing.py ENDPOINT KEY LOG_FORMAT`."""

import asyncio
import sys

import litellm
from litellm.integrations.generic_api.generic_api_callback import GenericAPILogger


async def main(endpoint: str, key: str, form: str) -> None:
    """Call a model that answers by itself, and wait until the callback has sent what it knows."""
    pushes = GenericAPILogger(
        endpoint=endpoint, headers={"Authorization": f"Bearer {key}"}, log_format=form, max_retries=3
    )
    litellm.callbacks = [pushes]
    for number in range(3):
        await litellm.acompletion(
            model="openai/river",
            messages=[{"role": "user", "content": f"Count to {number} by {form}"}],
            mock_response="Done.",
            metadata={"user_api_key_user_id": f"user-{number}"},
        )
    await asyncio.sleep(2)  # the callback is told in the background
    await pushes.flush_queue()


asyncio.run(main(*sys.argv[1:]))
