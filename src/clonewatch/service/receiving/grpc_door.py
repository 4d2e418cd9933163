"""OTLP over gRPC: the same bodies through the same door, beside HTTP and in its event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import grpc

from clonewatch.live import otlp
from clonewatch.live.bodies import RefusedError
from clonewatch.live.settings import Settings, size_of
from clonewatch.model.errors import SetupError
from clonewatch.service.receiving.renewing import Certificate

_SERVICES = {
    otlp.TRACES: "opentelemetry.proto.collector.trace.v1.TraceService",
    otlp.LOGS: "opentelemetry.proto.collector.logs.v1.LogsService",
}
# What may be tried again is UNAVAILABLE: exporters do so with growing pauses.
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    413: grpc.StatusCode.INVALID_ARGUMENT,
}
_MOST_AT_ONCE = 256
_GRACE = 5.0  # seconds


class Exports(Protocol):
    """Takes a request in binary form. Raises RefusedError."""

    async def export(self, body: bytes, authorization: str, signal: str) -> bytes:
        """The answer in binary form."""
        ...


async def started(settings: Settings, exports: Exports, certificate: Certificate | None = None) -> Any:
    """A server that listens on the port of the settings. Raises SetupError."""
    most = size_of(settings.limits.body)
    server = grpc.aio.server(
        maximum_concurrent_rpcs=_MOST_AT_ONCE,
        options=(("grpc.max_receive_message_length", most), ("grpc.so_reuseport", 0)),
    )
    server.add_generic_rpc_handlers(
        tuple(
            grpc.method_handlers_generic_handler(
                name, {"Export": grpc.unary_unary_rpc_method_handler(_answering(exports, signal))}
            )
            for signal, name in _SERVICES.items()
        )
    )
    held = settings.listen
    at = f"[{held.host}]:{held.grpc}" if ":" in held.host else f"{held.host}:{held.grpc}"
    try:
        if certificate is not None:
            server.add_secure_port(at, _credentials(certificate))
        else:
            server.add_insecure_port(at)
    except (RuntimeError, OSError) as error:
        raise SetupError("cannot listen for gRPC", where=at, fix="Choose another port in [listen]") from error
    await server.start()
    return server


async def stopped(server: Any) -> None:
    """End a server once its requests are answered."""
    await server.stop(_GRACE)


def _credentials(certificate: Certificate) -> Any:
    """Credentials that give each connection the newest certificate."""
    given = certificate.pair

    def newest() -> Any:
        nonlocal given
        if certificate.pair is given:
            return None
        given = certificate.pair
        return grpc.ssl_server_certificate_configuration([given])

    return grpc.dynamic_ssl_server_credentials(grpc.ssl_server_certificate_configuration([given]), newest)


def _answering(exports: Exports, signal: str) -> Callable[[bytes, Any], Awaitable[bytes]]:
    async def answer(body: bytes, context: Any) -> bytes:
        # Names of metadata are in lower case, and values text where the name does not end in -bin.
        given = {name: value for name, value in context.invocation_metadata() or ()}
        try:
            return await exports.export(body, str(given.get("authorization", "")), signal)
        except RefusedError as error:
            await context.abort(_CODES.get(error.status, grpc.StatusCode.UNAVAILABLE), error.said)
            raise AssertionError("abort raises") from error

    return answer
