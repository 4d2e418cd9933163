"""Expands the paths that a user gives into the files to read, in a fixed order."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from clonewatch.model.errors import InputError

STANDARD_INPUT = "-"
EXCHANGE_FOLDER = "exchanges"
LABEL_FOLDER = "labels"  # labels for evaluation: never read
_SIDE_ENDINGS = (".parquet", ".ndjson", ".jsonl", ".csv", ".arrow")


class Found(NamedTuple):
    """Files to read, in order. logs, accounts, events: paths. listed: the logs found in a folder."""

    logs: list[Path]
    accounts: list[Path]
    events: list[Path]
    listed: set[Path]


def find_inputs(paths: Iterable[str | Path]) -> Found:
    """The files behind paths, globs and folders, each once; the files of a folder are sorted.

    Folders are read to any depth, hidden files are skipped. A folder that contains `exchanges/` is a log with its
    accounts and events next to it; everything else in it is ignored. Raises InputError for a path that does not exist.
    """
    found = Found([], [], [], set())
    seen: set[str] = set()
    for given in paths:
        for path in _expanded(str(given)):
            if str(path) == STANDARD_INPUT:
                _add(found.logs, path, seen)
            elif path.is_dir():
                before = len(found.logs)
                for log in _walk(path, found):
                    _add(found.logs, log, seen)
                    found.listed.add(log)
                if len(found.logs) == before and not any(True for _ in _walk(path, Found([], [], [], set()))):
                    raise InputError("no files in this folder", where=str(path), fix="Name a folder that contains logs")
            elif path.exists():
                _add(found.logs, path, seen)
                found.listed.discard(path)
            else:
                raise InputError("no such file or folder", where=str(path), fix="Check the path")
    if not found.logs:
        raise InputError("nothing to read", fix="Name a log file, a folder of them, or - for standard input")
    return found


def left_above(paths: Iterable[str | Path], found: Found) -> list[Path]:
    """Accounts and events files beside an `exchanges` folder that was named itself, so that nothing looked for them."""
    above = [Path(os.path.realpath(given)).parent for given in paths if Path(given).name == EXCHANGE_FOLDER]
    kinds = [kind for kind, files in (("accounts", found.accounts), ("events", found.events)) if not files]
    beside = [e for folder in above if folder.is_dir() for e in sorted(folder.iterdir()) if e.is_file() and _is_side(e)]
    return [e for e in beside if any(e.name.startswith(kind + ".") for kind in kinds)]


def _expanded(given: str) -> list[Path]:
    if not given:
        # It would mean the current folder, which nobody named.
        raise InputError("a path is empty", fix='Name a file or a folder; "." is the current one')
    if given == STANDARD_INPUT or not glob.has_magic(given) or Path(given).exists():
        return [Path(given)]
    matches = sorted(glob.glob(given, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute patterns
    if not matches:
        raise InputError("no file matches", where=given, fix="Check the pattern, and quote it from the shell")
    return [Path(match) for match in matches]


def _add(files: list[Path], path: Path, seen: set[str]) -> None:
    key = str(path) if str(path) == STANDARD_INPUT else os.path.realpath(path)
    if key not in seen:
        seen.add(key)
        files.append(path)


def _walk(folder: Path, found: Found) -> Iterator[Path]:
    try:
        entries = sorted(e for e in folder.iterdir() if not e.name.startswith("."))
    except OSError as error:
        raise InputError("the folder cannot be read", where=str(folder), fix=type(error).__name__) from error
    inner = folder / EXCHANGE_FOLDER
    if inner.is_dir():
        for kind, files in (("accounts", found.accounts), ("events", found.events)):
            beside = [e for e in entries if e.is_file() and e.name.startswith(kind + ".") and _is_side(e)]
            files.extend(e for e in beside if e not in files)
        yield from _walk(inner, found)
        return
    for entry in entries:
        if entry.is_dir():
            if entry.name != LABEL_FOLDER and not entry.is_symlink():
                yield from _walk(entry, found)
        elif entry.is_file():
            yield entry


def _is_side(path: Path) -> bool:
    return path.name.removesuffix(".gz").removesuffix(".zst").endswith(_SIDE_ENDINGS)
