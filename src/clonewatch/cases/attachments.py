"""Files that account holders send with an appeal: bounded, kept by their hash, and never opened."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from sqlalchemy import func, insert, select

from clonewatch.cases.store import Reading, Writing
from clonewatch.cases.tables import ATTACHED, ATTACHMENTS
from clonewatch.model.errors import InputError, SetupError

MOST_FILES, MOST_BYTES, MOST_TOTAL = 5, 4 * 1024 * 1024, 10 * 1024 * 1024
_NAME_LENGTH = 100
# By their first bytes; a text has none. Archives, pages and pictures of other kinds are not taken.
_STARTS = {b"%PDF-": "application/pdf", b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
TEXT = "text/plain"
ENDINGS = {"application/pdf": "pdf", "image/png": "png", "image/jpeg": "jpg", TEXT: "txt"}
_CONTROLS = frozenset(range(32)) - {9, 10, 12, 13}


class File(NamedTuple):
    """A file as it was sent. name: what its sender calls it."""

    name: str
    content: bytes


class Attachment(NamedTuple):
    """A file that is kept. name: as its sender called it, without folders and control characters."""

    entry: int
    number: int
    digest: str
    media_type: str
    size: int
    name: str

    @property
    def file_name(self) -> str:
        """A harmless name to store it under."""
        return f"attachment-{self.entry}-{self.number}.{ENDINGS[self.media_type]}"


def media_type(content: bytes) -> str:
    r"""What a file is by its bytes, whatever it calls itself. Raises InputError for what is not taken.

    >>> media_type(b"%PDF-1.7 ...")
    'application/pdf'
    >>> media_type("a text, 12 €".encode())
    'text/plain'
    """
    for start, kind in _STARTS.items():
        if content.startswith(start):
            return kind
    try:
        content.decode("utf-8")
        plain = not _CONTROLS & set(content)
    except UnicodeDecodeError:
        plain = False
    if not plain or not content:
        raise InputError("a file of this kind is not taken", fix="Send PDF, PNG, JPEG, or plain text in UTF-8")
    return TEXT


def checked(files: Sequence[File], already: int = 0) -> list[str]:
    """The media types of files that may be kept. already: bytes of this appeal that are kept. Raises SetupError."""
    if len(files) > MOST_FILES:
        raise SetupError(f"{len(files)} files are too many at once", fix=f"Send at most {MOST_FILES}")
    for number, file in enumerate(files, 1):
        if len(file.content) > MOST_BYTES:
            raise SetupError(f"file {number} is too large", fix=f"Send files of at most {MOST_BYTES // 2**20} MiB")
    if already + sum(len(file.content) for file in files) > MOST_TOTAL:
        raise SetupError(
            "these files are too much for one appeal", fix=f"All of them may have {MOST_TOTAL // 2**20} MiB"
        )
    return [media_type(file.content) for file in files]


def said_of(files: Sequence[File], kinds: Sequence[str]) -> tuple[str, ...]:
    """What the log says of files: number, hash, kind and size."""
    held = zip(files, kinds, strict=True)
    return tuple(said(n, _digest(file), kind, len(file.content)) for n, (file, kind) in enumerate(held, 1))


def said(number: int, digest: str, kind: str, size: int) -> str:
    """What the log says of a file."""
    return f"file {number}: {digest} {kind} {size}"


def keep(store: Writing, entry: int, files: Sequence[File], kinds: Sequence[str]) -> None:
    """Keep files that came with an entry, each content once."""
    for number, (file, kind) in enumerate(zip(files, kinds, strict=True), 1):
        digest = _digest(file)
        known = select(ATTACHMENTS.c.digest).where(ATTACHMENTS.c.digest == digest)
        if store.connection.execute(known).scalar_one_or_none() is None:
            row = {"digest": digest, "media_type": kind, "size": len(file.content), "content": file.content}
            store.connection.execute(insert(ATTACHMENTS).values(**row))
        row = {"entry": entry, "number": number, "digest": digest, "name": _name(file.name)}
        store.connection.execute(insert(ATTACHED).values(**row))


def of(store: Reading, entries: Sequence[int]) -> list[Attachment]:
    """The files that came with these entries, without their content."""
    wanted = (
        select(ATTACHED.c.entry, ATTACHED.c.number, ATTACHED.c.digest, ATTACHMENTS.c.media_type, ATTACHMENTS.c.size)
        .add_columns(ATTACHED.c.name)
        .join(ATTACHMENTS, ATTACHMENTS.c.digest == ATTACHED.c.digest)
        .where(ATTACHED.c.entry.in_(entries))
        .order_by(ATTACHED.c.entry, ATTACHED.c.number)
    )
    return [Attachment(*row) for row in store.connection.execute(wanted)]


def content(store: Reading, attachment: Attachment) -> bytes:
    """The bytes of a file. Raises InputError where they are not those that the log names."""
    wanted = select(ATTACHMENTS.c.content).where(ATTACHMENTS.c.digest == attachment.digest)
    found = bytes(store.connection.execute(wanted).scalar_one())
    if sha256(found).hexdigest() != attachment.digest:
        raise InputError("this file was changed in the store", fix="See what else was: clonewatch log verify")
    return found


def total(store: Reading, entries: Sequence[int]) -> int:
    """How many bytes came with these entries."""
    joined = ATTACHED.join(ATTACHMENTS, ATTACHMENTS.c.digest == ATTACHED.c.digest)
    wanted = select(func.coalesce(func.sum(ATTACHMENTS.c.size), 0)).select_from(joined)
    return int(store.connection.execute(wanted.where(ATTACHED.c.entry.in_(entries))).scalar_one())


def _digest(file: File) -> str:
    return sha256(file.content).hexdigest()


def _name(given: str) -> str:
    r"""A name without folders and without what cannot be seen.

    >>> _name("../../etc/pass\x00wd\u202e.pdf")
    'passwd.pdf'
    """
    last = given.replace("\\", "/").rpartition("/")[2]
    return "".join(sign for sign in last if sign.isprintable())[:_NAME_LENGTH]
