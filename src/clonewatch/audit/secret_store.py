"""The file of secrets beside a ledger: one JSON record per line, readable by its owner alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

from clonewatch.audit import storage
from clonewatch.audit.json_text import canonical, parsed
from clonewatch.model.errors import KeyFileError
from clonewatch.model.secret_files import read_secret

SALT_BYTES = 32
_TAG = b"clonewatch.commitment.v1\0"
# Some 200,000 secrets.
_MOST_BYTES = 64 * 2**20
_WHAT = "the secrets file"
_FIX = "Restore the file from its backup"


class SecretStore:
    """Secrets by commitment. path: the file, of mode 0600; made when the first secret is kept."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def keep(self, commitment: str, salt: bytes, secret: bytes) -> None:
        """Store a secret, on disk before this returns. Raises KeyFileError if others may read the file."""
        if self.path.exists():
            self._bytes()
        row = canonical({"commitment": commitment, "salt": salt.hex(), "secret": secret.hex()})
        # On its own line even after a torn one.
        storage.append(self.path, b"\n" + row + b"\n", 0o600)

    def find(self, commitment: str) -> tuple[bytes, bytes]:
        """Salt and secret of a commitment. Raises KeyFileError if they are not stored here intact."""
        for line in self._bytes().split(b"\n"):
            try:
                row = parsed(line) if line else {}
            except ValueError:
                continue  # a torn line: its commitment was never written
            if not isinstance(row, dict) or row.get("commitment") != commitment:
                continue
            try:
                salt, secret = bytes.fromhex(row["salt"]), bytes.fromhex(row["secret"])
                if commitment_of(salt, secret) == commitment:
                    return salt, secret
            except (KeyError, TypeError, ValueError):
                pass
            raise KeyFileError("the stored secret is not the committed one", where=str(self.path), fix=_FIX)
        raise KeyFileError("no secret is stored for this commitment", where=f"{self.path}, {commitment[:12]}", fix=_FIX)

    def _bytes(self) -> bytes:
        return read_secret(self.path, _WHAT, most=_MOST_BYTES, fix=_FIX)


def commitment_of(salt: bytes, secret: bytes) -> str:
    """SHA-256 of tag, salt and secret, in hex: binding, and hiding while the 32-byte salt is unknown.

    >>> commitment_of(bytes(32), b"key") == commitment_of(bytes(32), b"other")
    False
    """
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
    return hashlib.sha256(_TAG + salt + secret).hexdigest()
