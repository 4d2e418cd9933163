"""Runs hostile inputs in processes of their own, each with a bound on memory and a deadline; says what came of it."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NamedTuple

MOST_MEMORY = 1500 << 20  # bytes resident, of which a process that has only loaded the libraries takes 300 MB
DEADLINE = 60  # seconds of computing on one input, where most take a tenth of a second
_PATIENCE = 600  # seconds of a clock, for an input that waits
_TICKS = os.sysconf("SC_CLK_TCK")
PROCESSES = 2
RIGHT, UNCLEAR, WRONG, TRACEBACK, HANG, MEMORY, LOST = (
    "right",
    "unclear",
    "wrong",
    "traceback",
    "hang",
    "memory",
    "lost",
)
OUTCOMES = (RIGHT, UNCLEAR, WRONG, TRACEBACK, HANG, MEMORY, LOST)


class Expected(NamedTuple):
    """What should come of an input. exits: exit codes. rows: good rows, which must all be read. says: words of it.

    tries: rows that are hostile, which must be read, rejected or warned of.
    """

    exits: frozenset[int]
    rows: int = 0
    tries: int = 0
    says: str = ""


FAILS, WORKS, EITHER = frozenset({2}), frozenset({0}), frozenset({0, 2, 4})
Words = tuple[object, ...]


class Case(NamedTuple):
    """One input. make: writes it into a folder and gives the words of the command. The second folder is shared."""

    family: str
    form: str
    command: str
    make: Callable[[Path, Path], Words]
    expected: Expected


class Answer(NamedTuple):
    """What a command answered. failed: the last line of a traceback."""

    exit: int
    out: str
    err: str
    failed: str = ""


def run(names: Sequence[str], folder: Path) -> Iterator[tuple[str, Answer | str]]:
    """Run inputs by name; yields each with its answer, or with HANG or MEMORY."""
    waiting = list(reversed(names))
    workers = [_Worker(folder / str(number)) for number in range(PROCESSES)]
    try:
        busy = [worker for worker in workers if worker.give(waiting)]
        while busy:
            for worker in list(busy):
                done = worker.done()
                if done is not None:
                    yield worker.name, done
                    if not worker.give(waiting):
                        busy.remove(worker)
            wait([worker.pipe for worker in busy], 0.02)
    finally:
        for worker in workers:
            worker.stop()


def judged(expected: Expected, answer: Answer | str) -> str:
    """The outcome of an input."""
    if isinstance(answer, str):
        return answer
    if answer.failed:
        return TRACEBACK
    said = answer.out + answer.err
    if answer.exit not in expected.exits or any(_is_raw(character) for character in said):
        return WRONG
    if expected.rows or expected.tries:
        told = json.loads(answer.out)
        read, rejected = told["rows"], told["rejected"]
        if read < expected.rows or (read + rejected < expected.rows + expected.tries and not told["warnings"]):
            return LOST
    if answer.exit == 2 and not (
        answer.err.startswith(("Error: ", "Usage: ")) and ("Fix:" in said or "Usage:" in said)
    ):
        return UNCLEAR
    return RIGHT if expected.says in said else UNCLEAR


def _is_raw(character: str) -> bool:
    """Whether a character could move the cursor or turn the direction of text."""
    return character != "\n" and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


class _Worker:
    """One process that runs one input at a time. It is replaced when it had to be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, ""
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, self.folder), daemon=True)
        self.process.start()
        theirs.close()
        self.pipe.recv()  # it has loaded

    def give(self, waiting: list[str]) -> bool:
        """Take the next input; False where there is none."""
        if not waiting:
            return False
        self.name, self._since, self._spent = waiting.pop(), time.monotonic(), _computed(self.process.pid or 0)
        self.pipe.send(self.name)
        return True

    def done(self) -> Answer | str | None:
        """The answer, HANG or MEMORY; None while it works."""
        if self.pipe.poll():
            try:
                return Answer(*self.pipe.recv())
            except EOFError:  # ended by the system, or by a native library
                return self._replaced(MEMORY)
        if _resident(self.process.pid or 0) > MOST_MEMORY:
            return self._replaced(MEMORY)
        late = _computed(self.process.pid or 0) - self._spent > DEADLINE
        return self._replaced(HANG) if late or time.monotonic() - self._since > _PATIENCE else None

    def _replaced(self, outcome: str) -> str:
        self.stop()
        self._start()
        return outcome

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _resident(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096
    except (OSError, IndexError):
        return 0


def _computed(process: int) -> float:
    """Seconds that a process has computed: other work on the machine does not count."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _serve(pipe: Connection, folder: Path) -> None:
    """Run inputs as they are named."""
    from tests.hostile.inputs import CASES
    from typer.testing import CliRunner

    from clonewatch.cli.main import app

    folder.mkdir(parents=True, exist_ok=True)
    pipe.send("ready")
    while True:
        name = pipe.recv()
        place = Path(tempfile.mkdtemp(dir=folder))
        words = CASES[name].make(place, folder.parent)
        found = CliRunner().invoke(app, [str(word) for word in words])
        failed = "" if found.exception is None or isinstance(found.exception, SystemExit) else repr(found.exception)
        pipe.send(tuple(Answer(found.exit_code, found.stdout, found.stderr, failed[:500])))
        shutil.rmtree(place, ignore_errors=True)
