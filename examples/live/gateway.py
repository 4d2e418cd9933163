"""A gateway in front of a model server, with Clonewatch on both of its sides: one file to start your own from.

    python examples/live/gateway.py SETTINGS.json

It checks the API key, asks the watch list about the account, forwards what is not refused, and sends what was served to
`clonewatch serve`, in batches and beside the requests. If Clonewatch is down, requests are served all the same. It
takes a free port of loopback and prints it. Settings: upstream, ingest, ingest_key, keys (API key -> account,
organisation), list, trust, account_key, fingerprint_key, decisions (file for what was decided, a JSON line each).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import uvicorn

from clonewatch.fingerprints.fingerprinting import Fingerprinter
from clonewatch.fingerprints.keys import load_key
from clonewatch_gateway import Decision, Facts, Follower
from clonewatch_gateway.asgi import Middleware
from clonewatch_gateway.serving import listening
from clonewatch_gateway.watch_list import Keys, trusted

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# What waits for `clonewatch serve` at most; beyond it exchanges are not logged, and requests are served.
MOST_WAITING, BATCH, EVERY = 20_000, 500, 0.5
# What the network edge in front of a gateway knows of a request, and hands on as one header.
EDGE = b"x-edge"


class Log:
    """Exchanges on their way to `clonewatch serve`. dropped: that did not fit."""

    def __init__(self, address: str, key: str) -> None:
        self._address, self._headers = address, {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self._waiting: list[dict[str, Any]] = []
        self.dropped = 0

    def add(self, row: dict[str, Any]) -> None:
        """Log an exchange, without waiting."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(row)
        else:
            self.dropped += 1

    async def run(self) -> None:
        """Send what waits, until this is cancelled; a batch that is not acknowledged is sent again."""
        async with httpx.AsyncClient(timeout=30) as http:
            while True:
                await asyncio.sleep(EVERY)
                while self._waiting and await self._sent(http, self._waiting[:BATCH]):
                    del self._waiting[:BATCH]

    async def flush(self) -> None:
        """Send the rest once."""
        async with httpx.AsyncClient(timeout=5) as http:
            while self._waiting and await self._sent(http, self._waiting[:BATCH]):
                del self._waiting[:BATCH]

    async def _sent(self, http: httpx.AsyncClient, rows: list[dict[str, Any]]) -> bool:
        body = b"\n".join(json.dumps(row).encode() for row in rows)
        try:
            answer = await http.post(f"{self._address}/v1/exchanges", content=body, headers=self._headers)
        except httpx.TransportError:
            return False
        if answer.status_code in (429, 503):
            await asyncio.sleep(float(answer.headers.get("retry-after", 1)))
        return answer.status_code == 200


class Gateway:
    """The application. It decides between its two halves: `front` knows who asks and what, `back` forwards."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._keys: dict[str, dict[str, Any]] = settings["keys"]
        self._upstream = settings["upstream"]
        self._log = Log(settings["ingest"], settings["ingest_key"])
        self._printer = Fingerprinter(load_key(Path(settings["fingerprint_key"])))
        secret = bytes.fromhex(Path(settings["account_key"]).read_text(encoding="ascii"))
        self._follower = Follower(Path(settings["list"]), Keys(trusted([settings["trust"]]), secret)).start()
        self._decisions = Path(settings["decisions"]).open("a", encoding="utf-8", buffering=1)
        self._http: httpx.AsyncClient | None = None
        self._decided = Middleware(
            self.back,
            watch=lambda: self._follower.current,
            account=lambda scope: scope["state"]["row"]["account_id"],
            facts=self.facts,
            record=self.record,
        )

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self.front(scope, receive, send)

    async def front(self, scope: Message, receive: Receive, send: Send) -> None:
        """Who asks, and what: then the decision."""
        headers = dict(scope["headers"])
        holder = self._keys.get(headers.get(b"authorization", b"").decode("latin-1").removeprefix("Bearer "))
        if holder is None:
            await _answer(send, 401, b'{"error": "no such key"}')
            return
        body = await _body(receive)
        asked = json.loads(body)
        row = {**json.loads(headers.get(EDGE, b"{}")), **asked.get("metadata", {}), **holder}
        row.setdefault("ts", datetime.now(UTC).isoformat())
        row |= {"model": asked.get("model"), "messages": json.dumps(asked.get("messages"))}
        row |= {name: asked[name] for name in ("max_tokens", "temperature", "n", "logprobs") if name in asked}
        # The body was read for this decision, and is read once more behind it.
        scope = {**scope, "state": {"row": row}}
        held = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return held.pop() if held else await receive()

        await self._decided(scope, again, send)

    def facts(self, scope: Message) -> Facts:
        """The attributes by which a slice is known; only for listed accounts, since nothing is done to others."""
        row = scope["state"]["row"]
        watch = self._follower.current
        if watch is None or watch.entry(row["account_id"]) is None:
            return Facts()
        one = pa.record_batch({"exchange_id": [row["exchange_id"]], "messages": [row["messages"]]})
        (printed,) = self._printer.apply(one).select(["template_id", "format_hash"]).to_pylist()
        named = (("template", printed["template_id"]), ("forced_format", printed["format_hash"]))
        found = frozenset(f"{signal}:{value:016x}" for signal, value in named if value is not None)
        scope["state"]["attributes"] = found
        return Facts(attributes=found)

    def record(self, account: str, decision: Decision) -> None:
        """Keep what was decided; in shadow this is all that happens."""
        if decision.reason in ("no_list", "not_listed"):
            return
        told = {"at": time.time(), "account": account, "action": decision.action, "reason": decision.reason}
        told |= {"simulated": decision.simulated, "status": decision.status, "would": decision.would}
        self._decisions.write(json.dumps(told) + "\n")

    async def back(self, scope: Message, receive: Receive, send: Send) -> None:
        """Forward a request that is served, and log it."""
        assert self._http is not None  # noqa: S101  (made when the server begins)
        row, begun = scope["state"]["row"], time.monotonic()
        answer = await self._http.post(self._upstream, content=await _body(receive))
        await _answer(send, answer.status_code, answer.content)
        usage = answer.json().get("usage", {})
        row |= {"status": answer.status_code, "input_tokens": usage.get("prompt_tokens")}
        row |= {"output_tokens": usage.get("completion_tokens")}
        row |= {"latency_ms": round(1_000 * (time.monotonic() - begun))}
        self._log.add(row)

    async def _live(self, receive: Receive, send: Send) -> None:
        """From the begin of the server to its end."""
        await receive()
        async with self._running():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        async with httpx.AsyncClient(timeout=30, headers={"content-type": "application/json"}) as self._http:
            sending = asyncio.create_task(self._log.run())
            yield
            sending.cancel()
        await self._log.flush()
        self._follower.stop()
        self._decisions.close()


async def _body(receive: Receive) -> bytes:
    held = bytearray()
    while True:
        message = await receive()
        held += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(held)


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main(settings: Path) -> None:
    """Serve until this process is told to stop."""
    listener = listening("127.0.0.1", 0)
    gateway = Gateway(json.loads(settings.read_text(encoding="utf-8")))
    print(listener.getsockname()[1], flush=True)  # noqa: T201
    config = uvicorn.Config(gateway, http="httptools", access_log=False, log_level="warning", lifespan="on")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
