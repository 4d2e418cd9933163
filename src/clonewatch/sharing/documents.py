"""The one spelling of documents that providers exchange: JSON with sorted keys and without spaces, UTF-8."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from clonewatch.model.errors import SetupError

T = TypeVar("T", bound=msgspec.Struct)


def encoded(document: msgspec.Struct) -> bytes:
    """A document as it is sent and signed."""
    return msgspec.json.encode(document, order="sorted")


def decoded(data: bytes, kind: type[T], what: str, most: int) -> T:
    """A document as it was written; nothing of a broken one is taken. Raises SetupError that names the field.

    what: what it should be, as a message says it. most: bytes at most.
    """
    if len(data) > most:
        raise SetupError(f"{what} has at most {most} bytes, and this has {len(data)}")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise SetupError(f"this is not {what}: {error}") from None
