"""Ed25519 signatures of watch lists: the one module that needs more than the standard library."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from hashlib import sha256

from clonewatch_gateway.refusal import NO_VERIFIER, SIGNATURE, Refused

BYTES = 64
KEY_BYTES = 32
_SPELLED = "ed25519:"
_INSTALL = "Install the extra: pip install 'clonewatch-gateway[verify]'"


def key_name(key: bytes) -> str:
    """What a list calls the key that signed it: the beginning of the SHA-256 of the public key, in hex."""
    return sha256(key).hexdigest()[:16]


def public_key(text: str) -> bytes:
    """A public key from its spelling, `ed25519:` and base64. Raises ValueError."""
    kind, _, held = text.strip().partition(":")
    try:
        key = base64.b64decode(held, validate=True)
    except binascii.Error as error:
        raise ValueError(f"this is no public key: {error}") from error
    if f"{kind}:" != _SPELLED or len(key) != KEY_BYTES:
        raise ValueError("a public key is spelled ed25519: and 44 characters of base64")
    return key


def spelled(key: bytes) -> str:
    """How a public key is spelled."""
    return _SPELLED + base64.b64encode(key).decode("ascii")


def verify(keys: Sequence[bytes], named: str, message: bytes, signature: bytes) -> None:
    """Check a signature with the key of that name. Raises Refused: bad, by an unknown key, or it cannot be checked."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise Refused(NO_VERIFIER, f"signatures cannot be checked here, so no list is used. {_INSTALL}") from error
    key = next((key for key in keys if key_name(key) == named), None)
    if key is None:
        raise Refused(SIGNATURE, f"the list is signed with {named}, and this gateway does not trust that key")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature as error:
        raise Refused(SIGNATURE, "the signature of the list does not hold") from error
