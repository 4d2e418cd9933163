"""Ed25519 keys in files, for whatever is signed outside a log of cases."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from clonewatch.model.errors import KeyFileError, SetupError
from clonewatch.model.secret_files import read_secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def private_key(path: Path) -> Ed25519PrivateKey:
    """An Ed25519 key in PEM, such as `openssl genpkey -algorithm ed25519` writes. Raises KeyFileError.

    Raises SetupError where the library that signs is not installed.
    """
    if find_spec("cryptography") is None:
        raise SetupError(
            "signing needs the library cryptography", fix="Install the extra: pip install 'clonewatch[policy]'"
        )
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = read_secret(path, "the signing key", fix="Make one: openssl genpkey -algorithm ed25519 -out FILE")
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise KeyFileError("this is no private key in PEM without a password", where=str(path)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError("this key is not an Ed25519 key", where=str(path))
    return key
