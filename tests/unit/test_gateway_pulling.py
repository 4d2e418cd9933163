"""Pulling a list from a web server: what changed comes, what is cut short does not, and nothing else is fetched."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gateway_stand import KEYS, entry, published

from clonewatch_gateway import Follower
from clonewatch_gateway.main import run
from clonewatch_gateway.pulling import NotPulled, Puller


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder with entity tags, as web servers do."""

    server: Server

    def send_head(self) -> Any:
        path = Path(self.translate_path(self.path))
        if self.server.broken == "elsewhere":
            self.send_response(302)
            self.send_header("location", "http://127.0.0.1:1/")
            self.end_headers()
            return None
        if not path.is_file():
            self.send_error(404)
            return None
        data = path.read_bytes()
        tag = f'"{hash(data)}"'
        if self.headers.get("if-none-match") == tag:
            self.send_response(304)
            self.end_headers()
            return None
        self.server.sent.append(path.name)
        self.send_response(200)
        self.send_header("etag", tag)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:-1] if self.server.broken == "short" else data)
        return None

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """What it sent, and how it misbehaves."""

    def __init__(self, folder: Path) -> None:
        self.sent: list[str] = []
        self.broken = ""
        super().__init__(("127.0.0.1", 0), lambda *words: Handler(*words, directory=str(folder)))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "there").mkdir()
    made = Server(tmp_path / "there")
    thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def test_what_changed_comes_and_a_delta_that_went_goes(server: Server, tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    said = {"a": entry("suspend")}
    puller = Puller(server.url, here)
    published(there, said)
    assert puller.pull() == ["snapshot.cwl"]
    follower = Follower(here, KEYS)
    published(there, {})
    assert puller.pull() == ["delta.cwl"] and puller.pull() == [] and follower.look()
    assert follower.current and follower.current.entry("a") is None
    published(there, said, whole=True)
    assert puller.pull() == ["snapshot.cwl", "delta.cwl"] and follower.look() and follower.current.entry("a")
    assert server.sent == ["snapshot.cwl", "delta.cwl", "snapshot.cwl"]


@pytest.mark.parametrize("broken", ["short", "elsewhere", "gone"])
def test_what_does_not_come_whole_leaves_what_is_there(server: Server, tmp_path: Path, broken: str) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    published(there, {"a": entry("suspend")})
    puller = Puller(server.url, here)
    puller.pull()
    before = (here / "snapshot.cwl").read_bytes()
    published(there, {}, whole=True)
    server.broken = broken
    if broken == "gone":
        (there / "snapshot.cwl").unlink()
    with pytest.raises(NotPulled):
        puller.pull()
    assert [path.name for path in here.iterdir()] == ["snapshot.cwl"]
    assert (here / "snapshot.cwl").read_bytes() == before
    assert run(["pull", server.url, "--folder", str(here), "--once"]) == 3


def test_a_server_that_is_away_and_an_address_that_is_none_are_said(tmp_path: Path) -> None:
    with pytest.raises(NotPulled):
        Puller("http://127.0.0.1:1", tmp_path).pull()
    for url in ("file:///etc", "ftp://127.0.0.1", "127.0.0.1"):
        assert run(["pull", url, "--folder", str(tmp_path)]) == 2
