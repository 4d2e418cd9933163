"""The secret of the account hashes of a watch list, which whoever publishes and every gateway have."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path

from clonewatch.model.errors import KeyFileError
from clonewatch.model.secret_files import read_secret
from clonewatch.model.whole_files import create

BYTES = 32


def account_secret(path: Path) -> bytes:
    """The secret in a file of 64 hexadecimal digits, made on first use for its owner only. Raises KeyFileError."""
    if not path.exists():
        try:
            with contextlib.suppress(FileExistsError):
                create(path, f"{secrets.token_hex(BYTES)}\n".encode())
        except (OSError, ValueError) as error:
            said = getattr(error, "strerror", None) or "this is not the name of a file"
            raise KeyFileError(f"the account key cannot be made: {said}", where=str(path)) from error
    try:
        key = bytes.fromhex(read_secret(path, "the account key").decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != BYTES:
        raise KeyFileError(
            f"the account key is not {2 * BYTES} hexadecimal digits",
            where=str(path),
            fix="Take a copy of the gateway's",
        )
    return key
