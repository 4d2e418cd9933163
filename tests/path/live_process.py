"""A service as a process of its own, with its worker, that may be killed."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import httpx

from clonewatch.live.api_keys import SCOPES, new
from clonewatch.live.spool import held

PATIENCE = 60.0
_COMMAND = [sys.executable, "-u", "-c", "from clonewatch.cli.main import run; run()"]


class Process:
    """`clonewatch serve` on a free port. more: of its settings, as TOML. tls: whom it trusts, for TLS."""

    def __init__(self, folder: Path, more: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.folder, self.port = folder, 0
        self.key, hashed = new()
        scopes = ", ".join(f'"{one}"' for one in SCOPES)
        text = f'{more}\n[keys.gateway]\nsha256 = "{hashed}"\nscopes = [{scopes}]\nrequests_per_minute = 100000\n'
        (folder / "serve.toml").write_text(f'fingerprint_key = "fingerprint.key"\n{text}')
        self.log = folder / "serve.log"
        self._running: subprocess.Popen[bytes] | None = None
        self._scheme = "https" if tls else "http"
        self._http = httpx.Client(timeout=PATIENCE, verify=tls or True)

    def start(self) -> Process:
        """Start it, and wait until it listens."""
        words = ["serve", "serve.toml", "--state", "state", "--spool", "spool", "--out", "results"]
        with self.log.open("ab") as log, (self.folder / "said").open("wb") as said:
            self._running = subprocess.Popen(
                [*_COMMAND, *words, "--listen", f"127.0.0.1:{self.port}"],
                cwd=self.folder,
                stdout=said,
                stderr=log,
                start_new_session=True,
            )
        self.wait(self._listens, "it does not listen")
        return self

    def kill(self) -> None:
        """End it and its worker at once, as a loss of power would."""
        running = self._running
        assert running is not None
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        running = self._running
        assert running is not None
        running.terminate()
        return running.wait(PATIENCE)

    def post(self, path: str, body: bytes, kind: str = "application/json") -> httpx.Response:
        """Send a body with the key."""
        headers = {"authorization": f"Bearer {self.key}", "content-type": kind}
        return self._http.post(f"{self.url}{path}", content=body, headers=headers)

    def figure(self, name: str) -> float:
        """A figure without labels."""
        text = self._http.get(f"{self.url}/metrics", headers={"authorization": f"Bearer {self.key}"}).text
        found = re.search(rf"^clonewatch_{name} (\S+)$", text, re.M)
        assert found, f"no figure {name}"
        return float(found[1])

    def wait_until_taken(self) -> None:
        """Wait until everything that was sent is in the state."""
        self.wait(lambda: held(self.folder / "spool") < 10_000 and not self._waiting(), "the spool is not taken")

    def wait(self, done: object, said: str) -> None:
        """Wait until something holds."""
        assert callable(done)
        until = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < until, f"{said}: {self.log.read_text()[-2000:]}"
            time.sleep(0.02)

    @property
    def url(self) -> str:
        """Its address."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def _listens(self) -> bool:
        assert self._running is not None
        assert self._running.poll() is None, self.log.read_text()[-2000:]
        found = re.search(r"://127\.0\.0\.1:(\d+)", (self.folder / "said").read_text())
        if not found:
            return False
        self.port = int(found[1])
        try:
            return self._http.get(f"{self.url}/health").status_code == 200
        except httpx.TransportError:
            return False

    def _waiting(self) -> bool:
        return any(name.endswith(".ndjson") for _, _, names in os.walk(self.folder / "spool") for name in names)

    def __enter__(self) -> Process:
        return self.start()

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._http.close()
        if self._running and self._running.poll() is None:
            self.kill()
