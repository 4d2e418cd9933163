"""A TAXII server of ours on loopback, with keys for peers, and one of others where it is installed."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from starlette.types import ASGIApp

from clonewatch.live.api_keys import new
from clonewatch.service.taxii.settings import Collection, Peer, Settings

SHARED, INBOX, OTHERS = (f"{n}e0f3f52-5a7e-4c39-8d43-2f8d5a1f9b10" for n in "789")
# An environment of its own for servers that clash with ours: `.ci/run` makes it.
PEERS = Path(os.environ.get("CLONEWATCH_PEERS", Path(__file__).resolve().parents[2] / ".venv-peers"))
KEYS = {name: new() for name in ("reader", "writer", "busy")}


def settings(folder: Path, **given: Any) -> Settings:
    """Two collections: everybody reads the first, one peer adds to the second; a third is of nobody."""
    peers = {name: Peer(hashed, sender=f"provider-{name}") for name, (_, hashed) in KEYS.items()}
    peers["writer"] = msgspec.structs.replace(peers["writer"], sender="provider-a")
    peers["busy"] = msgspec.structs.replace(peers["busy"], requests_per_minute=2)
    held = Settings(
        sender="provider-home",
        store=str(folder / "taxii.db"),
        peers=peers,
        collections={
            "shared": Collection(SHARED, "Shared", read=("reader", "writer", "busy")),
            "inbox": Collection(INBOX, "Inbox", "What peers tell", read=("reader",), write=("writer", "reader")),
            "others": Collection(OTHERS, "Others"),
        },
    )
    return msgspec.structs.replace(held, **given)


@contextlib.contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """The address of a server."""
    listener = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        running.should_exit = True
        thread.join(10)
        listener.close()


@contextlib.contextmanager
def medallion(folder: Path) -> Iterator[str]:
    """The API root of a medallion with one collection that its user `peer` may read and write."""
    collection = {"id": SHARED, "title": "Shared", "can_read": True, "can_write": True, "objects": [], "manifest": []}
    media = ["application/stix+json;version=2.1"]
    root = {"title": "Group", "versions": ["application/taxii+json;version=2.1"], "max_content_length": 16 << 20}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    at = f"http://127.0.0.1:{port}"
    data = {
        "/discovery": {"title": "Peer", "default": f"{at}/group/", "api_roots": [f"{at}/group/"]},
        "group": {"information": root, "status": [], "collections": [collection | {"media_types": media}]},
    }
    (folder / "data.json").write_text(json.dumps(data))
    backend = {
        "module": "medallion.backends.memory_backend",
        "module_class": "MemoryBackend",
        "filename": str(folder / "data.json"),
    }
    config = {"backend": backend, "users": {"peer": "secret"}, "taxii": {"max_page_size": 20}}
    (folder / "config.json").write_text(json.dumps(config))
    command = [
        str(PEERS / "bin" / "medallion"),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        str(folder / "config.json"),
    ]
    with (folder / "medallion.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None:
                raise AssertionError((folder / "medallion.log").read_text()[-2000:])
            time.sleep(0.1)
        yield f"{at}/group/"
    finally:
        process.terminate()
        process.wait(10)
