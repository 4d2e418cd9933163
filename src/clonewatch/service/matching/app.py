"""Blinded matching over HTTP: requests of peers within bounds. Bodies are never logged."""

from __future__ import annotations

import asyncio
import logging

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from clonewatch.sharing.matching import messages
from clonewatch.sharing.matching.answering import MOST_BODY_BYTES, Answer, Holder, Question
from clonewatch.sharing.matching.messages import RefusedError

HEALTH = "/health"
_BODY_SECONDS = 30.0
# One query of full size takes seconds of a core: more than a few at once would only wait.
_AT_ONCE = 4

log = logging.getLogger("clonewatch.matching")


def app(holder: Holder) -> Starlette:
    """The application of one holder."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def match(request: Request) -> Response:
        try:
            # Asked first, so that strangers cannot make it read bodies.
            peer = holder.whose(request.headers.get("authorization", ""))
            async with slots:
                body = await _body(request)
                question = Question(request.method, request.url.path, dict(request.headers), body)
                made: Answer = await run_in_threadpool(holder.answer, peer, question)
        except RefusedError as error:
            return _refused(error)
        except ClientDisconnect:
            return Response(status_code=499)
        log.info("answered", extra={"peer": peer, "way": request.method})
        return Response(made.body, media_type=made.kind, headers=made.headers | {"cache-control": "no-store"})

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    routes = [
        Route(HEALTH, health, methods=["GET"]),
        *(Route(path, match, methods=["GET"]) for path in (messages.HELLO, f"{messages.SETUP}/{{kind}}")),
        *(Route(p, match, methods=["POST"]) for p in (f"{messages.QUERY}/{{kind}}/{{mode}}", messages.SIGHTINGS)),
    ]
    return Starlette(routes=routes, exception_handlers={404: _missing, 405: _missing})


async def _body(request: Request) -> bytes:
    """The body of a request. Raises RefusedError for one that is too long or takes too long."""
    said = request.headers.get("content-length", "0")
    too_long = RefusedError(413, f"a body has at most {MOST_BODY_BYTES:,} bytes; ask for fewer values at once")
    if not said.isdecimal() or len(said) > 12 or int(said) > MOST_BODY_BYTES:
        raise too_long
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > MOST_BODY_BYTES:
                    raise too_long
                parts.append(part)
    except TimeoutError:
        raise RefusedError(408, f"the body took longer than {_BODY_SECONDS:g} seconds") from None
    return b"".join(parts)


async def _missing(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return JSONResponse({"error": f"ask as `clonewatch match query` does, below {messages.HELLO}"}, status)


def _refused(error: RefusedError) -> Response:
    headers = {"www-authenticate": "Bearer"} if error.status == 401 else {}
    if error.status in (408, 413):
        headers["connection"] = "close"  # what is left of the body is not read
    return JSONResponse({"error": error.said}, error.status, headers)
