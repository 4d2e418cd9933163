"""A service in this process: its settings, its keys, its spool, and bodies to send."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.testclient import TestClient

from clonewatch.live import bus
from clonewatch.live.api_keys import SCOPES, ApiKey, new
from clonewatch.live.bus import Writer
from clonewatch.live.settings import Settings
from clonewatch.service.receiving.app import Receiver
from clonewatch.state.manifest import decode

KEY, _HASH = new()
START = 1_780_000_000


def settings(folder: Path, **given: Any) -> Settings:
    """Settings of a service in a folder, with one key that may do everything."""
    held = Settings(
        state=str(folder / "state"),
        spool=str(folder / "spool"),
        results=str(folder / "results"),
        fingerprint_key=str(folder / "fingerprint.key"),
        keys={"gateway": ApiKey(_HASH, SCOPES)},
    )
    return msgspec.structs.replace(held, **given)


class Service:
    """A service that answers in this process."""

    def __init__(self, http: TestClient, receiver: Receiver) -> None:
        self.http, self.receiver = http, receiver

    def post(self, path: str, body: bytes | object, kind: str = "application/json", **headers: str) -> Any:
        """Send a body with the key."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {"authorization": f"Bearer {KEY}", "content-type": kind}
        return self.http.post(path, content=data, headers=named | {n.replace("_", "-"): v for n, v in headers.items()})

    def get(self, path: str, key: str = KEY) -> Any:
        """Look at something with the key."""
        return self.http.get(path, headers={"authorization": f"Bearer {key}"})

    @property
    def spool(self) -> Writer:
        """Its spool, or the bus in its place."""
        return self.receiver.spool

    def lines(self) -> list[bytes]:
        """All lines in the spool."""
        return [line for path in self.spool.place.rglob("*.ndjson") for line in path.read_bytes().splitlines() if line]


@contextlib.contextmanager
def serving(chosen: Settings) -> Iterator[Service]:
    """A service without its worker."""
    with bus.writing(chosen) as held:
        receiver = Receiver(chosen, held)
        with TestClient(receiver.app()) as http:
            yield Service(http, receiver)


def exchange(number: int, account: str = "", **more: object) -> dict[str, object]:
    """A row of the exchanges table."""
    at = {"exchange_id": f"x{number}", "ts": START + number, "account_id": account or f"a{number % 7}"}
    return at | {"messages": [{"role": "user", "content": f"What is {number} plus one?"}]} | more


def spans(numbers: range, account: str = "user.id") -> bytes:
    """An export request with one model call a span, in binary form. account: the attribute that names it."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add().scope_spans.add()
    for number in numbers:
        span = group.spans.add(name="chat", trace_id=os.urandom(16), span_id=number.to_bytes(8))
        span.start_time_unix_nano = (START + number) * 10**9
        span.end_time_unix_nano = span.start_time_unix_nano + 10**9
        said = json.dumps([{"role": "user", "parts": [{"type": "text", "content": f"Count to {number}"}]}])
        values = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.input.messages": said}
        for name, value in (values | {account: f"a{number % 7}"}).items():
            span.attributes.add(key=name).value.string_value = value
        span.attributes.add(key="gen_ai.usage.input_tokens").value.int_value = 11
    return request.SerializeToString()


def held(state: Path) -> list[dict[str, Any]]:
    """Every exchange that a state has."""
    manifest = decode((state / "state.json").read_bytes(), state)
    parts = [state / "parts" / part.exchanges.name for part in manifest.parts]
    return [row for path in parts for row in pq.read_table(path).to_pylist()]


def ids(state: Path) -> list[str]:
    """The ids of every exchange that a state has, sorted."""
    return sorted(row["exchange_id"] for row in held(state))
