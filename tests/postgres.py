"""A PostgreSQL server of a test's own: Debian's programs, a data folder of its own, a free port on loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_USER = "clonewatch"
_PATIENCE = 60


def program(name: str) -> str | None:
    """The path of one of its programs, also where Debian keeps it; None where it is not there."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda p: int(p.parts[-3]))
    return shutil.which(name) or (str(debian[-1]) if debian else None)


def lacking() -> list[str]:
    """What is not there of it."""
    return [] if program("initdb") and program("postgres") else ["PostgreSQL (Debian: postgresql)"]


@contextmanager
def server() -> Iterator[str]:
    """A running server; gives the address of its databases, without a name: `postgresql://.../`."""
    with tempfile.TemporaryDirectory(prefix="clonewatch-postgres-") as folder:
        place, user = Path(folder), _user(Path(folder))
        data, log = place / "data", place / "log"
        made = [str(program("initdb")), "-D", str(data), "-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        subprocess.run([*user, *made], check=True, capture_output=True, cwd=place)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        quick = ["-c", "fsync=off", "-c", "unix_socket_directories=", "-c", "listen_addresses=127.0.0.1"]
        run = [*user, str(program("postgres")), "-D", str(data), "-p", str(port), *quick]
        with log.open("w") as out:
            process = subprocess.Popen(run, stdout=out, stderr=out, cwd=place)
        try:
            _wait(process, log)
            yield f"postgresql://{_USER}@127.0.0.1:{port}/"
        finally:
            process.send_signal(2)  # stop at once, with whoever is connected
            process.wait(timeout=_PATIENCE)


def _user(place: Path) -> list[str]:
    """How to run it: as somebody else if we are root, as it refuses to run as root."""
    if os.geteuid() != 0:
        return []
    names = {found.pw_name for found in pwd.getpwall()}
    name = "postgres" if "postgres" in names else "nobody"
    shutil.chown(place, name)
    return ["setpriv", f"--reuid={name}", f"--regid={pwd.getpwnam(name).pw_gid}", "--clear-groups"]


def _wait(process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while "ready to accept connections" not in log.read_text():
        assert process.poll() is None and time.monotonic() < end, log.read_text()
        time.sleep(0.05)
