"""Envoy's `ext_proc` over gRPC: the one module that needs grpcio and protobuf.

The messages are those of `envoy/service/ext_proc/v3/external_processor.proto`, of which the fields that are used here
are declared below by their numbers: whatever else Envoy sends is passed over. The package with all of Envoy's messages
brings copies of the modules of OpenTelemetry, Google and CEL, which overwrite those of the packages themselves.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from clonewatch_gateway.processing import (
    MOST_HELD,
    PASS,
    REQUEST_BODY,
    RESPONSE_BODY,
    RESPONSE_HEADERS,
    Exchange,
    Reply,
)
from clonewatch_gateway.renewing import Certificate

SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"
# The name under which decisions are in Envoy's dynamic metadata.
METADATA = "clonewatch"
# Streams at once, each of which lasts as long as its request; seconds in which they end when the service stops.
MOST_STREAMS, GRACE = 4_000, 5.0
_INSTALL = (
    "answering Envoy over gRPC needs grpcio and protobuf. Install the extra: pip install 'clonewatch-gateway[envoy]'"
)
_LOG = logging.getLogger("clonewatch_gateway")
# Of ProcessingMode: a head that is sent, a body that is sent as it comes, and one that is held back.
_SEND, _STREAMED, _HELD_BACK = 1, 1, 2
_OVERWRITE = 2
# Message -> field -> number and type. A message in square brackets is repeated.
_FIELDS: dict[str, dict[str, tuple[int, str]]] = {
    "HeaderValue": {"key": (1, "string"), "value": (2, "string"), "raw_value": (3, "bytes")},
    "HeaderMap": {"headers": (1, "[HeaderValue]")},
    "HeaderValueOption": {"header": (1, "HeaderValue"), "append_action": (3, "int32")},
    "HeaderMutation": {"set_headers": (1, "[HeaderValueOption]"), "remove_headers": (2, "[string]")},
    "BodyMutation": {"body": (1, "bytes")},
    "CommonResponse": {"header_mutation": (2, "HeaderMutation"), "body_mutation": (3, "BodyMutation")},
    "PartResponse": {"response": (1, "CommonResponse")},
    "HttpStatus": {"code": (1, "int32")},
    "ImmediateResponse": {
        "status": (1, "HttpStatus"),
        "headers": (2, "HeaderMutation"),
        "body": (3, "bytes"),
        "details": (5, "string"),
    },
    "ProcessingMode": {
        "response_header_mode": (2, "int32"),
        "request_body_mode": (3, "int32"),
        "response_body_mode": (4, "int32"),
    },
    "HttpHeaders": {"headers": (1, "HeaderMap"), "end_of_stream": (3, "bool")},
    "HttpBody": {"body": (1, "bytes"), "end_of_stream": (2, "bool")},
    "ProcessingRequest": {
        "request_headers": (2, "HttpHeaders"),
        "response_headers": (3, "HttpHeaders"),
        "request_body": (4, "HttpBody"),
        "response_body": (5, "HttpBody"),
    },
    "ProcessingResponse": {
        "request_headers": (1, "PartResponse"),
        "response_headers": (2, "PartResponse"),
        "request_body": (3, "PartResponse"),
        "response_body": (4, "PartResponse"),
        "immediate_response": (7, "ImmediateResponse"),
        "dynamic_metadata": (8, "bytes"),  # a google.protobuf.Struct
        "mode_override": (9, "ProcessingMode"),
    },
}


class NotInstalled(Exception):
    """What serves is not installed. The message says what to do."""


@functools.cache
def message(name: str) -> Any:
    """The class of a message. Raises NotInstalled."""
    try:
        from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
        from google.protobuf.descriptor_pb2 import FileDescriptorProto
        from google.protobuf.descriptor_pool import DescriptorPool
        from google.protobuf.message_factory import GetMessageClass
    except ImportError as error:
        raise NotInstalled(_INSTALL) from error
    file = FileDescriptorProto(name="clonewatch_ext_proc.proto", package="clonewatch_ext_proc", syntax="proto3")
    for title, fields in _FIELDS.items():
        made = file.message_type.add(name=title)
        for label, (number, kind) in fields.items():
            inner = kind.strip("[]")
            field = made.field.add(name=label, number=number)
            field.label = Field.LABEL_REPEATED if kind != inner else Field.LABEL_OPTIONAL
            if inner in _FIELDS:
                field.type, field.type_name = Field.TYPE_MESSAGE, f".{file.package}.{inner}"
            else:
                field.type = Field.Type.Value(f"TYPE_{inner.upper()}")
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{name}"))


async def started(
    exchange: Callable[[], Exchange], address: str, certificate: Certificate | None = None
) -> tuple[Any, int]:
    """A server that listens, and on which port. exchange: makes one. certificate: for TLS.

    Raises NotInstalled, OSError.
    """
    try:
        import grpc
    except ImportError as error:
        raise NotInstalled(_INSTALL) from error
    asks = message("ProcessingRequest")
    server = grpc.aio.server(
        maximum_concurrent_rpcs=MOST_STREAMS,
        options=(("grpc.max_receive_message_length", 2 * MOST_HELD), ("grpc.so_reuseport", 0)),
    )
    handler = grpc.stream_stream_rpc_method_handler(
        _answering(exchange), asks.FromString, lambda made: made.SerializeToString()
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Process": handler}),))
    try:
        if certificate is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, _credentials(certificate))
    except RuntimeError as error:
        raise OSError(f"cannot listen for gRPC on {address}: {error}") from error
    await server.start()
    return server, port


def _credentials(certificate: Certificate) -> Any:
    """Credentials of gRPC that give each connection the newest certificate."""
    import grpc

    given = certificate.pair

    def newest() -> Any:
        nonlocal given
        if certificate.pair is given:
            return None
        given = certificate.pair
        return grpc.ssl_server_certificate_configuration([given])

    return grpc.dynamic_ssl_server_credentials(grpc.ssl_server_certificate_configuration([given]), newest)


def _answering(exchange: Callable[[], Exchange]) -> Callable[[AsyncIterator[Any], Any], AsyncIterator[Any]]:
    async def process(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        held = exchange()
        try:
            async for request in requests:
                made = _answered(held, request)
                if made is not None:
                    yield made
        except Exception:  # noqa: BLE001  (whatever it is: a stream that ends lets its request pass)
            _LOG.exception("a request was not decided about; it is served")
        finally:
            held.end()

    return process


def _answered(held: Exchange, request: Any) -> Any:
    """The answer to one message; None for one that is not known here."""
    if request.HasField("request_headers"):
        part = request.request_headers
        return _made(
            "request_headers", held.request_headers(_named(part.headers), ended=part.end_of_stream), first=True
        )
    if request.HasField(REQUEST_BODY):
        body = request.request_body
        return _made(REQUEST_BODY, held.request_body(body.body, whole=body.end_of_stream))
    if request.HasField(RESPONSE_HEADERS):
        return _made(RESPONSE_HEADERS, held.response_headers(), first=True)
    if request.HasField(RESPONSE_BODY):
        return _made(RESPONSE_BODY, held.response_body(request.response_body.body))
    return None


def _named(headers: Any) -> Mapping[str, str]:
    """Headers by name. Of one that comes twice the first counts."""
    found: dict[str, str] = {}
    for one in headers.headers:
        found.setdefault(one.key.lower(), one.raw_value.decode("latin-1") if one.raw_value else one.value)
    return found


def _made(part: str, reply: Reply, *, first: bool = False) -> Any:
    """A reply as a message. first: it is about a head, after which Envoy may be asked for more."""
    made = message("ProcessingResponse")()
    if reply.said:
        made.dynamic_metadata = _metadata(reply.said)
    if reply.refusal is not None:
        refusal = made.immediate_response
        refusal.status.code, refusal.body = reply.refusal.status, reply.refusal.body
        refusal.details = "clonewatch"
        _set(refusal.headers, reply.refusal.headers)
        return made
    response = getattr(made, part).response
    # An answer to a part names that part, even where nothing is to be changed.
    response.SetInParent()
    if reply is PASS:
        return made
    if reply.headers or reply.removed:
        _set(response.header_mutation, reply.headers)
        # What is set is not to be taken out again.
        names = {name for name, _ in reply.headers}
        response.header_mutation.remove_headers.extend(one for one in reply.removed if one not in names)
    if reply.body is not None:
        response.body_mutation.body = reply.body
    if first and reply.wanted:
        wanted = made.mode_override
        wanted.request_body_mode = _HELD_BACK if REQUEST_BODY in reply.wanted else 0
        wanted.response_header_mode = _SEND if RESPONSE_HEADERS in reply.wanted else 0
        wanted.response_body_mode = _STREAMED if RESPONSE_BODY in reply.wanted else 0
    return made


def _set(mutation: Any, headers: tuple[tuple[str, str], ...]) -> None:
    for name, value in headers:
        one = mutation.set_headers.add(append_action=_OVERWRITE)
        one.header.key, one.header.raw_value = name, value.encode("latin-1", "replace")


def _metadata(said: Mapping[str, str]) -> bytes:
    from google.protobuf.struct_pb2 import Struct

    held = Struct()
    held.update({METADATA: dict(said)})
    made: bytes = held.SerializeToString(deterministic=True)
    return made
