"""The secret of the account hashes of a watch list, which whoever publishes and every gateway have."""

from __future__ import annotations

from pathlib import Path

from clonewatch.model.secret_files import made_secret

BYTES = 32


def account_secret(path: Path) -> bytes:
    """The secret in a file of 64 hexadecimal digits, made on first use for its owner only. Raises KeyFileError."""
    fix = "Name a file that this user may write with --account-key"
    return made_secret(path, "the account key", BYTES, fix=fix, lost="Take a copy of the gateway's")
