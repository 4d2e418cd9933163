"""The processes of the demo, which end with it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from types import TracebackType

_GRACE = 30.0  # seconds in which a process may end by itself


class DidNotHappen(Exception):
    """A step that did not happen. The message says which, and what was seen instead."""


class Processes:
    """What the demo started. All of it ends with this, however that comes."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._logs = folder, folder / "logs"
        self._logs.mkdir()
        self._running: dict[str, subprocess.Popen[str]] = {}

    def start(self, name: str, *words: object, said: str = "") -> int:
        """Start a process, and return the port that it prints. said: what stands before the port."""
        with (self._logs / f"{name}.log").open("w") as log:
            process = subprocess.Popen(  # noqa: S603
                [str(word) for word in words],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=self._folder,
                start_new_session=True,
            )
        self._running[name] = process
        assert process.stdout is not None  # noqa: S101  (it is a pipe)
        line = process.stdout.readline()
        found = line.partition(said)[2] if said else line
        digits = found.strip().split(".")[0].split(" ")[0]
        if not digits.isdigit():
            raise DidNotHappen(f"{name} did not start: {line.strip()!r}. Read {self._logs / name}.log")
        return int(digits)

    def check(self) -> None:
        """Raise DidNotHappen where one ended."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise DidNotHappen(f"{name} ended with {process.returncode}. Read {self._logs / name}.log")

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """End them in the order of traffic: what sends first. Whoever is impatient meanwhile is not heard."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for process in reversed(self._running.values()):
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """End a process and its children: asked first, killed after a while."""
    try:
        process.terminate()
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        pass
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
