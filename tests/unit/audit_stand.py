"""A stand-in server whose answers a test chooses, and an audit that is planned against it."""

from __future__ import annotations

import json
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from clonewatch.audit.committing import commit_watermark
from clonewatch.audit.folder import Folder
from clonewatch.audit.ledger import Ledger, Usage
from clonewatch.audit.run import make_plan

WORDS = [f"{a}{b}" for a in ("ba", "ce", "di", "fo", "gu", "ha", "je", "ki") for b in ("l", "m", "n", "r", "s", "t")]
Reply = tuple[int, dict[str, str], Any]
Behave = Callable[[str, dict[str, Any], int], Reply]


def written(body: dict[str, Any], seed: int, finish: str = "length") -> dict[str, Any]:
    """Answers of random words, with the probabilities they were drawn with."""
    draw = np.random.default_rng(seed)
    choices = []
    for i in range(body["n"]):
        words = draw.choice(WORDS, body["max_tokens"]).tolist()
        tokens = [" " + word for word in words]
        told = {
            "tokens": tokens,
            "token_logprobs": [-3.9] * len(words),
            "text_offset": list(range(len(words))),
            "top_logprobs": [{t: -3.9} for t in tokens],
        }
        choices.append(
            {
                "index": i,
                "text": "".join(tokens),
                "finish_reason": finish,
                "logprobs": told if body.get("logprobs") else None,
            }
        )
    return {"choices": choices}


def honest(model: str, body: dict[str, Any], number: int) -> Reply:
    """A model that answers."""
    return 200, {}, written(body, number)


def door(behave: Behave, asked: list[dict[str, Any]]) -> type[BaseHTTPRequestHandler]:
    """What answers as `behave` says. asked: gets the bodies of requests."""

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append({**body, "key": self.headers.get("Authorization", "")})
            status, headers, told = behave(body["model"], body, len(asked))
            data = told if isinstance(told, bytes) else json.dumps(told).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Door


@contextmanager
def standing(behave: Behave) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server on this machine: its address, and the bodies that it was asked with so far."""
    asked: list[dict[str, Any]] = []

    server = ThreadingHTTPServer(("127.0.0.1", 0), door(behave, asked))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def standing_apart(behave: Behave) -> Iterator[str]:
    """The same server in a process of its own, for tests that fork: its address."""
    fork = multiprocessing.get_context("fork")
    told, tell = fork.Pipe(duplex=False)

    def serve() -> None:
        with standing(behave) as (url, _):
            tell.send(url)
            threading.Event().wait()

    server = fork.Process(target=serve, daemon=True)
    server.start()
    try:
        yield str(told.recv())
    finally:
        server.terminate()
        server.join()


def planned(
    place: Path, url: str, *, more: str = "", sources: str = "", control: str = "", plan: bool = True
) -> tuple[Folder, Ledger]:
    """An audit of what the ledger holds, or of one watermark. more: settings; sources, control: lines of the two.

    plan: False to write only what a plan needs.
    """
    ledger = Ledger(place / "ledger.jsonl")
    if plan and not ledger.path.exists():
        commit_watermark(ledger, "kgw", 1, 0.5, Usage("2026-03-01", carriers=["case-7"]))
    rows = [{"prompt": f"{WORDS[i]} {WORDS[i + 1]}"} for i in range(12)]
    (place / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (place / "words.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    told = f"""
ledger = "ledger.jsonl"
prompts = "prompts.jsonl"
tokenizer = "words.txt"
decoys = 39
tokens = 30
{more}
[suspect]
url = "{url}"
model = "suspect"
{sources}
[control]
url = "{url}"
model = "control"
{control}
"""
    (place / "settings.toml").write_text(told, encoding="utf-8")
    if plan:
        make_plan(place / "settings.toml", place / "audit")
    return Folder(place / "audit"), ledger
