"""Runs each job in its own process, some in parallel, and keeps every result, so an interrupted run resumes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import clonewatch
from evals.jobs import Job

HERE = Path(__file__).resolve().parent
ENGINES = ("duckdb", "pyarrow", "numpy", "scipy", "numba", "graspologic-native")
# The scripts that a result depends on besides the package; a change of the baselines does not make scans stale.
_MEASURED_BY = {
    "scan": ("measure.py",),
    "replay": ("measure.py",),
    "rivals": ("measure.py", "baselines.py", "groups.py", "oracles.py"),
}
_LONGEST = 3 * 3600  # seconds after which a job counts as hung
_CHANGED = "the source changed during the measurement: run again"
Run = dict[str, Any]
Command = Callable[[Job, Path], Sequence[str]]


class Broken(NamedTuple):
    """A failed job and its message."""

    job: Job
    said: str


def fingerprint(kind: str) -> str:
    """Shortened SHA-256 over the package, the scripts for this kind of job, and the versions of the engines."""
    digest = hashlib.sha256(" ".join(f"{name} {version(name)}" for name in ENGINES).encode())
    root = Path(clonewatch.__file__).parent
    files = sorted(p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    for file in [*files, *(HERE / name for name in _MEASURED_BY[kind])]:
        place = file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
        digest.update(place.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def command(job: Job, out: Path) -> list[str]:
    """The command that runs a job: `evals.measure`, which writes its result to `out`."""
    return [sys.executable, "-m", "evals.measure", json.dumps(job.as_dict()), str(out)]


def kept(job: Job, folder: Path, source: str | None) -> Run | None:
    """The kept result of a job; None if there is none, or if it is of another source than the given one."""
    place = folder / f"{job.name}.json"
    if not place.is_file():
        return None
    run: Run = json.loads(place.read_text(encoding="utf-8"))
    return run if source is None or run["source"] == source else None


def run(
    jobs: Sequence[Job],
    folder: Path,
    *,
    workers: int,
    how: Command = command,
    mark: Callable[[str], str] = fingerprint,
    say: Callable[[str], None] = lambda line: None,
) -> list[Broken]:
    """Run the jobs that have no result yet, `workers` at a time; returns the failed jobs. `folder` keeps the results.

    how: the command of a job, which writes JSON. mark: the source that a kind of job depends on. A result of another
    source is replaced; a result whose source changed during its run is discarded, and the job counts as failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jobs = list(dict.fromkeys(jobs))
    marks = {kind: mark(kind) for kind in {job.kind for job in jobs}}
    todo = [job for job in jobs if kept(job, folder, marks[job.kind]) is None]
    say(f"{len(jobs)} jobs, {len(jobs) - len(todo)} already done, {workers} at a time")
    left, started, done = sum(job.weight for job in todo), time.monotonic(), 0.0
    broken: list[Broken] = []
    with ThreadPoolExecutor(workers) as pool:
        running = [pool.submit(_one, job, folder, how, mark, marks[job.kind]) for job in todo]
        for number, ended in enumerate(as_completed(running), 1):
            job, said, seconds = ended.result()
            done += job.weight
            rest = (time.monotonic() - started) / done * (left - done)
            if said is not None:
                broken.append(Broken(job, said))
            state = "BROKEN" if said is not None else f"{seconds:.0f} s"
            say(f"{number}/{len(todo)} {job.name}: {state}; about {_clock(rest)} left")
    return broken


def _one(
    job: Job, folder: Path, how: Command, mark: Callable[[str], str], source: str
) -> tuple[Job, str | None, float]:
    """Run one job; its message if it failed, and its seconds."""
    place = folder / f"{job.name}.json"
    draft = place.with_suffix(".part")
    started = time.monotonic()
    if mark(job.kind) != source:
        return job, _CHANGED, 0.0
    # One thread per job: the jobs themselves run in parallel.
    single = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")}
    try:
        done = subprocess.run(
            how(job, draft), capture_output=True, text=True, cwd=HERE.parent, env=os.environ | single, timeout=_LONGEST
        )
    except subprocess.TimeoutExpired:
        draft.unlink(missing_ok=True)
        return job, f"not finished after {_LONGEST} s", time.monotonic() - started
    seconds = time.monotonic() - started
    if done.returncode or not draft.is_file():
        draft.unlink(missing_ok=True)
        return job, done.stderr or f"exited with {done.returncode} and wrote nothing", seconds
    result = json.loads(draft.read_text(encoding="utf-8"))
    if mark(job.kind) != source:
        draft.unlink()
        return job, _CHANGED, seconds
    draft.write_text(json.dumps(result | {"source": source}) + "\n", encoding="utf-8")
    draft.replace(place)
    return job, None, seconds


def _clock(seconds: float) -> str:
    """Minutes and seconds.

    >>> _clock(61.2)
    '1:01 min'
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"
