"""The secret of the account hashes of a watch list, which whoever publishes and every gateway have."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from clonewatch.model.errors import KeyFileError
from clonewatch.model.secret_files import PRIVATE, read_secret

BYTES = 32


def account_secret(path: Path) -> bytes:
    """The secret in a file of 64 hexadecimal digits, made on first use for its owner only. Raises KeyFileError."""
    if not path.exists():
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(BYTES) + "\n")
        except FileExistsError:
            pass
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
