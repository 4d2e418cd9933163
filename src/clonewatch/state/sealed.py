"""Documents that carry their own hash: a JSON object whose last member is the SHA-256 of everything before it."""

from __future__ import annotations

import hashlib
import re

_SEAL = re.compile(rb',\n "sha256": "([0-9a-f]{64})"\n}\n\Z')


def seal(document: bytes) -> bytes:
    r"""A JSON object with its hash as the last member.

    >>> seal(b'{\n "a": 1\n}\n').splitlines()[2][:12]
    b' "sha256": "'
    """
    body = document.rstrip().removesuffix(b"}").rstrip()
    return body + b',\n "sha256": "' + _digest(body) + b'"\n}\n'


def is_sealed(data: bytes) -> bool:
    """Whether a document ends in a hash, right or wrong."""
    return _SEAL.search(data) is not None


def unsealed(data: bytes) -> bytes:
    r"""The JSON object without its hash. Raises ValueError where a byte differs from what was written.

    >>> unsealed(seal(b'{\n "a": 1\n}\n'))
    b'{\n "a": 1\n}\n'
    """
    found = _SEAL.search(data)
    if found is None:
        raise ValueError("its hash is missing")
    body = data[: found.start()]
    if _digest(body) != found[1]:
        raise ValueError("its bytes differ from those that were written")
    return body + b"\n}\n"


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()
