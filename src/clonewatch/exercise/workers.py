"""Plays episodes in parallel, and keeps each outcome, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import msgspec

from clonewatch.exercise.episode import play
from clonewatch.exercise.task import Outcome, Task
from clonewatch.model import whole_files
from clonewatch.ports.progress import Progress


class Workers:
    """Outcomes of tasks, kept in a folder by the tasks' keys. Use as a context manager. played: by this run."""

    def __init__(self, folder: Path, cores: int, progress: Progress) -> None:
        self._kept, self._key = folder / "episodes", folder / "exercise.key"
        self._cores, self._progress = cores, progress
        self._pool: ProcessPoolExecutor | None = None
        self.played, self.found = 0, 0
        self._kept.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def outcomes(self, tasks: Sequence[Task], what: str) -> list[Outcome]:
        """The outcomes of tasks, in their order. what: for the progress."""
        held = {task.key: self._read(task.key) for task in tasks}
        missing = {task.key: task for task in tasks if held[task.key] is None}
        self.found += len(held) - len(missing)
        self._progress.start(what, len(missing), "episodes")
        if missing:
            self._make_key()
            pool = self._started()
            waiting = {pool.submit(play, task, self._key): key for key, task in missing.items()}
            for done in as_completed(waiting):
                key = waiting[done]
                held[key] = done.result()
                whole_files.replace(self._path(key), msgspec.json.encode(held[key]))
                self.played += 1
                self._progress.advance(1)
        self._progress.end(f"{len(missing):,} played, {len(held) - len(missing):,} kept from before")
        return [outcome for task in tasks if (outcome := held[task.key]) is not None]

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Started afresh, not forked: engines and compiled kernels hold threads.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._cores, mp_context=context)
        return self._pool

    def _make_key(self) -> None:
        """One key for all workers, before they start."""
        from clonewatch.fingerprints.keys import load_key

        load_key(self._key)

    def _path(self, key: str) -> Path:
        return self._kept / f"{key}.json"

    def _read(self, key: str) -> Outcome | None:
        try:
            return msgspec.json.decode(self._path(key).read_bytes(), type=Outcome)
        except (OSError, msgspec.DecodeError, msgspec.ValidationError):
            # Never written, or broken off: it is played again.
            return None
