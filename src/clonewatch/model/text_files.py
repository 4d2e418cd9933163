"""Files that a user names and that are read whole, such as settings: within bounds, whatever the path is."""

from __future__ import annotations

import errno
import json
import os
import select
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_MOST = 64 << 20
# Of a file that our own commands append to, and of one that is written by hand row by row, such as prompts.
MOST_OF_ROWS = 1 << 30
_PATIENCE = 10  # seconds for the first byte of a pipe


def text_of(path: Path) -> str:
    """The text of a file or a pipe. Raises UnicodeDecodeError; OSError for devices, silent pipes, more than 64 MiB."""
    return bytes_of(path).decode("utf-8")


def bytes_of(path: Path, most: int = _MOST, *, pipes: bool = True) -> bytes:
    """The bytes of a file or a pipe. Raises OSError for devices, silent pipes and more than `most` bytes.

    pipes: False to refuse them as well, in a folder of ours.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "rb") as file:
        kind = os.fstat(handle).st_mode
        if stat.S_ISFIFO(kind) and pipes:
            if not select.select([handle], [], [], _PATIENCE)[0]:
                raise OSError(errno.ETIMEDOUT, "nothing was written into the pipe", str(path))
            os.set_blocking(handle, True)
        elif stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        elif not stat.S_ISREG(kind):
            what = "pipe" if stat.S_ISFIFO(kind) else "device"
            raise OSError(errno.EINVAL, f"that is a {what}, not a file", str(path))
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"larger than {most >> 20} MiB", str(path))
    return data


def toml_of(text: str) -> dict[str, Any]:
    """The tables that TOML text holds. Raises ValueError for text that is none, or nested too deeply."""
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def plain(value: Any) -> Any:
    r"""A value whose strings can be written as UTF-8: the bytes of names of files that are none are spelled out.

    >>> plain({"path": ["log-\udcff"]})
    {'path': ['log-\\udcff']}
    """
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {plain(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value)) if type(value) in (list, tuple) else value
    return value


def is_plain(path: Path) -> bool:
    """Whether the absolute name of a path is UTF-8, as the engine needs it."""
    name = os.path.realpath(path)
    return bool(plain(name) == name)


def json_of(text: str) -> object:
    """The value that JSON text holds. Raises ValueError for text that is none, or nested too deeply."""
    try:
        value: object = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return value
