"""The service over HTTP: batches in, and what is said of its health. Prompts pass through, and are never logged."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from clonewatch.live import otlp, status
from clonewatch.live.api_keys import EVENTS, EXCHANGES, METRICS
from clonewatch.live.bodies import RefusedError, Sources
from clonewatch.live.bus import Writer
from clonewatch.live.settings import Settings
from clonewatch.live.spool import FullError
from clonewatch.service.receiving import grpc_door
from clonewatch.service.receiving.committing import Committer
from clonewatch.service.receiving.figures import CONTENT_TYPE, Figures
from clonewatch.service.receiving.renewing import Certificate, Renewal, Reread
from clonewatch.service.receiving.requests import Door, LaterError
from clonewatch.service.receiving.taking import Heard, Taker

JSON, PROTOBUF, LINES = "application/json", "application/x-protobuf", "application/x-ndjson"
_JSONS = (JSON, LINES, "application/ndjson", "application/jsonl", "application/x-jsonlines", "text/plain")
TRACES, LOGS = "/v1/traces", "/v1/logs"
LITELLM, BATCH, ACCOUNTS, EVENT_ROWS = "/v1/litellm", "/v1/exchanges", "/v1/accounts", "/v1/events"
HEALTH, READY, METRICS_AT = "/health", "/ready", "/metrics"

log = logging.getLogger("clonewatch.receiving")
Answer = Callable[[Request], Awaitable[Response]]


class Receiver:
    """Takes batches into a bus, which is the spool of this machine or one that others share.

    reread: where its keys are read again while it runs. certificate: for TLS over gRPC.
    """

    def __init__(
        self,
        settings: Settings,
        spool: Writer,
        reread: Reread | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        self.settings, self.spool, self._certificate = settings, spool, certificate
        self.figures = Figures()
        self.door = Door(settings, self.figures)
        self.taker = Taker(Sources(settings.maps))
        self.committer = Committer(spool, self._expired)
        self.renewal = Renewal(reread, certificate, self.door.admit)

    def app(self) -> Starlette:
        """The application; it begins and ends the writing into the spool."""
        ways: dict[str, Answer] = {
            TRACES: self._traces, LOGS: self._logs, LITELLM: self._litellm, BATCH: self._batch,
            ACCOUNTS: self._accounts, EVENT_ROWS: self._events,
        }  # fmt: skip
        looks: dict[str, Answer] = {HEALTH: self._health, READY: self._ready, METRICS_AT: self._metrics}
        routes = [Route(path, self._guarded(path, way), methods=["POST"]) for path, way in ways.items()]
        routes += [Route(path, self._guarded(path, way), methods=["GET"]) for path, way in looks.items()]
        errors = {404: self._missing, 405: self._missing}
        return Starlette(routes=routes, lifespan=self._life, exception_handlers=errors)

    @contextlib.asynccontextmanager
    async def _life(self, _app: Starlette) -> AsyncIterator[None]:
        self.committer.start()
        listens = self.settings.listen.grpc
        server = await grpc_door.started(self.settings, self, self._certificate) if listens else None
        renewing = asyncio.create_task(self.renewal.run())
        try:
            yield
        finally:
            renewing.cancel()
            if server:
                await grpc_door.stopped(server)
            await self.committer.stop()

    def _expired(self, count: int) -> None:
        self.figures.expired += count
        if count:
            log.error("segments dropped unread", extra={"segments": count})

    def _guarded(self, path: str, way: Answer) -> Answer:
        """A way that answers what goes wrong, and counts every answer."""

        async def answered(request: Request) -> Response:
            try:
                made = await way(request)
            except RefusedError as error:
                made = _refused(error)
            except ClientDisconnect:
                made = Response(status_code=499)
            self.figures.requests[path, str(made.status_code)] += 1
            return made

        return answered

    async def _missing(self, request: Request, error: Exception) -> Response:
        status_code = error.status_code if isinstance(error, HTTPException) else 404
        self.figures.requests["other", str(status_code)] += 1
        said = f"POST to {', '.join((TRACES, LOGS, LITELLM, BATCH, ACCOUNTS, EVENT_ROWS))}; GET {HEALTH}, {READY}"
        return JSONResponse({"error": said}, status_code)

    async def _traces(self, request: Request) -> Response:
        return await self._telemetry(request, otlp.TRACES)

    async def _logs(self, request: Request) -> Response:
        return await self._telemetry(request, otlp.LOGS)

    async def _telemetry(self, request: Request, signal: str) -> Response:
        kind = _kind(request, (PROTOBUF, JSON))
        heard = await self._taken(
            request, EXCHANGES, lambda body, key: self.taker.telemetry(body, signal, binary=kind == PROTOBUF, key=key)
        )
        if kind == PROTOBUF:
            made = otlp.answer(signal, heard.lost, heard.said).SerializeToString()
            return Response(made, media_type=PROTOBUF)
        return JSONResponse(otlp.answer_json(signal, heard.lost, heard.said))

    async def _litellm(self, request: Request) -> Response:
        _kind(request, _JSONS)
        return _counts(await self._taken(request, EXCHANGES, self.taker.litellm))

    async def _batch(self, request: Request) -> Response:
        _kind(request, _JSONS)
        form, source = request.query_params.get("format", ""), request.query_params.get("map", "")
        if unknown := sorted(set(request.query_params) - {"format", "map"}):
            raise RefusedError(400, f"there is no parameter {unknown[0][:64]!r}; there are format and map")
        return _counts(
            await self._taken(request, EXCHANGES, lambda body, key: self.taker.exchanges(body, form, source, key))
        )

    async def _accounts(self, request: Request) -> Response:
        _kind(request, _JSONS)
        return _counts(await self._taken(request, EVENTS, lambda body, _: self.taker.facts(body, accounts=True)))

    async def _events(self, request: Request) -> Response:
        _kind(request, _JSONS)
        return _counts(await self._taken(request, EVENTS, lambda body, _: self.taker.facts(body, accounts=False)))

    async def export(self, body: bytes, authorization: str, signal: str) -> bytes:
        """An OTLP request in binary form that came over gRPC, and its answer. Raises RefusedError."""
        code = 200
        try:
            held = self.door.holder(authorization, EXCHANGES)
            if self.spool.is_full():
                raise self._full()
            self.door.enter(len(body))
            try:
                heard = self.taker.telemetry(body, signal, binary=True, key=held.name)
                await self._put(heard)
            finally:
                self.door.leave(len(body))
        except RefusedError as error:
            code = error.status
            raise
        finally:
            self.figures.requests[f"grpc {signal}", str(code)] += 1
        self.figures.bytes += len(body)
        self._count(heard, held.name)
        made: bytes = otlp.answer(signal, heard.lost, heard.said).SerializeToString()
        return made

    async def _taken(self, request: Request, scope: str, made: Callable[[bytes, str], Heard]) -> Heard:
        """Let a body in, and put its rows on the disk. Raises RefusedError."""
        held = self.door.holder(request.headers.get("authorization", ""), scope)
        if self.spool.is_full():
            raise self._full()
        body = await self.door.body(request)
        size = len(body)
        try:
            body = self.door.inflate(body, request.headers.get("content-encoding", ""))
            if len(body) > size:
                self.door.enter(len(body) - size)
                size = len(body)
            heard = made(body, held.name)
            await self._put(heard)
        finally:
            self.door.leave(size)
        self._count(heard, held.name)
        return heard

    async def _put(self, heard: Heard) -> None:
        if not heard.rows:
            return
        try:
            await self.committer.put(heard.rows)
        except FullError as error:
            raise self._full() from error
        except OSError as error:
            log.error("the spool cannot be written", extra={"problem": error.strerror or "unknown"})
            raise LaterError(503, "the spool cannot be written; send it again later", 30) from error

    def _full(self) -> LaterError:
        wait = max(1, min(300, round(self.spool.bounds.seal)))
        return LaterError(429, "the spool is full until the worker has read more of it; send it again later", wait)

    def _count(self, heard: Heard, key: str) -> None:
        for one in heard.rows:
            self.figures.rows[one.stream, key] += one.rows
        if heard.lost:
            self.figures.rejected[key] += heard.lost

    async def _health(self, _request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def _ready(self, _request: Request) -> Response:
        problem = status.read(self.spool.place).problem
        full = self.spool.is_full()
        said = "the spool is full" if full else problem
        # Batches are taken while the worker waits, as long as there is room for them.
        return JSONResponse({"status": "full" if full else "ready", "problem": said}, 503 if full else 200)

    async def _metrics(self, request: Request) -> Response:
        self.door.holder(request.headers.get("authorization", ""), METRICS)
        return Response(self.figures.text(self.spool), media_type=CONTENT_TYPE)


def _kind(request: Request, kinds: tuple[str, ...]) -> str:
    """The content type of a request. Raises RefusedError for another one."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in kinds:
        raise RefusedError(415, f"the content type is {kind[:64]!r}; send {' or '.join(kinds[:2])}")
    return kind


def _counts(heard: Heard) -> Response:
    told: dict[str, object] = {"accepted": heard.taken, "rejected": heard.lost}
    return JSONResponse(told | ({"reasons": heard.rejected} if heard.rejected else {}))


def _refused(error: RefusedError) -> Response:
    headers = {"retry-after": str(error.seconds)} if isinstance(error, LaterError) else {}
    if error.status in (408, 413):
        headers["connection"] = "close"  # what is left of the body is not read
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse({"error": error.said}, error.status, headers)
