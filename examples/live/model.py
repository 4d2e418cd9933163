"""A stand-in for a model server: answers every request as OpenAI's chat completions do.

python examples/live/model.py

It takes a free port of loopback and prints it. An answer has as many tokens as the request asks for in
`metadata.answer_tokens`, since it knows nothing to say.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from clonewatch_gateway.serving import listening, serve

Message = MutableMapping[str, Any]


async def model(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answer one request."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    asked = json.loads(body)
    tokens = int(asked.get("metadata", {}).get("answer_tokens", 0))
    answer = {
        "object": "chat.completion",
        "model": asked.get("model"),
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "..."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": len(body) // 4, "completion_tokens": tokens},
    }
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


if __name__ == "__main__":
    listener = listening("127.0.0.1", 0)
    print(listener.getsockname()[1], flush=True)  # noqa: T201
    serve(model, listener)
