"""The secret key of fingerprints: its location, its creation, and one derived key per purpose.

Rotation: fingerprints made with different keys never match. To rotate, move the old file aside, let the next run create
a new one, and fingerprint the whole window again; a window that mixes keys shows two unrelated halves.
"""

import os
import re
from pathlib import Path

from clonewatch.kernels.hashing import SECRET_BYTES as SECRET_BYTES
from clonewatch.kernels.hashing import derive as derive
from clonewatch.model.errors import KeyFileError
from clonewatch.model.secret_files import made_secret

_LIKE_A_KEY = re.compile(rf"[0-9a-fA-F]{{{2 * SECRET_BYTES}}}")


def default_path() -> Path:
    """The path of the key: `$CLONEWATCH_KEY_FILE`, or `clonewatch/fingerprint.key` in the user's configuration."""
    named = os.environ.get("CLONEWATCH_KEY_FILE")
    if named:
        return Path(named)
    configuration = os.environ.get("XDG_CONFIG_HOME")
    return (Path(configuration) if configuration else Path.home() / ".config") / "clonewatch" / "fingerprint.key"


def load_key(path: Path | None = None) -> bytes:
    """The 32-byte secret; created on first use, in a file that only its owner can read (0600, in a folder of 0700).

    path: the key file, or None for `default_path()`. The file contains 64 hexadecimal digits. Two processes that start
    together get the same key. Raises KeyFileError if the file cannot be read or created, is no regular file, is open to
    other users, or contains anything else.
    """
    place = default_path() if path is None else path
    if _LIKE_A_KEY.fullmatch(place.name) and not place.exists():
        # Neither the message nor a file name may show it.
        raise KeyFileError(
            "this is a key itself, and a file that holds one is asked for",
            where="--key or CLONEWATCH_KEY_FILE",
            fix="Write the key into a file of its own (mode 600) and name that file",
        )
    fix = "Name a file that this user may write with --key or CLONEWATCH_KEY_FILE"
    lost = "Restore the file from its backup, or move it aside so that a new key is created"
    return made_secret(place, "the fingerprint key", SECRET_BYTES, fix=fix, lost=lost)
