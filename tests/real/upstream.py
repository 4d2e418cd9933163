"""A model server on loopback: OpenAI's chat completions, responses and embeddings, Anthropic's messages.

It answers what `calls.py` decided, and logs each exchange as an operator's own server would: facts beside the bodies.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from calls import DATED, SLOW, Call, Json, calls, ticket

_SECRETS = ("authorization", "x-api-key")
_WORDS = {401: "authentication_error", 429: "rate_limit_error", 500: "api_error"}
_APIS = {"messages": "anthropic"}


class Upstream:
    """The server, in threads of this process. logs: a folder with a log per API; address: where it listens."""

    def __init__(self, logs: Path) -> None:
        handler = type("Handler", (_Handler,), {"logs": logs, "known": calls(), "lock": threading.Lock()})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Upstream:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    logs: ClassVar[Path]
    known: ClassVar[list[Call]]
    lock: ClassVar[threading.Lock]

    def log_message(self, *_: object) -> None:
        """Keep the terminal quiet."""

    def do_GET(self) -> None:
        """Who is it: for nginx's auth_request, which asks before each call."""
        account = next((c for c in self.known if c.key in (self._key(), "")), None)
        self.send_response(204 if account else 401)
        if account:
            self.send_header("X-Account-Id", account.account_id)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        """Answer one call and log it."""
        arrived = time.time()
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/sink":
            return self._keep(raw)
        number = ticket(json.dumps(json.loads(raw), ensure_ascii=False))
        if number is None:
            return self._send(400, {"error": {"message": "no ticket in the prompt", "type": "invalid_request_error"}})
        call = self.known[number]
        if call.slow:
            time.sleep(SLOW)
        said = self._answer(call)
        self._log(call, raw, said, arrived)
        return None

    def _answer(self, call: Call) -> object:
        """Send the answer; what was sent, as a logger sees it."""
        if call.status != 200:
            error: Json = {"error": {"type": _WORDS[call.status], "message": f"refused, {_WORDS[call.status]}"}}
            if call.api == "messages":
                error |= {"type": "error", "request_id": f"req_{call.number}"}
            self._send(call.status, error)
            return error
        if not call.stream:
            answer = answer_of(call)
            self._send(200, answer)
            return answer
        text = "".join(events_of(call))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in text.split("\n\n")[:-1]:
            chunk = f"{part}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        self.wfile.write(b"0\r\n\r\n")
        return text

    def _send(self, status: int, body: Json) -> None:
        data = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _keep(self, raw: bytes) -> None:
        """Keep what a gateway's log sends here, as a collector of logs would."""
        with self.lock, (self.logs / "litellm.ndjson").open("ab") as out:
            out.write(raw.rstrip(b"\n") + b"\n")
        self._send(200, {})

    def _key(self) -> str:
        return self.headers.get("x-api-key") or (self.headers.get("Authorization") or "").removeprefix("Bearer ")

    def _log(self, call: Call, raw: bytes, said: object, arrived: float) -> None:
        row = {
            "ts": arrived,
            "request_id": f"srv-{call.number:04d}",
            "account_id": call.account_id,
            "org_id": call.org_id,
            "api_key_id": call.key_id,
            "session_id": self.headers.get("x-session-id"),
            "client_ip": self.headers.get("x-forwarded-for") or self.client_address[0],
            "status": call.status,
            "latency_ms": round((time.time() - arrived) * 1000),
            "path": self.path,
            "headers": {k.lower(): v for k, v in self.headers.items() if k.lower() not in _SECRETS},
            "request": raw.decode(),
            "response": said,
        }
        file = self.logs / f"server-{_APIS.get(call.api, 'openai')}.ndjson"
        with self.lock, file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


# ---- answers ---------------------------------------------------------------------------------------------------------


def answer_of(call: Call) -> Json:
    """The whole answer, as it is without streaming."""
    return {"chat": _chat, "responses": _responses, "embeddings": _embeddings, "messages": _message}[call.api](call)


def _usage(call: Call) -> Json:
    given, said = call.tokens["input_tokens"], call.tokens["output_tokens"]
    return {
        "prompt_tokens": given,
        "completion_tokens": said,
        "total_tokens": given + said,
        "prompt_tokens_details": {"cached_tokens": call.tokens["cached_tokens"]},
        "completion_tokens_details": {"reasoning_tokens": call.tokens["reasoning_tokens"]},
    }


def _tool_calls(call: Call) -> list[Json]:
    arguments = json.dumps({"place": "Lima"})
    function = {"name": call.tool_called, "arguments": arguments}
    return [{"id": f"call_{call.number}", "type": "function", "function": function}] if call.tool_called else []


def _logprobs(call: Call) -> Json | None:
    if not call.body.get("logprobs"):
        return None
    return {"content": [{"token": "Reply", "logprob": -0.1, "bytes": [82], "top_logprobs": []}], "refusal": None}


def _chat(call: Call) -> Json:
    message: Json = {"role": "assistant", "content": call.answer or None, "refusal": None}
    if call.tool_called:
        message["tool_calls"] = _tool_calls(call)
    choice = {"message": message, "finish_reason": call.stop, "logprobs": _logprobs(call)}
    return {
        "id": call.response_id,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": call.body["model"] + DATED,
        "choices": [{"index": i, **choice} for i in range(call.body.get("n", 1))],
        "usage": _usage(call),
        "service_tier": "default",
    }


def _embeddings(call: Call) -> Json:
    count = call.tokens["input_tokens"]
    return {
        "object": "list",
        "model": call.body["model"] + DATED,
        "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5, 0.125]}],
        "usage": {"prompt_tokens": count, "total_tokens": count},
    }


def _responses(call: Call) -> Json:
    cut = call.stop == "max_output_tokens"
    item: Json = {"type": "message", "id": f"m_{call.number}", "role": "assistant", "status": "completed"}
    item["content"] = [{"type": "output_text", "text": call.answer, "annotations": []}]
    if call.tool_called:
        function = _tool_calls(call)[0]["function"]
        item = {"type": "function_call", "id": f"f_{call.number}", "call_id": f"call_{call.number}", **function}
    body = call.body
    return {
        "id": call.response_id,
        "object": "response",
        "created_at": int(time.time()),
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "error": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": body["model"] + DATED,
        "output": [item],
        "parallel_tool_calls": True,
        "temperature": body.get("temperature", 1.0),
        "top_p": body.get("top_p", 1.0),
        "tool_choice": "auto",
        "tools": body.get("tools", []),
        "text": body.get("text", {"format": {"type": "text"}}),
        "metadata": {},
        "usage": {
            "input_tokens": call.tokens["input_tokens"],
            "input_tokens_details": {"cached_tokens": call.tokens["cached_tokens"]},
            "output_tokens": call.tokens["output_tokens"],
            "output_tokens_details": {"reasoning_tokens": call.tokens["reasoning_tokens"]},
            "total_tokens": call.tokens["input_tokens"] + call.tokens["output_tokens"],
        },
    }


def _message(call: Call) -> Json:
    block: Json = {"type": "text", "text": call.answer}
    if call.tool_called:
        block = {"type": "tool_use", "id": f"toolu_{call.number}", "name": call.tool_called, "input": {"place": "Lima"}}
    return {
        "id": call.response_id,
        "type": "message",
        "role": "assistant",
        "model": call.body["model"] + DATED,
        "content": [block],
        "stop_reason": call.stop,
        "stop_sequence": None,
        "usage": {
            "input_tokens": call.tokens["input_tokens"] - call.tokens["cached_tokens"],
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": call.tokens["cached_tokens"],
            "output_tokens": call.tokens["output_tokens"],
        },
    }


# ---- the same, streamed ----------------------------------------------------------------------------------------------


def events_of(call: Call) -> Iterator[str]:
    """The server-sent events of a streamed answer."""
    return {"chat": _chat_events, "responses": _responses_events, "messages": _message_events}[call.api](call)


def _pieces(text: str) -> list[str]:
    return [text[i : i + 7] for i in range(0, len(text), 7)]


def _chat_events(call: Call) -> Iterator[str]:
    whole = _chat(call)
    frame = {key: whole[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    for choice in whole["choices"]:
        index = choice["index"]
        deltas: list[Json] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": piece} for piece in _pieces(call.answer)]
        deltas += [{"tool_calls": [{"index": 0, **one}]} for one in _tool_calls(call)]
        for delta in deltas:
            made = {"index": index, "delta": delta, "logprobs": choice["logprobs"], "finish_reason": None}
            yield f"data: {json.dumps(frame | {'choices': [made]})}\n\n"
        ended = {"index": index, "delta": {}, "finish_reason": call.stop}
        yield f"data: {json.dumps(frame | {'choices': [ended]})}\n\n"
    if (call.body.get("stream_options") or {}).get("include_usage"):
        yield f"data: {json.dumps(frame | {'choices': [], 'usage': whole['usage']})}\n\n"
    yield "data: [DONE]\n\n"


def _event(kind: str, number: int, **more: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': number, **more})}\n\n"


def _responses_events(call: Call) -> Iterator[str]:
    whole = _responses(call)
    item = whole["output"][0]
    begun = whole | {"status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    where = {"output_index": 0, "item_id": item["id"]}
    yield _event("response.created", 0, response=begun)
    yield _event(
        "response.output_item.added", 1, output_index=0, item=item | ({} if call.tool_called else {"content": []})
    )
    if not call.tool_called:
        empty = {"type": "output_text", "text": "", "annotations": []}
        yield _event("response.content_part.added", 2, **where, content_index=0, part=empty)
        for i, piece in enumerate(_pieces(call.answer)):
            yield _event("response.output_text.delta", 3 + i, **where, content_index=0, delta=piece, logprobs=[])
        yield _event("response.output_text.done", 90, **where, content_index=0, text=call.answer, logprobs=[])
    yield _event("response.output_item.done", 91, output_index=0, item=item)
    ended = "response.incomplete" if whole["status"] == "incomplete" else "response.completed"
    yield _event(ended, 92, response=whole)


def _message_events(call: Call) -> Iterator[str]:
    whole = _message(call)
    block = whole["content"][0]
    begun = whole | {"content": [], "stop_reason": None, "usage": whole["usage"] | {"output_tokens": 1}}
    yield _named({"type": "message_start", "message": begun})
    empty = block | ({"input": {}} if call.tool_called else {"text": ""})
    yield _named({"type": "content_block_start", "index": 0, "content_block": empty})
    deltas = [{"type": "text_delta", "text": piece} for piece in _pieces(call.answer)]
    if call.tool_called:
        deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
    for delta in deltas:
        yield _named({"type": "content_block_delta", "index": 0, "delta": delta})
    yield _named({"type": "content_block_stop", "index": 0})
    ended = {"stop_reason": call.stop, "stop_sequence": None}
    usage = {"output_tokens": call.tokens["output_tokens"]}
    yield _named({"type": "message_delta", "delta": ended, "usage": usage})
    yield _named({"type": "message_stop"})


def _named(data: Json) -> str:
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n"
