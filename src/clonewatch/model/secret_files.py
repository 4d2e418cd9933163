"""Files for their owner only, such as keys, which are read from regular files and never shown."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from clonewatch.model.errors import KeyFileError
from clonewatch.model.whole_files import create

# More than any key, and few enough that a wrong file is refused before it fills the memory.
MOST_BYTES = 64 * 1024


def read_secret(place: Path, what: str, *, most: int = MOST_BYTES, private: bool = True, fix: str = "") -> bytes:
    """The bytes of a key file. Raises a KeyFileError that says why it is refused, and never shows its content.

    what: what it holds, as a message says it, such as "the fingerprint key". most: the largest size in bytes. private:
    refuse a file that other users may read or write. fix: what to do if the file cannot be read. A link to a regular
    file is followed; a folder, a device, a pipe or a socket is refused without waiting for it.
    """
    try:
        # Asked before it is opened too: to open a device can have effects, and to open a pipe can wait.
        _regular(place.stat().st_mode, place, what)
        handle = os.open(place, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "this is not the name of a file"
        raise KeyFileError(f"cannot read {what}: {reason}", where=str(place), fix=fix) from None
    with os.fdopen(handle, "rb") as file:
        state = os.fstat(handle)
        _regular(state.st_mode, place, what)
        if private and os.name == "posix" and state.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyFileError(
                f"{what} is open to other users (mode {stat.S_IMODE(state.st_mode):04o})",
                where=str(place),
                fix=f"Run: chmod 600 {place}, and use another key if others may have read this one",
            )
        try:
            data = file.read(most + 1)
        except OSError as error:
            raise KeyFileError(f"cannot read {what}: {error.strerror}", where=str(place), fix=fix) from None
    if len(data) > most:
        raise KeyFileError(
            f"{what} is not in this file: it is larger than {most:,} bytes", where=str(place), fix="Name the right file"
        )
    return data


def made_secret(place: Path, what: str, size: int, *, fix: str, lost: str) -> bytes:
    """The secret of `size` bytes in a file of hexadecimal digits, made on first use for its owner only.

    Two processes that start together get the same one. what: as for `read_secret`. fix: what to do if the file cannot
    be read or made. lost: what to do if it holds anything else. Raises KeyFileError.
    """
    try:
        if not place.exists():
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):  # the first of two writers wins
                create(place, f"{secrets.token_hex(size)}\n".encode())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "this is not the name of a file"
        raise KeyFileError(f"{what} cannot be created: {reason}", where=str(place), fix=fix) from error
    text = read_secret(place, what, fix=fix)
    try:
        key = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:  # which includes bytes that are no text
        key = b""
    if len(key) != size:
        raise KeyFileError(f"{what} is not {2 * size} hexadecimal digits", where=str(place), fix=lost)
    return key


def _regular(mode: int, place: Path, what: str) -> None:
    if stat.S_ISREG(mode):
        return
    named = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    raise KeyFileError(
        f"{what} is not in a regular file: this is {named.get(stat.S_IFMT(mode), 'a device')}",
        where=str(place),
        fix="Write it into a file of its own (mode 600) and name that file",
    )
