"""Every command of an audit is killed at random moments, and every write fails in turn: repeated, it ends as if nothing
had happened.

CLONEWATCH_LONG=1 disturbs each command 50 times in place of 10, CLONEWATCH_SEED chooses other moments.
"""

import contextlib
import errno
import io
import json
import os
import random
import shutil
import signal
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.audit_stand import WORDS, Reply, planned, standing_apart, written

from clonewatch.audit.folder import Folder
from clonewatch.audit.ledger import Ledger
from clonewatch.audit.verification import verify
from clonewatch.cli.main import app

pytest.importorskip("httpx", reason="httpx is not installed: nobody can be asked")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork a process")

TIMES = 50 if os.environ.get("CLONEWATCH_LONG") == "1" else 10
SEED = int(os.environ.get("CLONEWATCH_SEED", "1"))
BOOK, AUDIT = "ledger.jsonl", "audit"
# In the order of an audit; each starts where the one before it ended.
COMMANDS = {
    "init": ["init", BOOK],
    "commit": ["commit", BOOK, "--carrier", "case-7", "--width", "1"],
    "import-key": ["import-key", BOOK, "--vllm-config", "vllm.json", "--carrier", "case-9"],
    "mint-canaries": ["mint-canaries", BOOK, "--out", "canaries.jsonl", "--count", "4"],
    "plan": ["plan", "settings.toml", "--out", AUDIT],
    "collect": ["collect", AUDIT, "--quiet"],
    "test": ["test", AUDIT],
    "report": ["report", AUDIT],
    "verify": ["verify", AUDIT],
    "reveal": ["reveal", BOOK, "COMMITMENT"],
}
CALLS = ("open", "write", "fsync", "fdatasync", "replace", "link", "ftruncate", "unlink", "mkdir")
# killed before or after the call, or in the middle of a write; a call that fails once, or from then on.
HOWS = ("before", "after", "half", "EIO", "ENOSPC", "partial", "full")


def answer(model: str, body: dict[str, Any], number: int) -> Reply:
    """A model that gives the same answer to the same prompt."""
    return 200, {}, written(body, zlib.crc32(f"{model} {body['prompt']}".encode()))


class Disturbance:
    """Names the calls that reach the disk, and disturbs the one with a number. at: 0 for none."""

    def __init__(self, at: int = 0, how: str = "before") -> None:
        self.at, self.how = at, how
        self.seen: list[str] = []

    def watch(self) -> None:
        for name in CALLS:
            setattr(os, name, self._watched(name, getattr(os, name)))

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*told: Any, **named: Any) -> Any:
            self.seen.append(name)
            now = self.at and (len(self.seen) == self.at or (self.how == "full" and len(self.seen) > self.at))
            if not now:
                return real(*told, **named)
            half = real is WRITE and self.how in {"half", "partial"}
            if half:
                real(told[0], bytes(told[1])[: len(told[1]) // 2])
            if self.how == "after":
                real(*told, **named)
            if self.how in {"before", "after", "half"}:
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(errno.EIO if self.how == "EIO" else errno.ENOSPC, "the disk is full, or broken")

        return call


WRITE = os.write


def give(place: Path, command: list[str], disturbance: Disturbance | None = None) -> int:
    """One command in a process of its own; returns its exit code, -9 if it was killed, and names its calls."""
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        os.close(told)
        code = 70
        try:
            os.chdir(place)
            sys.stdout = sys.stderr = io.StringIO()
            if disturbance is not None:
                disturbance.watch()
            try:
                code = app(["audit", *command], standalone_mode=False) or 0
            except BaseException as end:  # noqa: BLE001 - the child must end here
                code = getattr(end, "code", None) or getattr(end, "exit_code", 70)
            if disturbance is not None:
                WRITE(tell, " ".join(disturbance.seen).encode())
        finally:
            os._exit(code if isinstance(code, int) else 70)
    os.close(tell)
    with os.fdopen(told, "rb") as pipe:
        seen = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if disturbance is not None and seen:
        disturbance.seen = seen.decode().split()
    return code


def prepare(place: Path, url: str) -> None:
    """What a provider has before an audit: settings, prompts, a tokenizer, pairs, and a key that vLLM serves with."""
    planned(place, url, more='twins = "twins.jsonl"', plan=False)
    pairs = [
        {"request_id": f"r{i}", "prompt": f"pair {i}", "first": WORDS[i], "second": WORDS[-i - 1]} for i in range(13)
    ]
    (place / "twins.jsonl").write_text("".join(json.dumps(p) + "\n" for p in pairs), encoding="utf-8")
    config = {"algorithm": "red_green", "key": 0x5EED5EED5EED, "context_width": 1, "gamma": 0.5}
    (place / "vllm.json").write_text(json.dumps(config), encoding="utf-8")


def said(place: Path, name: str) -> list[str]:
    """The line of a command."""
    if name != "reveal":
        return COMMANDS[name]
    commitment = next(r.body["commitment"] for r in Ledger(place / BOOK).records() if r.kind == "commit")
    return ["reveal", BOOK, commitment]


def state(place: Path) -> dict[str, Any]:
    """What an audit and its ledger come to, without what is drawn or measured anew: secrets, times and their hashes."""
    told: dict[str, Any] = {"files": sorted(p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file())}
    # A torn line that was set aside stays, and the lock of the ledger.
    told["files"] = [name for name in told["files"] if ".torn-" not in name and not name.endswith(".lock")]
    records = Ledger(place / BOOK).records() if (place / BOOK).exists() else []
    told["records"] = [
        (r.kind, r.body.get("secret") if r.kind == "commit" else r.body.get("test", ""))
        for r in records
        if r.kind != "torn"
    ]
    kept = Folder(place / AUDIT)
    if kept.has("results.json"):
        results = kept.object("results.json")
        told["sources"] = {
            n: {k: v for k, v in s.items() if k not in {"first", "last"}} for n, s in results["sources"].items()
        }
        told["levels"] = [row["level"] for row in results["tests"]]
        told["seen"] = [row["suspect"].get("n_raw") for row in results["tests"]]
    return told


class Stage(dict[str, Path]):
    """By command: the state before it. after: the undisturbed state after it; calls: those that reach the disk."""

    after: dict[str, dict[str, Any]]
    calls: dict[str, list[str]]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """An audit that nothing disturbs, kept before each of its steps."""
    top = tmp_path_factory.mktemp("kills")
    stage = Stage()
    stage.after, stage.calls = {}, {}
    with standing_apart(answer) as url:
        warm, place = top / "warm", top / "undisturbed"
        for one in (warm, place):
            one.mkdir()
            prepare(one, url)
        with contextlib.chdir(warm), contextlib.redirect_stdout(io.StringIO()):
            for name in COMMANDS:  # here, so that what commands import and compile is there for every child
                app(["audit", *said(warm, name)], standalone_mode=False)
        for name in COMMANDS:
            stage[name] = Path(shutil.copytree(place, top / f"before-{name}"))
            counting = Disturbance()
            assert give(place, said(place, name), counting) == 0, name
            stage.after[name], stage.calls[name] = state(place), counting.seen
        yield stage


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_disturbed_and_given_again_ends_as_if_it_was_not(
    stage: Stage, name: str, tmp_path: Path
) -> None:
    draw = random.Random(f"{SEED} {name}")  # noqa: S311 - moments, no secret
    for turn in range(TIMES):
        how, calls = HOWS[turn % len(HOWS)], stage.calls[name]
        writes = [i for i, call in enumerate(calls, 1) if call == "write"] or [len(calls)]
        at = draw.choice(writes) if how in {"half", "partial"} else draw.randint(1, len(calls))
        place = Path(shutil.copytree(stage[name], tmp_path / str(turn)))
        code = give(place, said(place, name), Disturbance(at, how))
        # A file that cannot be read is a check that fails.
        assert code in {0, 2, 3 if name == "verify" else 0, -signal.SIGKILL}, f"{how} at call {at}: code {code}"
        # A command that did what it should is not repeated; a test that published its results refuses to run twice.
        done = not code or (how == "after" and at == len(calls))
        again = 0 if done else give(place, said(place, name))
        assert again == 0 or (name == "test" and again == 2), f"{how} at call {at}: then code {again}"
        assert state(place) == stage.after[name], f"{how} at call {at}"
        assert Ledger(place / BOOK).verify() == []
        if name != "collect" or turn % 3 == 0:  # the steps after it take as long as it does
            finish(place, name)
        shutil.rmtree(place)


def finish(place: Path, name: str) -> None:
    """The steps that are left, and what the audit comes to."""
    names = list(COMMANDS)
    for left in names[names.index(name) + 1 : names.index("verify")] if name in {"collect", "test"} else ():
        assert give(place, said(place, left)) == 0
    if name in {"collect", "test", "report"}:
        style = Path(sys.modules["clonewatch"].__path__[0]) / "report" / "templates" / "style.css"
        assert verify(Folder(place / AUDIT), Ledger(place / BOOK), style=style.read_text(encoding="utf-8")) == []
