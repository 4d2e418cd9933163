"""The key that the members of a sharing group hold for an epoch, and the name by which values say which one it was."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from clonewatch.kernels.hashing import SECRET_BYTES, derive
from clonewatch.kernels.sketching import SketchKey, sketch_key
from clonewatch.model.errors import KeyFileError
from clonewatch.model.secret_files import read_secret

_NAME = b"cw-epoch-v1"
_FORMAT = b"cw-format-v1"
_FIX = "Get the file from whoever runs the group: 64 hexadecimal digits, mode 600"


class EpochKey(NamedTuple):
    """A group's secret, 32 bytes. name: 16 hex digits, which say nothing of it."""

    secret: bytes

    @property
    def name(self) -> str:
        """By which values that are made with it name it."""
        return blake2b(key=self.secret, digest_size=8, person=_NAME).hexdigest()

    def sketches(self) -> SketchKey:
        """The cipher of sketches, as a fingerprinter with this secret as its key has it."""
        return sketch_key(derive(self.secret, "sketch"))

    def format_value(self, hashed: int) -> str:
        """A forced format as it is told. hashed: the format hash of a fingerprinter with this secret as its key."""
        data = hashed.to_bytes(8, "big")
        return f"cwf1:{self.name}:{blake2b(data, key=self.secret, digest_size=16, person=_FORMAT).hexdigest()}"


def read(path: Path) -> EpochKey:
    """The key in a file. Raises KeyFileError."""
    text = read_secret(path, "the group's key", fix=_FIX)
    try:
        secret = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise KeyFileError(f"the group's key is not {2 * SECRET_BYTES} hexadecimal digits", where=str(path), fix=_FIX)
    return EpochKey(secret)
