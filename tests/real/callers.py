"""Makes the 167 calls with both vendors' SDKs, instrumented or not. Runs in the environment that holds them.

`python callers.py --base URL --sent FILE [--instruments NAME --telemetry FILE]`; writes what went over the wire.
"""

from __future__ import annotations

import argparse
import base64
import inspect
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import anthropic
import httpx2 as httpx
import openai
from calls import Call, Json, calls
from opentelemetry import baggage, context

_HEADERS = ("user-agent", "x-stainless-lang", "x-stainless-package-version")
_IDS = ("x-request-id", "x-litellm-call-id")
_WIRE: Json = {}


def _client(call: Call) -> httpx.Client:
    """A client that calls from the account's own address and keeps the headers of the last call."""

    def sent(request: Any) -> None:
        _WIRE.clear()
        _WIRE.update({name: request.headers.get(name) for name in _HEADERS})

    def received(response: Any) -> None:
        _WIRE.update({name: response.headers.get(name) for name in _IDS} | {"status": response.status_code})

    return httpx.Client(
        transport=httpx.HTTPTransport(local_address=call.address),
        event_hooks={"request": [sent], "response": [received]},
        timeout=60,
    )


@cache
def _clients(base: str, account: int) -> tuple[Any, Any]:
    call = next(c for c in calls() if c.account == account)
    headers = {"User-Agent": call.user_agent} if call.user_agent else {}
    given: Json = {"api_key": call.key, "max_retries": 0, "default_headers": headers}
    return (
        openai.OpenAI(base_url=f"{base}/v1", http_client=_client(call), **given),
        anthropic.Anthropic(base_url=base, http_client=_client(call), **given),
    )


def ask(call: Call, base: str, spans: dict[int, list[str]]) -> Json:
    """Make one call; what was sent and what came back."""
    for_openai, for_anthropic = _clients(base, call.account)
    create = {
        "chat": for_openai.chat.completions.create,
        "responses": for_openai.responses.create,
        "embeddings": for_openai.embeddings.create,
        "messages": for_anthropic.messages.create,
    }[call.api]
    headers = {"x-session-id": call.session, "x-litellm-session-id": call.session} if call.session else {}
    begun = time.time()
    try:
        answer = create(**_arguments(create, call.body), extra_headers=headers)
        if call.stream:
            for _ in answer:
                pass
        error = None
    except (openai.APIStatusError, anthropic.APIStatusError) as refused:
        error = f"{type(refused).__name__}: {refused}"
    ended = time.time()
    made = {"number": call.number, "begun": begun, "ended": ended, "error": error, **_WIRE}
    return made | {"spans": spans.pop(call.number, [])}


def _arguments(create: Any, body: Json) -> Json:
    """The body as arguments; what this version of the SDK has no argument for goes into its `extra_body`."""
    known = inspect.signature(create).parameters
    more = {key: value for key, value in body.items() if key not in known}
    return {key: value for key, value in body.items() if key in known} | ({"extra_body": more} if more else {})


# ---- telemetry ------------------------------------------------------------------------------------------------------


def _hexed(value: Any) -> Any:
    """Ids in hex, as OTLP's own JSON writes them; protobuf's writes base64."""
    if isinstance(value, list):
        return [_hexed(v) for v in value]
    if isinstance(value, dict):
        ids = ("traceId", "spanId", "parentSpanId")
        return {
            k: base64.b64decode(v).hex() if k in ids and isinstance(v, str) else _hexed(v) for k, v in value.items()
        }
    return value


def _line(message: Any) -> str:
    from google.protobuf.json_format import MessageToDict

    return json.dumps(_hexed(MessageToDict(message, use_integers_for_enums=True)), ensure_ascii=False) + "\n"


def instrumented(names: Sequence[str], out: Path, spans: dict[int, list[str]]) -> Callable[[], None]:
    """Switch instrumentations on, which export to a file as the collector's file exporter writes it; to end with."""
    from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Spans(SpanExporter):
        def export(self, spans: Any) -> Any:
            with out.open("a", encoding="utf-8") as file:
                file.write(_line(encode_spans(spans)))
            return SpanExportResult.SUCCESS

    class Logs(LogRecordExporter):
        def export(self, batch: Any) -> Any:
            with out.open("a", encoding="utf-8") as file:
                file.write(_line(encode_logs(batch)))
            return LogRecordExportResult.SUCCESS

        def shutdown(self) -> None:
            """Nothing is held."""

        def force_flush(self, timeout_millis: int = 0) -> bool:
            """Nothing is held."""
            return True

    class Accounts(SpanProcessor):
        """Puts the account on every span, as the page of the format asks for."""

        def on_start(self, span: Any, parent_context: Any = None) -> None:
            for name in ("user.id", "session.id"):
                if value := baggage.get_baggage(name, parent_context):
                    span.set_attribute(name, value)
            number = baggage.get_baggage("call", parent_context)
            at = span.get_span_context()
            spans.setdefault(int(str(number)), []).append(f"{at.trace_id:032x}-{at.span_id:016x}")

    resource = Resource.create({"service.name": "river-gateway"})
    tracing, logging = TracerProvider(resource=resource), LoggerProvider(resource=resource)
    tracing.add_span_processor(Accounts())
    tracing.add_span_processor(BatchSpanProcessor(Spans(), max_export_batch_size=16, schedule_delay_millis=300))
    logging.add_log_record_processor(
        BatchLogRecordProcessor(Logs(), max_export_batch_size=16, schedule_delay_millis=300)
    )
    for name in names:
        _instrumentor(name).instrument(tracer_provider=tracing, logger_provider=logging)

    def end() -> None:
        tracing.shutdown()
        logging.shutdown()

    return end


def _instrumentor(name: str) -> Any:
    if name == "openai-v2":
        from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

        return OpenAIInstrumentor()
    if name == "traceloop-anthropic":
        from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor

        return AnthropicInstrumentor()
    if name == "openinference-openai":
        from openinference.instrumentation.openai import OpenAIInstrumentor as OpenInferenceOpenAI

        return OpenInferenceOpenAI()
    from openinference.instrumentation.anthropic import AnthropicInstrumentor as OpenInferenceAnthropic

    return OpenInferenceAnthropic()


@contextmanager
def _carried(call: Call) -> Iterator[None]:
    """Baggage around one call, from which spans take account and session."""
    held = baggage.set_baggage("call", str(call.number))
    held = baggage.set_baggage("user.id", call.account_id, held)
    if call.session:
        held = baggage.set_baggage("session.id", call.session, held)
    token = context.attach(held)
    try:
        yield
    finally:
        context.detach(token)


def main() -> int:
    """Make all calls of the APIs asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--base", required=True)
    parser.add_argument("--sent", required=True, type=Path)
    parser.add_argument("--instruments", nargs="*", default=[])
    parser.add_argument("--telemetry", type=Path)
    parser.add_argument("--apis", nargs="*", default=["chat", "responses", "embeddings", "messages"])
    told = parser.parse_args()
    spans: dict[int, list[str]] = {}
    end = instrumented(told.instruments, told.telemetry, spans) if told.instruments else lambda: None
    with told.sent.open("w", encoding="utf-8") as out:
        for call in calls():
            if call.api in told.apis:
                around: AbstractContextManager[None] = _carried(call) if told.instruments else nullcontext()
                with around:
                    made = ask(call, told.base, spans)
                out.write(json.dumps(made) + "\n")
    end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
