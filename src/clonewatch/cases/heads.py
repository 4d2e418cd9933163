"""Signed tree heads: what a log was at one time, as a signed note that others can check and keep.

A head is a checkpoint as transparency logs exchange them (C2SP tlog-checkpoint in a signed note): the name of the log,
its size, its root in base64, which head it is and when it was signed; then a blank line and the Ed25519 signature.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from clonewatch.cases.merkle import HASH_BYTES
from clonewatch.model.errors import KeyFileError, LogError
from clonewatch.model.secret_files import read_secret
from clonewatch.model.whole_files import create

_ED25519 = b"\x01"  # the kind of key, as signed notes number them
_SIGNED = "\u2014"  # the dash that begins a line with a signature
_KEY_LINE = re.compile(r"PRIVATE\+KEY\+([A-Za-z0-9._/-]+)\+([A-Za-z0-9+/=]{44})\n")
_HEAD = re.compile(
    r"([^\s+]+)\n(0|[1-9][0-9]*)\n([A-Za-z0-9+/=]{44})\nhead ([1-9][0-9]*) of ([0-9TZ:-]{20})\n\n"
    rf"{_SIGNED} \1 (\S+)\n"
)


class Head(NamedTuple):
    """What a log was at one time. log: its name. size: entries. root: 32 bytes. at: ISO 8601, UTC, as the signer says.

    number: 1 for the first head, so that none can be left out. note: the signed text.
    """

    log: str
    size: int
    root: bytes
    number: int
    at: str
    note: str


class PublicKey(NamedTuple):
    """The key that heads of a log are checked with."""

    log: str
    key: bytes

    @property
    def text(self) -> str:
        """As signed notes write a verifier key: name, first bytes of its hash, kind and key in base64."""
        return f"{self.log}+{self._hash().hex()}+{_base64(_ED25519 + self.key)}"

    def check(self, note: str) -> Head:
        """Read a signed head. Raises LogError if it is malformed or signed with another key."""
        found = _HEAD.fullmatch(note)
        if not found:
            raise LogError("this is no signed head", fix="Heads come from `clonewatch log head`")
        log, size, root, number, at, signed = found.groups()
        text = note[: note.index("\n\n") + 1]
        try:
            proof, hash_ = _bytes(signed), _bytes(root)
            if log != self.log or proof[:4] != self._hash() or len(hash_) != HASH_BYTES:
                raise InvalidSignature
            Ed25519PublicKey.from_public_bytes(self.key).verify(proof[4:], text.encode())
        except (InvalidSignature, ValueError) as error:
            raise LogError(f"the signature of the head of size {size} is not that of the key of {self.log}") from error
        return Head(log, int(size), hash_, int(number), at, note)

    def _hash(self) -> bytes:
        return sha256(self.log.encode() + b"\n" + _ED25519 + self.key).digest()[:4]


class Signer(NamedTuple):
    """The key that signs the heads of one log."""

    log: str
    private: Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        """The key to check its signatures with."""
        return PublicKey(self.log, self.private.public_key().public_bytes_raw())

    def sign(self, size: int, root: bytes, number: int, at: str) -> Head:
        """The signed head of a log."""
        text = f"{self.log}\n{size}\n{_base64(root)}\nhead {number} of {at}\n"
        proof = _base64(self.public._hash() + self.private.sign(text.encode()))
        return Head(self.log, size, root, number, at, f"{text}\n{_SIGNED} {self.log} {proof}\n")


def public_key(text: str) -> PublicKey:
    """A verifier key from its text. Raises LogError."""
    name, _, rest = text.partition("+")
    hash_, _, key = rest.partition("+")
    try:
        held = _bytes(key)
    except ValueError:
        held = b""
    found = PublicKey(name, held[1:])
    if held[:1] != _ED25519 or len(found.key) != HASH_BYTES or found.text != text or found._hash().hex() != hash_:
        raise LogError("this is no key of a log", fix="It reads as in `clonewatch log head`: name+hash+key")
    return found


def new_key(path: Path) -> Signer:
    """Make a key in a new file for its owner only; a file that another process made meanwhile is read instead."""
    made = Signer(f"clonewatch-{secrets.token_hex(6)}", Ed25519PrivateKey.generate())
    line = f"PRIVATE+KEY+{made.log}+{_base64(made.private.private_bytes_raw())}\n"
    try:
        create(path, line.encode())
    except FileExistsError:
        return read_key(path)
    except OSError as error:
        raise KeyFileError(f"cannot write the key of the log: {error.strerror or error}", where=str(path)) from error
    return made


def read_key(path: Path) -> Signer:
    """The key in a file. Raises KeyFileError if it is missing, malformed, or readable by others."""
    fix = "It was made with the store: put the file back, or name it with --log-key"
    text = read_secret(path, "the key of the log", fix=fix).decode("ascii", "replace")
    found = _KEY_LINE.fullmatch(text)
    if not found:
        raise KeyFileError("this is no key of a log", where=str(path), fix="Name another file with --log-key")
    return Signer(found[1], Ed25519PrivateKey.from_private_bytes(_bytes(found[2])))


def _base64(held: bytes) -> str:
    return base64.b64encode(held).decode("ascii")


def _bytes(text: str) -> bytes:
    """Bytes from base64 that has exactly one spelling: trailing bits of another would go unnoticed."""
    try:
        held = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    if _base64(held) != text:
        raise ValueError("this base64 is not spelled as it should be")
    return held
