"""Small text files that a user names: field maps, answers, calibrations. Read within bounds, whatever the path is."""

from __future__ import annotations

import errno
import json
import os
import select
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_MOST = 64 << 20
_PATIENCE = 10  # seconds for the first byte of a pipe


def text_of(path: Path) -> str:
    """The text of a file or a pipe. Raises UnicodeDecodeError; OSError for devices, silent pipes, more than 64 MiB."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "rb") as file:
        kind = os.fstat(handle).st_mode
        if stat.S_ISFIFO(kind):
            if not select.select([handle], [], [], _PATIENCE)[0]:
                raise OSError(errno.ETIMEDOUT, "nothing was written into the pipe", str(path))
            os.set_blocking(handle, True)
        elif stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        elif not stat.S_ISREG(kind):
            raise OSError(errno.EINVAL, "that is a device, not a file", str(path))
        data = file.read(_MOST + 1)
    if len(data) > _MOST:
        raise OSError(errno.EFBIG, f"larger than {_MOST >> 20} MiB", str(path))
    return data.decode("utf-8")


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
