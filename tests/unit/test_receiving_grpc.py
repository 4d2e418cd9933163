"""OTLP over gRPC: the same bounds and the same words as over HTTP, as the codes of gRPC."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from tests.unit.live_stand import KEY, settings, spans

from clonewatch.live import spool
from clonewatch.live.api_keys import ApiKey
from clonewatch.live.settings import Limits, Listen, Settings, SpoolSize
from clonewatch.service.receiving.app import Receiver

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def free_port() -> int:
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def asked(chosen: Settings, *calls: tuple[bytes, str]) -> tuple[list[tuple[Any, Any]], Receiver]:
    """The answers to bodies with their keys, one after the other: what was answered, or the code and the words."""
    port = free_port()
    chosen = Settings(
        **{name: getattr(chosen, name) for name in chosen.__struct_fields__} | {"listen": Listen(grpc=port)}
    )

    async def ask(receiver: Receiver) -> list[tuple[Any, Any]]:
        found: list[tuple[Any, Any]] = []
        async with (
            receiver.app().router.lifespan_context(receiver.app()),
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as line,
        ):
            export: Callable[..., Any] = line.unary_unary(EXPORT)
            for body, key in calls:
                try:
                    made = await export(body, metadata=(("authorization", f"Bearer {key}"),))
                    found.append((None, ExportTraceServiceResponse.FromString(made)))
                except grpc.aio.AioRpcError as error:
                    found.append((error.code(), error.details()))
        return found

    with spool.opened(Path(chosen.spool), chosen.spool_bounds()) as held:
        receiver = Receiver(chosen, held)
        return asyncio.run(ask(receiver)), receiver


def test_spans_are_taken_and_what_is_wrong_has_its_code(tmp_path: Path) -> None:
    body = spans(range(3))
    calls = ((body, KEY), (body, "cwk_" + "x" * 43), (b"\x00hostile", KEY), (spans(range(2), "tenant"), KEY))
    found, receiver = asked(settings(tmp_path), *calls)
    assert found[0] == (None, ExportTraceServiceResponse())
    assert found[1][0] is grpc.StatusCode.UNAUTHENTICATED
    assert found[2] == (grpc.StatusCode.INVALID_ARGUMENT, "the body is not this request in binary form")
    assert found[3] == (None, ExportTraceServiceResponse())  # of each key one in ten seconds is looked at
    text = receiver.figures.text(receiver.spool).decode()
    assert 'clonewatch_requests_total{path="grpc traces",status="200"} 2.0' in text
    assert sum(map(len, (path.read_bytes().splitlines() for path in spool.sealed(Path(receiver.spool.place))))) == 2


@pytest.mark.parametrize("tight", ["size", "in_flight", "scope", "body"])
def test_what_is_too_much_is_told_to_wait_and_what_may_not_be_is_refused(tmp_path: Path, tight: str) -> None:
    held = settings(tmp_path)
    given: dict[str, Any] = {
        "size": {"bounds": SpoolSize(size="64KB")},
        "in_flight": {"limits": Limits(in_flight="64KB")},
        "scope": {"keys": {"gateway": ApiKey(held.keys["gateway"].sha256, ("write:events",))}},
        "body": {"limits": Limits(body="64KB")},
    }[tight]
    body = spans(range(400))
    assert len(body) > 1 << 16
    [(code, said)], receiver = asked(settings(tmp_path, **given), (body, KEY))
    wanted = {
        "scope": grpc.StatusCode.PERMISSION_DENIED,
        "body": grpc.StatusCode.RESOURCE_EXHAUSTED,
    }.get(tight, grpc.StatusCode.UNAVAILABLE)
    assert code is wanted and said
    assert spool.sealed(receiver.spool.place) == [] and receiver.figures.in_flight == 0
